"""What the documentation site needs beyond Markdown; `mkdocs.yml` names `hook.py` and `docstrings.py`."""
