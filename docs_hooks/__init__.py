"""What the documentation site does beyond Markdown; `mkdocs.yml` names `hook.py` and `docstrings.py`."""
