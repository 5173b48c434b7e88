"""A playground's session: its data, settings and training, and the commands on them."""

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
    """A table of the user's own: its content, column names, number of rows and most likely target."""

    name: str
    table: Any
    columns: tuple[str, ...]
    rows: int
    suggested_target: str


DataSource = tuple[File, str] | tuple[str, int, float, int]
"""A file and its target, or a toy data set with its rows, noise and seed."""


class Tools(Protocol):
    """What the playground needs from the rest of the library, passed in so that imports run downward."""

    def inspect_file(self, path: Path, name: str) -> File:
        """Read a table and its column names."""

    def load_data(self, file: File, target: str) -> PlaygroundData:
        """Turn a table into numbers."""

    def microscope(self, data: PlaygroundData, initial: Network, batch: LastBatch, steps: int) -> str:
        """Return the microscope's page for a batch."""


class Session:
    """Data, settings and training of one playground; to be used from one thread only."""

    def __init__(self, tools: Tools, settings: Settings, file: File | None = None) -> None:
        self.tools = tools
        self.file = file
        self._loaded_file: File | None = None
        self.run = 0
        self.version = self.setup_version = 0
        self.running = False
        self.stop_reason: str | None = None
        self._source: DataSource = self._get_source(settings, file)
        self.data = self._make_data(self._source)
        self.settings = replace(settings, axes=best_axes(self.data))
        self.plane = make_plane(self.data, self.settings.axes)
        self.trainer = Trainer(self.data, self.settings)

    @property
    def pause_between(self) -> float:
        """Seconds between two steps."""
        return SPEEDS[self.settings.speed].pause

    def execute(self, command: str) -> None:
        """Execute one of the commands start, pause, step and reset."""
        commands: dict[str, Callable[[], None]] = {
            "start": self.start,
            "pause": self.pause,
            "step": self.step,
            "reset": self.reset,
        }
        if command not in commands:
            raise ParameterError(
                f"the command {command[:40]!r} is unknown: give one of {', '.join(commands)}"
            )
        commands[command]()

    def start(self) -> None:
        """Let the training run."""
        self._check_can_go_on()
        self.running = True
        self.version += 1

    def pause(self) -> None:
        """Pause after the current step."""
        self.running = False
        self.version += 1

    def step(self) -> None:
        """Take one step, then pause."""
        self._check_can_go_on()
        self.running = False
        self.advance()

    def advance(self) -> None:
        """Take one step; on an error, pause and keep the reason."""
        try:
            self.trainer.step()
        except (DivergedError, ParameterError) as error:
            self.running = False
            self.stop_reason = str(error)
        self.version += 1

    def reset(self) -> None:
        """Go back to the initial weights."""
        self._restart(self.settings, self.data, self.plane)

    def change(self, changes: Mapping[str, object]) -> None:
        """Change settings given as JSON values; restart the training only where they require it."""
        settings = self.settings.replace(changes)
        file = self.file
        # Until its target is chosen, a loaded file is only a candidate: the current data stay in use.
        if settings.data == FILE and changes.keys() >= {"data", "target"}:
            file = self._loaded_file or file
        source = self._get_source(settings, file)
        same_source = source == self._source
        data = self.data if same_source else self._make_data(source)
        if not same_source and "axes" not in changes:
            settings = replace(settings, axes=best_axes(data))
        plane = (
            self.plane
            if same_source and settings.axes == self.plane.axes
            else make_plane(data, settings.axes)
        )
        if same_source and settings.agrees_with(self.settings, TRAINING_FIELDS):
            self.trainer.apply_settings(settings)
            self.settings, self.plane = settings, plane
            self._mark_changed()
        else:
            self._restart(settings, data, plane)
            self._source = source
        self.file = file
        if "data" in changes:
            self._loaded_file = None

    def load_file(self, path: Path, name: str) -> File:
        """Read a table of the user's; it replaces the current data once its target is chosen."""
        self._loaded_file = self.tools.inspect_file(path, name)
        return self._loaded_file

    def microscope(self) -> str:
        """Return the microscope's page for the last batch."""
        if self.running:
            raise InputError("the training is running: pause it, then open the microscope")
        if self.trainer.last_batch is None:
            raise InputError("there is no batch yet: take a step, then open the microscope")
        trainer, batch = self.trainer, self.trainer.last_batch
        return self.tools.microscope(self.data, trainer.initial_network, batch, trainer.steps)

    def _get_source(self, settings: Settings, file: File | None) -> DataSource:
        """Return what the data are made of: the settings of a toy data set, or a file and its target."""
        if settings.data != FILE:
            return settings.data, settings.rows, settings.noise, settings.seed
        if file is None:
            raise DataError("there is no file yet: load one, then choose its target")
        if settings.target is None:
            raise DataError(f"the target is not chosen: name the column of {file.name} to learn")
        return file, settings.target

    def _make_data(self, source: DataSource) -> PlaygroundData:
        match source:
            case file, target:
                return self.tools.load_data(file, target)
            case name, rows, noise, seed:
                return make_toy(name, rows, noise, seed)

    def _restart(self, settings: Settings, data: PlaygroundData, plane: Plane) -> None:
        self.trainer = Trainer(data, settings)
        self.settings, self.data, self.plane = settings, data, plane
        self.run += 1
        self.running, self.stop_reason = False, None
        self._mark_changed()

    def _mark_changed(self) -> None:
        self.version += 1
        self.setup_version += 1

    def _check_can_go_on(self) -> None:
        if self.stop_reason is not None:
            raise ParameterError(self.stop_reason)
