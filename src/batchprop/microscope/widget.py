"""A page as a widget of Jupyter and marimo: what is selected in it flows to Python, and back."""

from importlib.util import find_spec
from typing import Any

from batchprop.errors import BatchpropError
from batchprop.webdata import read_asset


def has_widgets() -> bool:
    """Whether anywidget, which notebooks show widgets by, is installed."""
    return find_spec("anywidget") is not None


def make_widget(html: str, title: str, shared: dict[str, Any]) -> Any:
    """Return a widget that shows a page and shares traits with it.

    Args:
        html: the page, which tells its parent what is selected.
        title: the name of its frame.
        shared: the first values, by name, of what the page and Python both may set.

    Raises:
        BatchpropError: anywidget is not installed.
    """
    if not has_widgets():
        raise BatchpropError(
            "widgets need anywidget, which is not installed: pip install 'batchprop[notebook]'"
        )
    import anywidget
    import traitlets

    own = {
        "_esm": read_asset("microscope", "widget.js"),
        "_title": traitlets.Unicode(title).tag(sync=True),
        "_shared": traitlets.List(list(shared)).tag(sync=True),
        # Whether Python set a trait before the page was shown.
        "_is_set": traitlets.Bool(False).tag(sync=True),
        "html": traitlets.Unicode(html).tag(sync=True),
        **{name: traitlets.Any(value).tag(sync=True) for name, value in shared.items()},
    }
    widget = type("PageWidget", (anywidget.AnyWidget,), own)()
    widget.observe(lambda _: widget.set_trait("_is_set", True), names=list(shared))
    return widget
