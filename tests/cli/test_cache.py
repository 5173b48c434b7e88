"""The cache of compiled programs: a second process compiles nothing; its location; disabling it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from batchprop.cli.cache import cache_folder, set_up_cache
from tests.cli.commands import START, flowers

# Counts JAX's cache hits and compilations.
COUNTING = """
import atexit, collections
from batchprop.cli.cache import set_up_cache
set_up_cache()
import jax
counts = collections.Counter()
jax.monitoring.register_event_listener(lambda event, **_: counts.update([event.rpartition("/")[2]]))
atexit.register(lambda: print("hits", counts["cache_hits"], "misses", counts["cache_misses"]))
"""


@pytest.fixture
def counts(origin, folder):
    """Return how many programs a training finds in the cache, and how many it compiles."""
    data = flowers(folder / "flowers.csv")

    def train(cache, out):
        words = ["train", data, "--target", "species", "--engine", "jax", "--hidden", "8", "--epochs", "2"]
        env = {"BATCHPROP_CACHE": str(cache)}
        done = origin.run(*words, "--out", out, cwd=folder, start=COUNTING + START, env=env)
        assert (done.returncode, done.stderr) == (0, "")
        _, hits, _, misses = done.stdout.splitlines()[-1].split()
        return int(hits), int(misses)

    return train


def test_a_second_process_compiles_nothing(folder, counts):
    cache = folder / "cache"
    hits, misses = counts(cache, "first")
    assert misses > 0
    assert hits == 0 or hits < misses
    assert counts(cache, "second")[1] == 0
    assert any(cache.glob("*-cache"))
    assert cache.stat().st_mode & 0o077 == 0


def test_the_cache_can_be_switched_off(counts):
    assert counts("off", "m") == (0, 0)


@pytest.fixture
def bare(monkeypatch):
    """No environment variable sets the cache location."""
    for name in ("BATCHPROP_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA", "JAX_COMPILATION_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", lambda: Path("/home/me"))
    return monkeypatch


@pytest.mark.parametrize(
    ("platform", "folder"),
    [
        ("linux", "/home/me/.cache/batchprop/compiled"),
        ("darwin", "/home/me/Library/Caches/batchprop/compiled"),
        ("win32", "/home/me/AppData/Local/batchprop/compiled"),
    ],
)
def test_default_folder_is_in_the_system_cache(bare, platform, folder):
    bare.setattr(sys, "platform", platform)
    assert cache_folder() == Path(folder)


def test_environment_variables_move_or_disable_the_cache(bare, tmp_path):
    bare.setattr(sys, "platform", "linux")
    bare.setenv("XDG_CACHE_HOME", "/caches")
    assert cache_folder() == Path("/caches/batchprop/compiled")
    bare.setenv("BATCHPROP_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    bare.setenv("BATCHPROP_CACHE", "OFF")
    assert cache_folder() is None


def test_cache_configured_by_the_user_is_kept(bare, tmp_path):
    bare.setenv("BATCHPROP_CACHE", str(tmp_path / "ours"))
    bare.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "theirs"))
    set_up_cache()
    assert not (tmp_path / "ours").exists()


def test_unwritable_cache_folder_does_not_fail_the_command(bare, tmp_path):
    (tmp_path / "file").write_text("")
    bare.setenv("BATCHPROP_CACHE", str(tmp_path / "file" / "cache"))
    set_up_cache()
