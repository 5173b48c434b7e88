"""Models on disk: written to a temporary folder and renamed, read back only if made of known types."""

import errno
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import skops.io
import skops.io.exceptions
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline

from batchprop.errors import DataError, ModelError, ParameterError, WriteError
from batchprop.files import (
    OLD,
    check_file,
    check_folder,
    completed_paths,
    create_file,
    create_text,
    defer_signals,
    exists,
    fsync_path,
    kind_of,
    open_file,
    remove_abandoned,
    temporary_folder,
)
from batchprop.tabular.model_info import check_format
from batchprop.tabular.model_validation import TRUSTED_TYPES, validate_archive
from batchprop.tabular.soundness import validate_model

MODEL = "model.skops"

# scikit-learn's imputer keeps the dtype that it was fitted on.
_TRUSTED = [*TRUSTED_TYPES, "numpy.dtype"]
_REMEDIES = {errno.EFBIG: "raise the limit on the size of a file (ulimit -f), or name another place"}
LOAD_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    skops.io.exceptions.UnsupportedTypeException,
    ArithmeticError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)


def save_pipeline(model: Pipeline, path: Path, out: Path | None = None) -> None:
    """Write a fitted pipeline in skops format, and check that it can be read back.

    Args:
        model: the pipeline.
        path: the file to write.
        out: its final name, for the error.

    Raises:
        ModelError: `load_pipeline` would refuse it.
    """
    out = out or path
    try:
        with create_file(path) as file:
            skops.io.dump(model, file)
        with open_file(path) as file:
            validate_archive(file, out)
    except ModelError as error:
        # Its remedy is for who reads a model.
        reason = str(error).partition("; ")[0]
        raise ModelError(
            f"{reason}: install another scikit-learn or skops, such as those that batchprop's tests use"
        ) from error
    try:
        validate_model(model)
    except (*LOAD_ERRORS, NotFittedError) as error:
        raise ModelError(
            f"{out} would be refused when it is read ({_reason(error)}): train it with other options"
        ) from error


def load_pipeline(path: str | Path) -> Pipeline:
    """Read a pipeline that `batchprop train` wrote, without running any code the file may hold.

    Args:
        path: the model's folder, or the .skops file in it.

    Raises:
        ModelError: there is no such file, it is damaged, another version wrote it, it holds types
            that no model has, or its content is not a model that can predict.
    """
    path = _model_file(Path(path))
    check_format(path.parent)
    try:
        with open_file(path, follow=True) as file:
            validate_archive(file, path)
            file.seek(0)
            model = skops.io.load(file, trusted=_TRUSTED)
    except LOAD_ERRORS as error:
        raise ModelError(_damage_message(path, error)) from error
    _check_pipeline(model, path)
    return model


def _model_file(path: Path) -> Path:
    if path.is_dir():
        path = path / MODEL
    if not path.exists():
        raise ModelError(f"there is no model {path}: name the folder that `batchprop train` wrote")
    if not path.is_file():
        # Opening a pipe waits for a writer, which may never come.
        raise ModelError(f"{path} is no file: name the folder that `batchprop train` wrote")
    return path


def _damage_message(path: Path, error: BaseException) -> str:
    return (
        f"{path} is not a model file, or is truncated or damaged ({_reason(error)}): "
        "copy it again, or train it again with `batchprop train`"
    )


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split())[:80] or type(error).__name__


def _check_pipeline(model: object, path: Path) -> None:
    """Check that the object is a complete model; known types alone are not enough."""
    try:
        validate_model(model)
    # scikit-learn's code over altered parts may fail in any way.
    except Exception as error:
        raise ModelError(
            f"{path} holds a {type(model).__name__} that is no model as `batchprop train` writes it "
            f"({_reason(error)}): name the folder of a model that it wrote, or train it again"
        ) from error


@contextmanager
def write_errors(what: str | Path) -> Iterator[None]:
    """Turn an OSError in the block into an error that names the file, the reason and a remedy.

    Args:
        what: the final name of the file, or another description of it.

    Raises:
        WriteError: for an OSError, except for a closed pipe, whose reader has ended.

    >>> with write_errors("answers.csv"):
    ...     raise OSError(errno.ENOSPC, "it says")
    Traceback (most recent call last):
    batchprop.errors.WriteError: answers.csv could not be written: No space left on device; make room, ...
    """
    try:
        yield
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise
        # Libraries format the reason differently, or omit it; the errno is the system's.
        reason = os.strerror(error.errno) if error.errno else _reason(error)
        remedy = _REMEDIES.get(error.errno or 0, "make room, or name another place")
        raise WriteError(f"{what} could not be written: {reason}; {remedy}") from error


