"""The page's training is the library's: the same weights, batches and settings give the same."""

from __future__ import annotations

from functools import cache
from itertools import cycle, product
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.testing import assert_allclose

from batchprop.activations import ACTIVATIONS
from batchprop.backprop import backprop
from batchprop.heads import HEADS
from batchprop.objective import LossAndGradient, Objective, add_l2_penalty
from batchprop.optimizers import OPTIMIZERS
from batchprop.playground.repeat import make_masks, make_network, minibatches
from batchprop.playground.toy_datasets import TOY_DATASETS, make_toy
from batchprop.training import TrainConfig, apply_gradient, init_state
from tests.playground.worker import ask_worker

N, M, STEPS = 40, 8, 100
SIZES, DEEP = (3, 5, 3), (3, 5, 4, 3)
PLAIN = {"alpha": 0.0, "dropout": 0.0, "maxNorm": 0.0}


class Case(NamedTuple):
    """A training that both take."""

    activation: str
    head: str
    optimizer: str
    objective: dict[str, float] = PLAIN
    sizes: tuple[int, ...] = DEEP
    rate: float = 0.01


NAMES = [name for name in ACTIVATIONS if name != "logistic"]
CASES = [
    # Every head with every optimizer. An activation knows of neither, so they take turns.
    *(
        Case(activation, head, optimizer, sizes=SIZES)
        for activation, (head, optimizer) in zip(cycle(NAMES), product(HEADS, OPTIMIZERS), strict=False)
    ),
    *(Case(name, "softmax", "sgd") for name in NAMES),
    Case("tanh", "softmax", "sgd", {"alpha": 0.5, "dropout": 0.0, "maxNorm": 0.0}),
    Case("relu", "squared_error", "momentum", {"alpha": 0.0, "dropout": 0.0, "maxNorm": 0.2}),
    Case("gelu", "softmax", "adam", {"alpha": 0.1, "dropout": 0.3, "maxNorm": 0.5}),
]


def flat(layers: Any) -> np.ndarray:
    """All parameters in one row, W by rows before b."""
    return np.concatenate([np.ravel(theta) for layer in layers for theta in layer])


