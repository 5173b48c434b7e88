"""What the documentation site makes while it is built: blocks that are run, commands, tables of figures."""

from __future__ import annotations

import pkgutil
import re
from pathlib import Path

import pytest

from batchprop.cli.app import app
from docs_hooks.blocks import FENCE, RUN, TRIED_ELSEWHERE, Block, blocks, commands, run
from docs_hooks.command_line import parameters, reference
from docs_hooks.google import in_google_style, without_blanks
from docs_hooks.made import as_shell, make, with_frames, with_output
from docs_hooks.measured import TABLES, three_digits

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("**/*.md")])

PAGE = """# A page

```python
from pathlib import Path
print(6 * 7)
Path("made.html").write_text("<p>made</p>")
```

<!-- not run: it would end the tests -->
```python
raise SystemExit
```

[What was made](made.html)

[Another page](other.html)
"""


@pytest.fixture
def document(tmp_path: Path) -> Path:
    path = tmp_path / "page.md"
    path.write_text(PAGE, encoding="utf-8")
    return path


def test_blocks_know_their_line_and_leave_out_what_is_not_run(document: Path) -> None:
    assert [(block.language, block.line) for block in blocks(document)] == [("python", 4)]


def test_a_page_shows_what_it_printed_and_saved(document: Path) -> None:
    made = make(document)
    assert made.files == {"made.html": b"<p>made</p>"}
    assert [one.printed for one in made.ran] == ["42\n"]

    shown = with_output(PAGE, made.ran)
    assert shown.count("``` {.text .printed}\n42\n```") == 1
    framed = with_frames(shown, made.files)
    assert '<iframe src="made.html" title="What was made"' in framed
    assert framed.count("<iframe") == 1
    assert framed.endswith("[Another page](other.html)\n")


def test_equal_blocks_have_outputs_of_their_own(tmp_path: Path) -> None:
    count = "```python\nn += 1\nprint(n)\n```\n\n"
    text = "```python\nn = 0\n```\n\n" + count + "<!-- not run: it is one too many -->\n" + count + count
    path = tmp_path / "page.md"
    path.write_text(text, encoding="utf-8")
    shown = with_output(text, make(path).ran)
    assert re.findall(r"{\.text \.printed}\n(.*)\n", shown) == ["1", "2"]


def test_a_console_block_holds_nothing_that_nobody_tries() -> None:
    lines = "make demo\n# a comment\n\n. .venv/bin/activate\nbatchprop look \\\n  --rows 8  # few\n"
    assert commands(Block("console", 1, lines)) == [["look", "--rows", "8"]]
    with pytest.raises(ValueError, match="nothing tries 'rm model'"):
        commands(Block("console", 1, lines + "rm model\n"))


COMMAND = re.compile(
    rf"^(?:    |\t)\s*(?:{TRIED_ELSEWHERE.pattern}|batchprop |>>> |import |from \w+ import )"
)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_block_of_a_document_is_known(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    fences = list(FENCE.finditer(text))
    assert len(re.findall(r"^ *(?:```|~~~)", text, re.MULTILINE)) == 2 * len(fences), (
        "a fence without a language"
    )
    assert {fence["language"] for fence in fences} <= RUN
    for block in blocks(document):
        if block.language == "console":
            commands(block)
    loose = FENCE.sub("", text).splitlines()
    assert not [line for line in loose if COMMAND.match(line)], "code that could run belongs between fences"


def test_what_a_block_raises_ends_the_build_at_its_line(tmp_path: Path) -> None:
    path = tmp_path / "wrong.md"
    path.write_text("```python\nassert 1 == 2\n```\n", encoding="utf-8")
    with pytest.raises(AssertionError) as found:
        run(path)
    assert (found.traceback[-1].path, found.traceback[-1].lineno) == (path, 1)

    path.write_text("```console\nbatchprop tidy\n```\n", encoding="utf-8")
    with pytest.raises(RuntimeError, match="line 2"):
        run(path)


def test_every_option_of_every_command_is_in_the_reference() -> None:
    text = reference()
    for command in app.registered_commands:
        part = text.split(f"## batchprop {command.name} ")[1].split("\n## ")[0]
        assert command.callback is not None
        for one in parameters(command.callback):
            assert one.info.help.split(".")[0].split("`")[0].split(" --")[0] in part, one.name
    for spelled in ("--map FILE", "--open/--no-open", "--task auto&#124;classes&#124;numbers"):
        assert f"<code>{spelled}</code>" in text


def test_options_in_a_text_are_code() -> None:
    assert "With `--checkpoint-every`, `--resume` goes on" in " ".join(reference().split())


def test_what_the_site_shows_otherwise() -> None:
    assert as_shell("```console\nmake demo\n```\n") == "```bash\nmake demo\n```\n"
    assert without_blanks("(default:\n   <code>3</code>\n) –") == "(default:\n   <code>3</code>) –"


def test_figures_come_from_the_results() -> None:
    for name, table in TABLES.items():
        lines = table().splitlines()
        assert len(lines) > 3, name
        assert len({line.count("|") for line in lines}) == 1, name
    measured = (ROOT / "docs" / "measured.md").read_text(encoding="utf-8")
    assert re.findall(r"^<!-- table: (.+) -->$", measured, re.MULTILINE) == list(TABLES)
    assert "scikit-learn" in TABLES["libraries"]()
    ratios = {"a": {"ratio": 279.86}, "b": {"ratio": 36.54}, "c": {"ratio": 0.951}}
    assert [three_digits(ratios, name) for name in "abcd"] == ["280", "36.5", "0.95", "–"]


def test_a_source_becomes_a_paragraph_with_links() -> None:
    text = "Add.\n\nSource:\n    Goodfellow, arXiv 1510.01799; and\n    others.\n\nExample:\n    >>> 2\n    2"
    link = "[arXiv 1510.01799](https://arxiv.org/abs/1510.01799)"
    assert in_google_style(text) == (
        f"Add.\n\n**Source:** Goodfellow, {link}; and\nothers.\n\nExamples:\n    >>> 2\n    2"
    )


def test_doctests_become_examples() -> None:
    headed = in_google_style("Add.\n\nExample:\n    >>> 1 + 1\n    2")
    assert headed == "Add.\n\nExamples:\n    >>> 1 + 1\n    2"
    assert in_google_style("Add.\n\n>>> 1 + 1\n2\n\nMore.") == headed + "\n\nMore."


REFERENCE = sorted((ROOT / "docs" / "reference").glob("*.md"))
SHOWN = re.compile(r"^::: (?P<name>[\w.]+)$(?P<options>(?:\n {4}.*)*)", re.MULTILINE)
MEMBERS = re.compile(r"members: \[(?P<names>.*)\]")


@pytest.mark.parametrize("page", REFERENCE, ids=lambda page: page.stem)
def test_the_reference_names_what_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for shown in SHOWN.finditer(text):
        found = pkgutil.resolve_name(shown["name"])
        if (members := MEMBERS.search(shown["options"])) is not None:
            elsewhere = [
                member
                for member in members["names"].split(", ")
                if getattr(found, member).__module__ != shown["name"]
            ]
            assert not elsewhere, f"defined elsewhere than in {shown['name']}"


def test_the_reference_shows_all_that_packages_export() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in REFERENCE)
    for package in ("callbacks", "estimators", "examples", "export", "privacy", "tables", "view"):
        for name in pkgutil.resolve_name(f"batchprop.{package}").__all__:
            assert re.search(rf"^::: batchprop\.{package}\.(\w+\.)?{name}$", text, re.MULTILINE), name
