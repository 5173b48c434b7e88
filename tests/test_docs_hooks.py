"""The generated documentation: output of code blocks, commands, names, tables, formulas."""

from __future__ import annotations

import pkgutil
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batchprop.cli.app import app
from docs_hooks.benchmark_tables import TABLES, format_ratio
from docs_hooks.blocks import FENCE, RUN, TRIED_ELSEWHERE, Block, find_blocks, parse_commands, run_document
from docs_hooks.command_line import command_parameters, render_commands
from docs_hooks.execution import execute_page, insert_frames, insert_output, relabel_console
from docs_hooks.formulas import render_formulas
from docs_hooks.gallery import find_pictures, render_gallery
from docs_hooks.google import strip_after_default, to_google_style
from docs_hooks.names import render_names

if TYPE_CHECKING:
    from playwright.sync_api import Browser

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


def test_find_blocks_returns_lines_and_skips_blocks_marked_not_run(document: Path) -> None:
    assert [(block.language, block.line) for block in find_blocks(document)] == [("python", 4)]


def test_page_shows_what_its_code_prints_and_saves(document: Path) -> None:
    output = execute_page(document)
    assert output.files == {"made.html": b"<p>made</p>"}
    assert [one.output for one in output.executed] == ["42\n"]

    shown = insert_output(PAGE, output.executed)
    assert shown.count("``` {.text .printed}\n42\n```") == 1
    framed = insert_frames(shown, output.files)
    assert '<iframe src="made.html" title="What was made"' in framed
    assert framed.count("<iframe") == 1
    assert framed.endswith("[Another page](other.html)\n")


def test_equal_blocks_keep_separate_outputs(tmp_path: Path) -> None:
    count = "```python\nn += 1\nprint(n)\n```\n\n"
    text = "```python\nn = 0\n```\n\n" + count + "<!-- not run: it is one too many -->\n" + count + count
    path = tmp_path / "page.md"
    path.write_text(text, encoding="utf-8")
    shown = insert_output(text, execute_page(path).executed)
    assert re.findall(r"{\.text \.printed}\n(.*)\n", shown) == ["1", "2"]


def test_console_block_with_an_untried_line_is_an_error() -> None:
    lines = "make demo\n# a comment\n\n. .venv/bin/activate\nbatchprop look \\\n  --rows 8  # few\n"
    assert parse_commands(Block("console", 1, lines)) == [["look", "--rows", "8"]]
    with pytest.raises(ValueError, match="nothing tries 'rm model'"):
        parse_commands(Block("console", 1, lines + "rm model\n"))