@cache
def table(head: str) -> tuple[np.ndarray, np.ndarray]:
    """Inputs, and targets that the head can learn."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, SIZES[0])).astype(np.float32)
    labels = np.eye(SIZES[-1])[rng.integers(0, SIZES[-1], N)]
    Y = {"softmax": labels, "sigmoid": labels, "poisson": rng.poisson(2.0, (N, SIZES[-1]))}.get(
        head, rng.normal(size=(N, SIZES[-1]))
    )
    return X, np.asarray(Y, dtype=np.float32)


@cache
def batches() -> list[np.ndarray]:
    """The rows of every step."""
    sampler = minibatches(np.arange(N), M, seed=3)
    return [next(sampler) for _ in range(STEPS)]


def train_library(case: Case) -> dict[str, Any]:
    """Take the steps with the library, and return what the worker returns."""
    X, Y = table(case.head)
    net = make_network(case.sizes, case.activation, case.head, seed=1)
    options = case.objective
    objective = Objective(alpha=options["alpha"] or None, max_grad_norm=options["maxNorm"] or None)
    config = TrainConfig(net, OPTIMIZERS[case.optimizer](), objective)
    state, losses = init_state(config), []
    for number, rows in enumerate(batches()):
        net = net.replace_layers(state.layers)
        masks = make_masks(net, len(rows), options["dropout"], 3, number) if options["dropout"] else None
        step = backprop(net, X[rows].T, Y[rows].T, masks=masks)
        total = LossAndGradient(step.loss, step.gradient.mean())
        total = add_l2_penalty(total, state.layers, objective, 1 / len(rows))
        losses.append(float(total.loss))
        state = apply_gradient(config, state, total.gradient, case.rate)
    g = step.gradient
    tensors = [(g.tensor(k), g.bias_matrix(k)) for k in range(len(case.sizes) - 1)]
    examples = [flat((W[..., i], b[:, i]) for W, b in tensors) for i in range(M)]
    return {
        "theta": flat(state.layers), "losses": losses, "noise": [float(one) for one in g.noise()],
        "examples": examples, "norms": g.squared_norms(), "gram": g.gram().ravel(), "P": step.P.T.ravel(),
    }  # fmt: skip


def described(case: Case) -> dict[str, Any]:
    """A case as the worker takes it."""
    X, Y = table(case.head)
    theta = flat(make_network(case.sizes, case.activation, case.head, seed=1).layers)
    return {
        "sizes": case.sizes, "activation": case.activation, "head": case.head, "optimizer": case.optimizer,
        "objective": case.objective, "rate": case.rate, "seed": 3, "theta": theta.tolist(),
        "X": X.ravel().tolist(), "Y": Y.ravel().tolist(), "batches": [rows.tolist() for rows in batches()],
    }  # fmt: skip


def test_page_trains_as_the_library_does() -> None:
    answers = ask_worker([("train", described(case)) for case in CASES])
    wrong = []
    for case, answer in zip(CASES, answers, strict=True):
        for name, library in train_library(case).items():
            expected = np.asarray(library, dtype=float)
            error = np.abs(np.array(answer[name], dtype=float) - expected).max() / np.abs(expected).max()
            if not error < 1e-4:
                wrong.append((case, name, error))
    assert wrong == []


def test_rows_held_out_are_evaluated_along_the_steps_of_a_link() -> None:
    (answer,) = ask_worker([("session", {"settings": {}, "log": [], "step": 20})])
    steps = [entry["step"] for entry in answer["state"]["validation"]]
    # How many lie between depends on the time of an evaluation; no picture was asked for before the end.
    assert (steps[0], steps[-1]) == (0, 20)


@pytest.mark.parametrize("name", TOY_DATASETS)
def test_toy_data_sets_are_the_same_points(name: str) -> None:
    X, Y = make_toy(name, 60, 0.1, 7)
    (toy,) = ask_worker([("toy", [name, 60, 0.1, 7])])
    assert_allclose(np.reshape(toy["X"], X.shape), X, atol=1e-6)
    values = Y.argmax(axis=1) if TOY_DATASETS[name].is_classification else Y[:, 0]
    assert_allclose(toy["values"], values, atol=1e-6)
    assert toy["title"] == TOY_DATASETS[name].title


def test_table_of_a_file_is_encoded() -> None:
    text = "age;town;id;same;kind\n1,5;Köln;a1;x;yes\n2,5;Bonn;a2;x;no\n;Köln;a3;x;yes\n3,5;;a4;x;no\n"
    text += "9;Bonn;a5;x;NA\n2,5;Köln;a6;x;no\n"
    rest = "".join(f"{k},5;Bonn;b{k};x;yes\n" for k in range(40))
    (table,) = ask_worker([("table", {"name": "t.csv", "text": text + rest, "target": "kind"})])
    assert table["features"] == ["age", "town = Bonn", "town = Köln"]
    assert (table["task"], table["outputs"]) == ("classes", ["no", "yes"])
    assert table["values"][:5] == [1, 0, 1, 0, 0]
    X = np.reshape(table["X"], (45, 3))
    assert_allclose([X[:, 0].mean(), X[2, 0]], 0, atol=1e-6)  # the gap stands at the mean
    assert X[:4, 1:].tolist() == [[0, 1], [1, 0], [0, 1], [0, 0]]
    assert table["rows"][4] == "line 7"  # line 6 has no target
    assert table["notes"] == [
        "1 row without a target left out", "1 gap in “age” stands at its mean",
        "1 gap in “town” is none of its words", "“id” has 45 different words and is left out",
        "“same” is constant and left out",
    ]  # fmt: skip


def test_decimal_commas_are_read_where_a_whole_column_has_them() -> None:
    rows = [(1.5 + k, 998.25 + k, k % 3) for k in range(30)]
    text = "x;y;n;day\n" + "".join(
        f"{x:.2f};{y:,.2f};{n};{k % 28 + 1:02}.06.2022\n" for k, (x, y, n) in enumerate(rows)
    )
    german = text.translate(str.maketrans(",.", ".,")).replace(",06,", ".06.")
    plain, read, tabs, mixed = ask_worker(
        [
            ("table", {"name": "t.csv", "text": given, "target": target})
            for given, target in (
                (text.replace(",", ""), "y"),
                (german, "y"),
                (german.replace(";", "\t"), "n"),
                (german.replace(";", "\t"), "y"),
            )
        ]
    )
    assert (read["task"], read["X"], read["values"]) == ("numbers", plain["X"], plain["values"])
    assert "“day” looks like dates and is left out: `batchprop play t.csv` reads them" in read["notes"]
    assert "is left to predict from: “x” looks like numbers with decimal commas" in tabs["error"]
    assert "`batchprop play t.csv --target y` does" in mixed["error"]


def test_plane_opens_on_numbers_and_draws_words_as_bands() -> None:
    rows = [(k % 11, "ja" if k % 2 else "nein", k % 5, k % 2) for k in range(60)]
    texts = [
        "size;twin;promo;shop;target\n"
        + "".join(f"{a};{2 * a + c / 9};{b};{c};{d}\n" for a, b, c, d in rows),
        "promo;target\n" + "".join(f"{b};{d}\n" for _, b, _, d in rows),
    ]
    numbers, words = ask_worker(
        [
            (
                "session",
                {"settings": {}, "calls": [["readFile", "t.csv", text], ["chooseTarget", "target"]]},
            )
            for text in texts
        ]
    )
    data, axes = numbers["setup"]["data"], numbers["setup"]["settings"]["axes"]
    # The words hold the target itself, and yet as axes they would show two dots; size and its twin a line.
    assert [data["features"][axis] for axis in axes][-1:] == ["shop"]
    data = words["setup"]["data"]
    x, y = np.reshape(data["points"], (2, 60))
    assert len(set(x)) == len(set(y)) == 60
    is_yes = [b == "ja" for _, b, _, _ in rows]
    assert_allclose(x, is_yes, atol=0.06 + 1e-6)
    assert "the two values of “promo = ja” drawn as bands" in data["notes"]


@pytest.mark.parametrize(
    ("names", "length", "short"),
    [
        (["price", "customers"], 6, ["price", "custo…"]),
        (["date_day", "date_weekday", "date_year"], 6, ["d…_day", "d…kday", "d…year"]),
        (["missingindicator_age"], 12, ["gap: age"]),
        (["same name", "same name"], 5, ["same…", "same…"]),
    ],
)
def test_names_are_cut_where_they_do_not_differ(names: list[str], length: int, short: list[str]) -> None:
    assert ask_worker([("shorten", [names, length])]) == [short]


@pytest.mark.parametrize(
    ("text", "target", "words"),
    [
        ("a,b\n1,2\n1\n", "b", "line 3: 1 cell, where the first line names 2 columns"),
        ("a,a\n1,2\n", "a", "two columns of one name"),
        ("a,b\n" + "1,x\n2,y\n" * 2, "b", "too few rows with a target (4)"),
        ("a,b\n" + "1,x\n2,x\n" * 9, "b", "holds one class only"),
        ("a,b\n" + "1,x\n1,y\n" * 9, "b", "no column of t.csv is left"),
        (
            "a,b\n" + "".join(f"{k},w{k}\n" for k in range(12)),
            "b",
            "12 classes: the playground takes up to 10",
        ),
        ("a,b\n1,2\n", "c", "no column “c”: it has a, b"),
    ],
)
def test_table_that_cannot_be_learned_is_refused(text: str, target: str, words: str) -> None:
    (answer,) = ask_worker([("table", {"name": "t.csv", "text": text, "target": target})])
    assert words in answer["error"]


def test_long_file_is_sampled_and_whole_numbers_are_classes_only_if_few() -> None:
    rows = "".join(f"{k % 97},{k % 3},{k}\n" for k in range(6000))
    few, many = ask_worker(
        [
            ("table", {"name": "t.csv", "text": f"x,few,many\n{rows}", "target": name})
            for name in ("few", "many")
        ]
    )
    assert (few["task"], len(few["rows"]), many["task"]) == ("classes", 5000, "numbers")
    assert few["notes"] == ["5,000 of 6,000 rows, drawn at random"]
