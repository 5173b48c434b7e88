"""Files that nobody would write, made from good ones by atheris, for whatever of batchprop reads files."""
