"""Reports and figures only where a test looks at them."""

import pytest

from tests.cli.commands import skip_figures


@pytest.fixture(autouse=True)
def quick_to_draw(request, monkeypatch):
    """Skip figures, which take most of a small training, in tests without the marker."""
    if request.node.get_closest_marker("pictures") is None:
        skip_figures(monkeypatch)
