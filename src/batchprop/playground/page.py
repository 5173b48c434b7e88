"""The playground's page: a frame for its script, which draws everything else."""

import html

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>batchprop playground</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="playground.css">
</head>
<body>
<noscript>The playground needs JavaScript: please enable it.</noscript>
<main id="playground"></main>
<script src="playground.js"></script>
</body>
</html>
"""

_MESSAGE_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>batchprop microscope</title>
</head>
<body><main><p>{}</p></main></body>
</html>
"""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "font-src data:; frame-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
"""Enforced by the browser: the page loads nothing but its own files."""

MICROSCOPE_POLICY = "frame-ancestors 'self'"
"""The microscope's page has a policy of its own; only the playground may frame it."""


def message_page(text: str) -> str:
    """Return a page that shows one message.

    Example:
        >>> "a &lt; b" in message_page("a < b")
        True
    """
    return _MESSAGE_PAGE.format(html.escape(text))
