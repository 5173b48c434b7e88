"""The common parts of all plots: axes, colours, grid, and titles that the font can draw."""

from collections.abc import Sequence
from typing import Any

from batchprop.errors import require_extra
from batchprop.format import format_number

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""The Okabe-Ito palette, which colour-blind readers can tell apart, without its yellow, too pale on white."""

STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)))
"""Line styles, so that no two curves differ by colour alone."""

_TICK_DIGITS, _LONG_NUMBER = 12, 1e7

GREY, LIGHT_GREY = "#666666", "#DDDDDD"


def get_axes(ax: Any, size: tuple[float, float]) -> Any:
    """Return ``ax``, or for None the axes of a new figure of this size in inches.

    Example:
        >>> import matplotlib
        >>> matplotlib.use("Agg")
        >>> ax = get_axes(None, (4, 3))
        >>> get_axes(ax, (8, 6)) is ax, ax.figure.get_size_inches()
        (True, array([4., 3.]))
    """
    return ax if ax is not None else make_axes(size)


def make_axes(size: tuple[float, float], rows: int = 1, columns: int = 1) -> Any:
    """Return the axes of a new figure of this size in inches, as an array if there are several.

    Example:
        >>> import matplotlib
        >>> matplotlib.use("Agg")
        >>> make_axes((4, 3), columns=2).shape
        (2,)
    """
    with require_extra("tables", "a plot"):
        from matplotlib import pyplot as plt
    return plt.subplots(rows, columns, figsize=size, layout="constrained")[1]


def format_numbers(axis: Any) -> None:
    """Write the numbers of an axis as everywhere else, and none in units of an offset or a power of ten."""
    from matplotlib.ticker import Formatter, ScalarFormatter

    class NumberFormatter(Formatter):
        def __call__(self, value: float, pos: int | None = None) -> str:  # noqa: ARG002 matplotlib's signature
            return format_number(value, _TICK_DIGITS)

        def format_ticks(self, values: Sequence[float]) -> list[str]:
            return format_ticks(values)

    # Named ticks, as of classes and columns, stay.
    if isinstance(axis.get_major_formatter(), ScalarFormatter):
        axis.set_major_formatter(NumberFormatter())


def format_ticks(ticks: Sequence[float]) -> list[str]:
    """Write the numbers of an axis, all with as many decimals as any of them needs.

    Example:
        >>> format_ticks([-0.5, 0.0, 0.25]), format_ticks([0.0, 1e6]), format_ticks([0.0, 2e-7])
        (['−0.50', '0.00', '0.25'], ['0', '1,000,000'], ['0', '2·10⁻⁷'])
    """
    texts = [format_number(tick, _TICK_DIGITS) for tick in ticks]
    if any("·" in text for text in texts):
        return texts
    decimals = max((len(text.partition(".")[2]) for text in texts), default=0)
    # A tick at 0 may be a little below.
    return [f"{round(tick, decimals) + 0.0:,.{decimals}f}".replace("-", "−") for tick in ticks]


def number_locator(largest: float) -> Any:
    """Return a locator of so few ticks that numbers up to the largest fit beside each other."""
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(3 if largest >= _LONG_NUMBER else 5)


def style_axes(ax: Any) -> None:
    """Draw a pale grid behind the data, no frame at the top and the right, and numbers as everywhere else."""
    for axis in (ax.xaxis, ax.yaxis):
        format_numbers(axis)
    ax.grid(visible=True, color=LIGHT_GREY, linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)


def set_title(ax: Any, title: str) -> None:
    """Set any text as the title, for example the name of a file, and read no formula into it."""
    ax.set_title(replace_missing_glyphs(title), loc="left", fontsize=12, parse_math=False)


def replace_missing_glyphs(text: str) -> str:
    """Return the text with `?` for each character that the font lacks, as matplotlib would warn about it.

    Example:
        >>> replace_missing_glyphs("digits 城")
        'digits ?'
    """
    from matplotlib.font_manager import FontProperties, findfont, get_font

    letters = get_font(findfont(FontProperties())).get_charmap()
    return "".join(letter if ord(letter) in letters else "?" for letter in text)
