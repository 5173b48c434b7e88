"""Fuzzing with atheris: mutated files for every reader of batchprop."""
