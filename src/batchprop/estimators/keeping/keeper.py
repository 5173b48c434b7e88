"""Keeping a fit: where it stands is known after every piece of an epoch, saved, or gone back to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from batchprop.errors import DivergedError
from batchprop.estimators.early_stopping import ValidationCallback, warn
from batchprop.estimators.interface import FitInterface
from batchprop.estimators.keeping.checkpoints import Checkpoints
from batchprop.estimators.keeping.saving import Beginning, saved_of
from batchprop.estimators.keeping.standing import Standing, go_back, standing_of
from batchprop.schedules import Schedule
from batchprop.training import Engine, EpochRecord, TrainProgress

MAX_REWINDS = 3
"""How often a fit that diverges goes back before it gives up."""


class Keeper:
    """Knows where a fit stands after every piece of an epoch.

    Args:
        estimator: whose fit it is.
        watch: what is watched.
        engine: what runs it.
        place: where training begins.
        beginning: how the fit began.
        checkpoints: where the standing is saved, or None.

    Attributes:
        standing: where the fit stands.
    """

    def __init__(
        self,
        estimator: FitInterface,
        watch: ValidationCallback,
        engine: Engine,
        place: TrainProgress,
        beginning: Beginning,
        checkpoints: Checkpoints | None,
    ) -> None:
        self.estimator, self.watch, self.engine = estimator, watch, engine
        self.beginning, self.checkpoints = beginning, checkpoints
        self._epochs = list[tuple[int, float]]()
        self._rewinds = 0
        self.standing = self._good = self._now(place)

    @property
    def place(self) -> TrainProgress:
        """Where the training stands."""
        return self.standing.place

    def go_on_from(self, standings: Mapping[str, Standing]) -> None:
        """Let the fit stand where another one stood, which kept them so."""
        self._go_to(standings["now"])
        self._rewinds = self.standing.rewinds
        self._good = standings.get("good", self.standing)

    def kept(self, epochs: Iterator[EpochRecord]) -> Iterator[EpochRecord]:
        """Note rows and seconds of the epochs that pass by."""
        for epoch in epochs:
            self._epochs.append((epoch.rows, epoch.seconds))
            yield epoch

    def reached(self, place: TrainProgress) -> None:
        """Take note of a place, and save it if it is time."""
        between = not len(place.losses)
        if between:
            self.standing = self._now(place)
            curve = self.estimator.loss_curve_
            if curve and curve[-1] <= min(curve):
                self._good = self.standing
        else:
            # The history is that of the last epoch done, whatever interrupts what comes after it.
            self.standing = self.standing._replace(place=place, random_bits=self.engine.rng_state())
        if self.checkpoints is not None and self.checkpoints.due(place.epochs, between=between):
            self._save(self.checkpoints)

    def end(self, *, stopped: bool) -> None:
        """Save where the fit ended; after Ctrl-C, where it last stood.

        Args:
            stopped: whether something else than the number of epochs ended it.
        """
        last = self.watch.last
        if last is not None and not self.estimator.interrupted_:
            self.standing = self._now(TrainProgress(last.state, last.number))._replace(ended=stopped)
        if self.checkpoints is not None:
            self._save(self.checkpoints)

    def rewind(self, error: DivergedError) -> None:
        """Go back to the best epoch so far, for another try at half the learning rate.

        Args:
            error: what happened.

        Raises:
            DivergedError: that is not wanted, or was tried often enough.
        """
        if self.estimator.on_divergence != "rewind":
            raise error
        what, _, remedy = str(error).partition(": ")
        if self._rewinds == MAX_REWINDS:
            raise DivergedError(
                f"{what}, after going back and halving the learning rate {MAX_REWINDS} times: {remedy}"
            ) from error
        self._rewinds += 1
        self._go_to(self._good)
        warn(
            f"{what}: training goes on from the end of epoch {self.place.epochs}, "
            f"with 1/{2**self._rewinds} of the learning rate"
        )

    def slowed(self, schedule: Schedule) -> Schedule:
        """Halve the rates of a schedule for every time that the fit went back."""
        factor = 0.5**self._rewinds
        return lambda step: schedule(step) * factor

    def _go_to(self, standing: Standing) -> None:
        go_back(self.estimator, self.watch, standing)
        self.engine.set_rng_state(standing.random_bits)
        self._epochs = list(standing.epochs)
        self.standing = standing

    def _now(self, place: TrainProgress) -> Standing:
        return standing_of(
            self.estimator, self.watch, place, self.engine.rng_state(), self._epochs, self._rewinds
        )

    def _save(self, checkpoints: Checkpoints) -> None:
        standings = {"now": self.standing}
        if self.estimator.on_divergence == "rewind":
            standings["good"] = self._good
        checkpoints.write(saved_of(standings, self.beginning), self.place.epochs)
