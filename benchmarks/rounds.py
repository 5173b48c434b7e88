"""Interleaved timing: ratios within a round stay valid when the machine's speed drifts."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

# A library's threads spin for a moment after its run; the next run must not pay for that.
PAUSE = 0.1


@dataclass(frozen=True)
class Ratio:
    """The time ratio of one run to another, round by round."""

    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median over the rounds."""
        return statistics.median(self.rounds)

    @property
    def lowest(self) -> float:
        """The smallest of all rounds."""
        return min(self.rounds)

    @property
    def highest(self) -> float:
        """The largest of all rounds."""
        return max(self.rounds)


def paired_ratio(of: list[float], to: list[float]) -> Ratio:
    """Divide the seconds of each round."""
    return Ratio(tuple(a / b for a, b in zip(of, to, strict=True)))


def time_call(call: Callable[[], object]) -> float:
    """Measure the wall-clock seconds of one call."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def interleave(
    starts: Mapping[str, Callable[[], Callable[[], object]]], rounds: int
) -> dict[str, list[float]]:
    """Time every run once per round: A B C A B C ….

    Args:
        starts: prepares each run (not timed).
        rounds: how many.

    Returns:
        The seconds of each run, one number per round.
    """
    taken: dict[str, list[float]] = {name: [] for name in starts}
    for _ in range(rounds):
        for name, start in starts.items():
            run = start()
            gc.collect()
            time.sleep(PAUSE)
            taken[name].append(time_call(run))
    return taken
