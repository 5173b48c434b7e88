"""Fits on rows that do not lie in memory: where these come from, a look through them, and the fit itself."""
