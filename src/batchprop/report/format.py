"""Numbers, durations and counts as reports and the command line write them."""

_WHOLE_FROM, _POWERS_FROM = 1e3, 1e9


def format_score(value: float) -> str:
    """Write a score with four significant digits, and without decimals if it is large.

    >>> format_score(0.97766), format_score(12345.6)
    ('0.9777', '12,346')
    """
    if _WHOLE_FROM <= abs(value) < _POWERS_FROM:
        return f"{value:,.0f}"
    return f"{value:#.4g}"


def format_number(number: str) -> str:
    """Write a number in print style, with a minus sign for the hyphen.

    >>> format_number("-1.5e-05")
    '−1.5e−05'
    """
    return number.replace("-", "−")


def format_duration(seconds: float) -> str:
    """Write a duration as hours, minutes and seconds.

    >>> format_duration(75.4), format_duration(3700)
    ('1:15', '1:01:40')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def count_epochs(epochs: int) -> str:
    """Write a number of epochs.

    >>> count_epochs(1), count_epochs(1200)
    ('1 epoch', '1,200 epochs')
    """
    return "1 epoch" if epochs == 1 else f"{epochs:,} epochs"
