"""Train on a table, predict, examine and export: what must work with every set of supported versions."""

import contextlib
import platform
import random
import sys
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from batchprop.cli import main

ROWS = 160


def write_table(path: Path) -> None:
    """Write a table of every kind of column."""
    draw = random.Random(0)
    lines = ["width,colour,day,kind,size"]
    for _ in range(ROWS):
        width = draw.gauss(0, 1)
        word, day = draw.choice(["red", "blue"]), draw.randrange(1, 28)
        kind = "wide" if width > 0 else "narrow"
        lines.append(f"{width:.3f},{word},2020-01-{day:02d},{kind},{3 * width:.3f}")
    path.write_text("\n".join(lines) + "\n")


def run(*words: str) -> None:
    """Run one command; it must exit with 0."""
    sys.argv = ["batchprop", *words]
    try:
        main()
    except SystemExit as done:
        if done.code:
            raise


with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
    write_table(Path("shapes.csv"))
    train = ("train", "shapes.csv", "--engine", "numpy", "--hidden", "8")
    run(*train, "--target", "kind", "--epochs", "30", "--learning-rate", "0.01", "--out", "kinds")
    run(*train, "--target", "size", "--epochs", "3", "--out", "sizes", "--checkpoint-every", "1")
    if find_spec("jax"):
        run(*train, "--target", "kind", "--epochs", "2", "--engine", "jax", "--out", "compiled")
    run("predict", "kinds", "shapes.csv", "--proba", "--out", "kinds.csv")
    run("predict", "sizes", "shapes.csv", "--out", "sizes.parquet")
    run("examine", "shapes.csv", "--target", "kind", "--epochs", "2", "--engine", "numpy")
    for model in ("kinds", "sizes"):
        run("export", model, "--onnx", f"{model}.onnx", "--weights", f"{model}.safetensors")
    answers = Path("kinds.csv").read_text().splitlines()[1:]
    given = [line.split(",")[3] for line in Path("shapes.csv").read_text().splitlines()[1:]]
    right = sum(answer.split(",")[0] == label for answer, label in zip(answers, given, strict=True))
    assert right > 0.9 * ROWS, f"only {right} of {ROWS} answers are right"

names = ("numpy", "scipy", "scikit-learn", "pandas", "pyarrow", "skops", "onnx")
print(f"Python {platform.python_version()};", "; ".join(f"{name} {version(name)}" for name in names))