COMMAND = re.compile(
    rf"^(?:    |\t)\s*(?:{TRIED_ELSEWHERE.pattern}|batchprop |>>> |import |from \w+ import )"
)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_block_of_a_document_has_a_known_language(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    fences = list(FENCE.finditer(text))
    assert len(re.findall(r"^ *(?:```|~~~)", text, re.MULTILINE)) == 2 * len(fences), (
        "a fence without a language"
    )
    assert {fence["language"] for fence in fences} <= RUN
    for block in find_blocks(document):
        if block.language == "console":
            parse_commands(block)
    loose = FENCE.sub("", text).splitlines()
    assert not [line for line in loose if COMMAND.match(line)], "code that could run belongs between fences"


def test_exception_of_a_block_ends_the_build_at_its_line(tmp_path: Path) -> None:
    path = tmp_path / "wrong.md"
    path.write_text("```python\nassert 1 == 2\n```\n", encoding="utf-8")
    with pytest.raises(AssertionError) as error:
        run_document(path)
    assert (error.traceback[-1].path, error.traceback[-1].lineno) == (path, 1)

    path.write_text("```console\nbatchprop tidy\n```\n", encoding="utf-8")
    with pytest.raises(RuntimeError, match="line 2"):
        run_document(path)

    path.write_text("```console\nbatchprop play missing.csv --target x\n```\n", encoding="utf-8")
    with pytest.raises(RuntimeError, match=r"line 2[^$]*missing\.csv"):
        run_document(path)


def test_every_option_of_every_command_is_in_the_reference() -> None:
    text = render_commands()
    for command in app.registered_commands:
        part = text.split(f"## batchprop {command.name} ")[1].split("\n## ")[0]
        assert command.callback is not None
        for one in command_parameters(command.callback):
            assert one.info.help.split(".")[0].split("`")[0].split(" --")[0] in part, one.name
    for spelled in ("--map FILE", "--open/--no-open", "--task auto&#124;classification&#124;regression"):
        assert f"<code>{spelled}</code>" in text


def test_options_in_running_text_are_code() -> None:
    assert "With `--checkpoint-every`, `--resume` continues" in " ".join(render_commands().split())


def test_site_relabels_console_blocks_and_strips_defaults() -> None:
    assert relabel_console("```console\nmake demo\n```\n") == "```bash\nmake demo\n```\n"
    assert strip_after_default("(default:\n   <code>3</code>\n) –") == "(default:\n   <code>3</code>) –"


def test_tables_of_figures_come_from_the_results() -> None:
    for name, table in TABLES.items():
        lines = table().splitlines()
        assert len(lines) > 3, name
        assert len({line.count("|") for line in lines}) == 1, name
    pages = [(ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("measured.md", "how-good.md")]
    assert re.findall(r"^<!-- table: (.+) -->$", "\n".join(pages), re.MULTILINE) == list(TABLES)
    assert "scikit-learn" in TABLES["libraries"]()
    ratios = {"a": {"ratio": 279.86}, "b": {"ratio": 36.54}, "c": {"ratio": 0.951}}
    assert [format_ratio(ratios, name) for name in "abcd"] == ["280", "36.5", "0.95", "–"]


def test_a_source_becomes_a_paragraph_with_links() -> None:
    text = "Add.\n\nSource:\n    Goodfellow, arXiv 1510.01799; and\n    others.\n\nExample:\n    >>> 2\n    2"
    link = "[arXiv 1510.01799](https://arxiv.org/abs/1510.01799)"
    assert to_google_style(text) == (
        f"Add.\n\n**Source:** Goodfellow, {link}; and\nothers.\n\nExamples:\n    >>> 2\n    2"
    )


def test_doctests_become_examples() -> None:
    headed = to_google_style("Add.\n\nExample:\n    >>> 1 + 1\n    2")
    assert headed == "Add.\n\nExamples:\n    >>> 1 + 1\n    2"
    assert to_google_style("Add.\n\n>>> 1 + 1\n2\n\nMore.") == headed + "\n\nMore."


REFERENCE = sorted((ROOT / "docs" / "reference").glob("*.md"))
SHOWN = re.compile(r"^::: (?P<name>[\w.]+)$(?P<options>(?:\n {4}.*)*)", re.MULTILINE)
MEMBERS = re.compile(r"members: \[(?P<names>.*)\]")


@pytest.mark.parametrize("page", REFERENCE, ids=lambda page: page.stem)
def test_reference_shows_existing_names(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for shown in SHOWN.finditer(text):
        target = pkgutil.resolve_name(shown["name"])
        if (members := MEMBERS.search(shown["options"])) is not None:
            elsewhere = [
                member
                for member in members["names"].split(", ")
                if getattr(target, member).__module__ != shown["name"]
            ]
            assert not elsewhere, f"defined elsewhere than in {shown['name']}"


PACKAGES = ("callbacks", "data", "estimators", "export", "microscope", "plots", "privacy", "tabular")


def test_reference_shows_all_exports_of_the_packages() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in REFERENCE)
    whole = re.findall(r"^::: (batchprop[\w.]+)\n    options:", text, re.MULTILINE)
    for package in PACKAGES:
        for name in pkgutil.resolve_name(f"batchprop.{package}").__all__:
            home = getattr(pkgutil.resolve_name(f"batchprop.{package}"), name).__module__
            shown = re.search(rf"^::: ({home}|batchprop\.{package})\.{name}$", text, re.MULTILINE)
            assert shown or home in whole, name


def test_index_lists_every_exported_name_once() -> None:
    text = render_names(ROOT / "docs" / "reference")
    for name in ("MLPClassifier", "MLPClassifier.fit", "backprop", "BatchGradient.squared_norms", "sgd"):
        assert text.count(f"| [`{name}`][batchprop.") == 1, name
    for package in PACKAGES:
        for name in pkgutil.resolve_name(f"batchprop.{package}").__all__:
            assert f"| [`{name}`][" in text, name


def test_formulas_become_mathml() -> None:
    assert render_formulas('<span class="arithmatex">\\(a &lt; b\\)</span>').startswith("<math ")
    block = render_formulas('<div class="arithmatex">\\[\ndW = \\frac{1}{m} dZ H^\\top\n\\]</div>')
    assert 'display="block"' in block
    assert "<mfrac>" in block


def test_gallery_has_a_card_for_each_picture() -> None:
    page = "# Plots\n\n## A curve\n\n![It falls](images/curve.png)\n\n[Eight digits](digits.html#forward-1)\n"
    pictures = find_pictures("tutorial/plots.md", page)
    assert [(one.title, one.file) for one in pictures] == [
        ("Plots: A curve", "tutorial/images/curve.png"),
        ("Plots: A curve", "tutorial/digits.html#forward-1"),
    ]
    gallery = render_gallery(pictures)
    assert '<a class="card" href="tutorial/plots.html"><img src="thumbnails/curve.png" ' in gallery
    assert "<b>Plots: A curve</b><span>It falls</span>" in gallery
    assert "- [Eight digits](tutorial/digits.html), from [Plots: A curve](tutorial/plots.md)" in gallery


_LESSONS = """
<div class="frame"><iframe srcdoc="<p>first</p>"></iframe></div>
<div class="lesson" data-until="step=loss left_out=7"><details></details></div>
<div class="lesson" data-until="left_out.length=2"></div>
<div class="frame"><iframe srcdoc="<p>second</p>"></iframe></div>
<div class="lesson" data-until="batchSize=1 step>=200"></div>
"""


def test_lesson_is_done_once_the_page_before_it_is_as_it_asks(browser: Browser) -> None:
    page = browser.new_page()
    page.set_content(_LESSONS)
    page.add_script_tag(path=ROOT / "docs" / "scripts" / "site.js")
    for frame, told, done in (
        (0, {"step": "loss", "left_out": [5]}, []),
        (0, {"step": "loss", "left_out": [7]}, [0]),
        (1, {"address": "batchSize=1&step=199"}, [0]),
        (0, {"address": "batchSize=1&step=200"}, [0]),
        (1, {"address": "batchSize=1&step=1200"}, [0, 2]),
        (0, {"step": "update-1", "left_out": [0, 1]}, [0, 1, 2]),
    ):
        page.frames[frame + 1].evaluate(
            "async told => { parent.postMessage({ kind: 'batchprop', ...told }, '*'); }", told
        )
        page.evaluate("new Promise(done => setTimeout(done))")
        states = page.locator(".lesson-state").all_inner_texts()
        assert [n for n, state in enumerate(states) if state == "✓ Done"] == done
    assert page.locator("details").get_attribute("open") is not None
    page.close()


def test_every_lesson_stands_below_a_live_page_and_asks_for_what_that_page_tells() -> None:
    told = {"selected", "step", "left_out", "left_out.length", "batchSize"}
    lessons = 0
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        for lesson in re.finditer(r'<div class="lesson" data-until="([^"]+)" markdown>', text):
            lessons += 1
            assert insert_frames(text[: lesson.start()], dict.fromkeys(saved_pages(text), b"")).count(
                "<iframe"
            )
            assert {re.split(">?=", condition)[0] for condition in lesson[1].split()} <= told
    assert lessons == 5


def saved_pages(text: str) -> list[str]:
    """The pages that the code of a document saves."""
    return re.findall(r'\.save\("([\w-]+\.html)"\)', text)
