"""The report of a training: sections of text, tables and figures in one HTML file."""