@contextmanager
def atomic_folder(
    path: str | Path, *, force: bool = False, parameter: str = "path", tables: Sequence[Path] = ()
) -> Iterator[Path]:
    """Yield a folder to write into, which gets its final name only if the block ends without an error.

    Args:
        path: the folder to create; its parents are created as needed, and removed if the block fails.
        force: replace a folder that holds a model or is empty; no other is ever replaced.
        parameter: the caller's name of `path`, for messages; the commands show "out" as --out.
        tables: the files that are read meanwhile.

    Yields:
        A new folder next to it, so that the last step is a rename.

    Raises:
        DataError: at once, before anything is computed: the folder exists, or cannot be written.
        ParameterError: at once: the path ends in no name, as "." does not; or the table is in the folder, and
            would be removed with it.
    """
    path = Path(path)
    if not path.name:
        name = path / "model"
        raise ParameterError(f"`{parameter}` {path} names no new folder: give a name, such as {name}")
    for table in tables:
        if _contains(path, table):
            raise ParameterError(f"`{parameter}` {path} holds the table {table}: name another folder")
    remove_abandoned(path)
    _check_free(path, parameter, force=force)
    with _temporary_sibling(path, "folder", parameter) as beside:
        part = beside / path.name
        part.mkdir()
        yield part
        with write_errors(f"the folder {path}"):
            for file in part.iterdir():
                fsync_path(file)
            fsync_path(part)
            _check_free(path, parameter, force=force)
            # A signal between two renames would leave neither model in its place.
            with defer_signals():
                _replace(part, path, beside)
                completed_paths.append(path)
            fsync_path(path.parent)


def _check_free(path: Path, parameter: str, *, force: bool) -> None:
    check_folder(path, parameter)
    if not exists(path):
        return
    if not force:
        raise DataError(
            f"the folder {path} exists: name another with `{parameter}`, or replace it with force=True"
        )
    if any(path.iterdir()) and not (exists(path / MODEL) and not kind_of(path / MODEL)):
        raise DataError(
            f"the folder {path} holds no model, so force=True does not replace it: name another with "
            f"`{parameter}`"
        )


@contextmanager
def _temporary_sibling(path: Path, what: str, parameter: str) -> Iterator[Path]:
    """Create a temporary folder next to `path`, which also tests that it can be written."""
    with ExitStack() as stack:
        try:
            beside = stack.enter_context(temporary_folder(path.parent, f".{path.name}."))
        except OSError as error:
            raise DataError(
                f"the {what} {path} cannot be written: {error.strerror} ({error.filename}); "
                f"name another with `{parameter}`"
            ) from error
        yield beside


def _same(path: Path, other: Path) -> bool:
    """Whether two paths lead to the same existing file or folder."""
    try:
        return path.samefile(other)
    except OSError:
        return False


def _contains(folder: Path, file: Path) -> bool:
    """Whether a file is in a folder or below, itself or as the target of a link."""
    return any(
        _same(folder, parent)
        for name in (file.absolute(), Path(os.path.realpath(file)))
        for parent in name.parents
    )


def _replace(new: Path, path: Path, beside: Path) -> None:
    """Rename `new` to `path`; an existing folder moves into `beside`, and is restored if the rename fails."""
    # No system renames a folder over a non-empty one. Of a process killed between the two renames, the next
    # run restores the old folder.
    if not path.exists():
        new.rename(path)
        return
    old = path.rename(beside / (path.name + OLD))
    try:
        new.rename(path)
    except OSError:
        old.rename(path)
        raise


@contextmanager
def atomic_file(
    path: str | Path, *, force: bool = False, parameter: str = "path", tables: Sequence[Path] = ()
) -> Iterator[Path]:
    """Yield a file to write, which gets its final name only if the block ends without an error.

    Args:
        path: the file to create; its parents are created as needed, and removed if the block fails.
        force: replace an existing file.
        parameter: the caller's name of `path`, for messages; the commands show "out" as --out.
        tables: the files that are read meanwhile.

    Yields:
        A new file next to it, so that the last step is a rename.

    Raises:
        DataError: at once: the file exists (and `force` is not given), or cannot be written.
        ParameterError: at once: the file is one of the tables, under any name.
    """
    path = Path(path)
    if any(_same(path, table) for table in tables):
        raise ParameterError(f"`{parameter}` {path} is the table itself: name another file")
    if path.is_dir():
        raise DataError(f"{path} is a folder: name a file with `{parameter}`")
    remove_abandoned(path)
    _check_free_file(path, parameter, force=force)
    with _temporary_sibling(path, "file", parameter) as beside:
        part = beside / path.name
        yield part
        with write_errors(path):
            fsync_path(part)
            _check_free_file(path, parameter, force=force)
            with defer_signals():
                part.replace(path)
                completed_paths.append(path)
            fsync_path(path.parent)


def _check_free_file(path: Path, parameter: str, *, force: bool) -> None:
    check_file(path, parameter)
    if exists(path) and not force:
        raise DataError(
            f"the file {path} exists: name another with `{parameter}`, or replace it with force=True"
        )


def write_json(content: object, path: Path) -> None:
    """Write plain data as indented JSON."""
    with create_text(path) as file:
        file.write(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
