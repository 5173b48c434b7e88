"""Each test that the page of promises names is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs" / "promises.md").read_text())))


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_promise_names_a_test(file: str, name: str) -> None:
    assert f"def {name}(" in (ROOT / file).read_text(encoding="utf-8")


def test_every_promise_names_its_test() -> None:
    text = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")
    promises = re.findall(r"^- (.*?)(?=^- |^#|\n\n)", text, re.MULTILINE | re.DOTALL)
    assert len(promises) > 10
    assert [promise for promise in promises if "::test_" not in promise] == []
