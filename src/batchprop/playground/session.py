"""The playground: the choices, the examples and the training, and what can be done with them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from batchprop.errors import DataError, DivergedError, InputError, ParameterError
from batchprop.network import Network
from batchprop.playground.data import PlaygroundData
from batchprop.playground.settings import FILE, SPEEDS, TRAINING_FIELDS, Settings
from batchprop.playground.surface import Plane, best_axes, make_plane
from batchprop.playground.toy_datasets import make_toy
from batchprop.playground.trainer import LastBatch, Trainer


@dataclass(frozen=True, eq=False)
class File:
    """A table of the player's own.

    Attributes:
        name: of the file.
        table: its content, as the one who read it wants it back.
        columns: their names.
        rows: how many.
        suggested: the column that is most likely the target.
    """

    name: str
    table: Any
    columns: tuple[str, ...]
    rows: int
    suggested: str


Origin = tuple[File, str] | tuple[str, int, float, int]
"""What examples are made of."""


class Tools(Protocol):
    """What other parts of the library do for the playground."""

    def inspect_file(self, path: Path, name: str) -> File:
        """Read a table, and tell its columns."""

    def examples(self, file: File, target: str) -> PlaygroundData:
        """Turn a table into numbers."""

    def microscope(self, examples: PlaygroundData, start: Network, taken: LastBatch, steps: int) -> str:
        """Return the page that shows a batch in all its matrices."""


class Session:
    """All that is played with; whoever uses it does so from one thread.

    Args:
        tools: what other parts of the library do.
        settings: to begin with.
        file: a table that is there already, or None.

    Attributes:
        settings: the choices.
        examples: what is learned from.
        plane: where they are drawn.
        training: as far as it went.
        run: the number of this training.
        running: whether it goes on by itself.
        ended: why it cannot go on, or None.
        file: the player's table that is learned from, or was last; or None.
        version: grows with whatever can be seen.
        lesson_version: grows with all but the steps.

    Raises:
        BatchpropError: the settings and the file do not go together.
    """

    def __init__(self, tools: Tools, settings: Settings, file: File | None = None) -> None:
        self.tools = tools
        self.file = file
        self._offered: File | None = None
        self.run = 0
        self.version = self.lesson_version = 0
        self.running = False
        self.ended: str | None = None
        self._origin: Origin = self._origin_of(settings, file)
        self.examples = self._made(self._origin)
        self.settings = replace(settings, axes=best_axes(self.examples))
        self.plane = make_plane(self.examples, self.settings.axes)
        self.training = Trainer(self.examples, self.settings)

    @property
    def pause_between(self) -> float:
        """Seconds from one step to the next."""
        return SPEEDS[self.settings.speed].pause

    def act(self, action: str) -> None:
        """Start, pause, take one step, or begin anew.

        Raises:
            ParameterError: there is no such action, or the training cannot go on.
        """
        actions: dict[str, Callable[[], None]] = {
            "start": self.start,
            "pause": self.pause,
            "step": self.step,
            "reset": self.reset,
        }
        if action not in actions:
            raise ParameterError(f"the action {action[:40]!r} is unknown: it is one of {', '.join(actions)}")
        actions[action]()

    def start(self) -> None:
        """Let it run.

        Raises:
            ParameterError: it cannot go on.
        """
        self._require_open()
        self.running = True
        self.version += 1

    def pause(self) -> None:
        """Let it rest after the batch that was taken last."""
        self.running = False
        self.version += 1

    def step(self) -> None:
        """Take one batch, and rest.

        Raises:
            ParameterError: it cannot go on.
        """
        self._require_open()
        self.running = False
        self.advance()

    def advance(self) -> None:
        """Take one batch; where that cannot be, rest and say why."""
        try:
            self.training.step()
        except (DivergedError, ParameterError) as error:
            self.running = False
            self.ended = str(error)
        self.version += 1

    def reset(self) -> None:
        """Go back to before the first batch."""
        self._begin(self.settings, self.examples, self.plane)

    def change(self, changes: Mapping[str, object]) -> None:
        """Take other choices; the training goes on where they allow it, and else begins anew.

        Args:
            changes: by the names of ``Settings``, as JSON holds them.

        Raises:
            BatchpropError: a choice is not allowed; nothing has changed then.
        """
        settings = self.settings.replace(changes)
        file = self.file
        if settings.data == FILE and changes.keys() >= {"data", "target"}:
            file = self._offered or file
        origin = self._origin_of(settings, file)
        same = origin == self._origin
        examples = self.examples if same else self._made(origin)
        if not same and "axes" not in changes:
            settings = replace(settings, axes=best_axes(examples))
        plane = (
            self.plane if same and settings.axes == self.plane.axes else make_plane(examples, settings.axes)
        )
        if same and settings.same(self.settings, TRAINING_FIELDS):
            self.training.apply_settings(settings)
            self.settings, self.plane = settings, plane
            self._event_stream()
        else:
            self._begin(settings, examples, plane)
            self._origin = origin
        self.file = file
        if "data" in changes:
            self._offered = None

    def load(self, path: Path, name: str) -> File:
        """Look into a table of the player's; it takes the place of the one before once its target is chosen.

        Args:
            path: where it lies for now.
            name: what the player calls it.

        Raises:
            DataError: it is no table that can be learned from; the one before stays.
        """
        self._offered = self.tools.inspect_file(path, name)
        return self._offered

    def microscope(self) -> str:
        """Return the page that shows the batch taken last.

        Raises:
            InputError: the training is running, or nothing was taken.
        """
        if self.running:
            raise InputError("the training is running: pause it, then open the microscope on its batch")
        if self.training.taken is None:
            raise InputError("no batch was taken yet: take a step, then open the microscope on it")
        training = self.training
        return self.tools.microscope(self.examples, training.start, self.training.taken, training.steps)

    def _origin_of(self, settings: Settings, file: File | None) -> Origin:
        """What the examples are made of: the choices of a toy set, or a file and its target."""
        if settings.data != FILE:
            return settings.data, settings.rows, settings.noise, settings.seed
        if file is None:
            raise DataError("there is no file yet: load one, then choose its target")
        if settings.target is None:
            raise DataError(f"the target is not chosen: name the column of {file.name} to learn")
        return file, settings.target

    def _made(self, origin: Origin) -> PlaygroundData:
        match origin:
            case file, target:
                return self.tools.examples(file, target)
            case name, rows, noise, seed:
                return make_toy(name, rows, noise, seed)

    def _begin(self, settings: Settings, examples: PlaygroundData, plane: Plane) -> None:
        self.training = Trainer(examples, settings)
        self.settings, self.examples, self.plane = settings, examples, plane
        self.run += 1
        self.running, self.ended = False, None
        self._event_stream()

    def _event_stream(self) -> None:
        self.version += 1
        self.lesson_version += 1

    def _require_open(self) -> None:
        if self.ended is not None:
            raise ParameterError(self.ended)
