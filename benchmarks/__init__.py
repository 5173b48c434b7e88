"""The benchmarks: a package with this file, as Opacus installs one of the same name that would hide it."""
