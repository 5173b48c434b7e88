"""`python -m batchprop`: the command line."""

from batchprop.cli import main

main()
