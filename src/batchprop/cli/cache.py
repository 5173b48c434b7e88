"""The cache of compiled programs, which later commands load instead of compiling again.

Compiling a network takes JAX about a second, often longer than the training itself. The programs are kept on
disk by JAX's own cache, which is configured by environment variables; they are set before JAX is imported,
and only in the process of a command: the library never changes JAX's global settings.
"""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

from batchprop.files import make_folder

SWITCH = "BATCHPROP_CACHE"
"""The environment variable: "off" for no cache, a folder to move it."""

MAX_BYTES = 1 << 28
"""The size limit; the least recently used programs go. A program of three layers has about 100 kB."""


def set_up_cache() -> None:
    """Let JAX keep its compiled programs in the user's cache folder."""
    folder = cache_folder()
    # A JAX cache that the user has configured takes precedence. The size limit needs the library filelock.
    if folder is None or "JAX_COMPILATION_CACHE_DIR" in os.environ or find_spec("filelock") is None:
        return
    try:
        # Programs are executable code: nobody else may write there.
        make_folder(folder, 0o700)
    except OSError:
        return
    if not os.access(folder, os.W_OK):
        return
    settings = {
        "JAX_COMPILATION_CACHE_DIR": str(folder),
        "JAX_COMPILATION_CACHE_MAX_SIZE": str(MAX_BYTES),
        # By default JAX keeps only programs that took a second to compile; these take less.
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    for name, value in settings.items():
        os.environ.setdefault(name, value)


def cache_folder() -> Path | None:
    """Return the folder of the cache, by the rules of the operating system; None if it is switched off."""
    requested = os.environ.get(SWITCH, "")
    if requested.lower() in ("off", "0", "no", "false"):
        return None
    if requested:
        return Path(requested).expanduser()
    try:
        home = Path.home()
    except RuntimeError:
        # A user without a home, as in some containers.
        return None
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return base / "batchprop" / "compiled"
