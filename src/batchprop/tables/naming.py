"""Names in messages: the nearest to a mistyped one, and long lists cut short."""

import difflib
from collections.abc import Sequence
from typing import Any

_SHOWN = 8


def near_name(name: str, names: Sequence[str]) -> str:
    """Suggest what a mistyped name was meant to be, as the end of an error message.

    >>> near_name("speceis", ["species", "petal"])
    "; did you mean 'species'?"
    >>> near_name("zzz", ["species", "petal"])
    ''
    """
    folded = {known.casefold(): known for known in names}
    near = difflib.get_close_matches(name.casefold(), folded, n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(repr(folded[key]) for key in near)}?" if near else ""


def written(value: Any) -> str:
    """Write a value; of a moment beyond the year 9999, which pandas holds and cannot write, NumPy's form.

    >>> written(0.5)
    '0.5'
    """
    try:
        return str(value)
    except NotImplementedError:
        return str(value.asm8)


def elided(names: Sequence[str], shown: int = _SHOWN) -> str:
    """List names, and say how many more there are.

    >>> elided(["a", "b", "c", "d"], shown=2)
    'a, b and 2 more'
    """
    head = ", ".join(names[:shown])
    return f"{head} and {len(names) - shown:,} more" if len(names) > shown else head
