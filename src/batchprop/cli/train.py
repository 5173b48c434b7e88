"""`batchprop train`: its options."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, get_args

import typer

from batchprop.cli.extras import require_tables
from batchprop.cli.settings import TrainOptions, parse_batch_size, parse_hidden, parse_interval

EXAMPLES = """Examples:

batchprop train

batchprop train flowers.csv --target species

batchprop train houses.parquet --target price --hidden 256,128 --dropout 0.1 --out price-model

batchprop train visits.csv --target visits --task numbers --loss poisson --epochs 50

batchprop train houses.parquet --target price --engine numpy --out numpy-model

batchprop train data/*.parquet --target sold --checkpoint-every 5min --memory 4GB

batchprop train data/*.parquet --target sold --resume
"""

Activation: TypeAlias = Literal[
    "identity", "sigmoid", "logistic", "tanh", "relu", "leaky_relu", "elu", "selu", "gelu", "silu",
    "mish", "softplus",
]  # fmt: skip
Solver: TypeAlias = Literal["sgd", "adam", "adamw", "lbfgs"]
Schedule: TypeAlias = Literal["constant", "invscaling", "adaptive", "cosine", "warmup_cosine", "one_cycle"]
Engine: TypeAlias = Literal["auto", "numpy", "jax"]
Precision: TypeAlias = Literal["float32", "tensorfloat32", "bfloat16"]
Loss: TypeAlias = Literal["squared_error", "absolute_error", "huber", "quantile", "poisson"]

_table = partial(typer.Option, rich_help_panel="The table")
_network = partial(typer.Option, rich_help_panel="The network")
_training = partial(typer.Option, rich_help_panel="The training")
_machine = partial(typer.Option, rich_help_panel="The machine")
_files = partial(typer.Option, rich_help_panel="The files")


def _one_of(names: object) -> str:
    return ", ".join(get_args(names))


def train(
    data: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="DATA",
            help="CSV, TSV or Parquet files (text also packed, .csv.gz or .csv.zst), or a folder of such. "
            "Without it: the digits.",
        ),
    ] = None,
    *,
    target: Annotated[
        str | None, _table(metavar="COLUMN", help="The column to predict; needed with DATA.")
    ] = None,
    task: Annotated[
        Literal["auto", "classes", "numbers"],
        _table(help="What the target holds; auto tells by its values and says how."),
    ] = "auto",
    weights: Annotated[
        str | None, _table(metavar="COLUMN", help="A column that says how much each row counts.")
    ] = None,
    test_fraction: Annotated[
        float, _table(metavar="SHARE", min=0.01, max=0.9, help="The share of rows kept for the test.")
    ] = 0.2,
    memory: Annotated[
        str | None,
        _table(
            metavar="AMOUNT",
            help="What training may take, as 4GB; a larger table is read a part at a time in every epoch.",
            show_default="a quarter of the free memory",
        ),
    ] = None,
    on_bad_row: Annotated[
        Literal["error", "skip"],
        _table(
            help="What becomes of a row that does not parse, or has no target; skip lists them in a file."
        ),
    ] = "error",
    max_skipped: Annotated[
        float,
        _table(metavar="SHARE", min=0.0, max=1.0, help="The share of rows that skip may leave out at most."),
    ] = 0.01,
    hidden: Annotated[
        str, _network(metavar="WIDTHS", help="Widths of the hidden layers, as 256,128; or none.")
    ] = "128",
    activation: Annotated[
        Activation,
        _network(metavar="NAME", help=f"Of every hidden layer: {_one_of(Activation)}."),
    ] = "relu",
    loss: Annotated[
        Loss | None,
        _network(
            metavar="NAME",
            help=f"For numbers: {_one_of(Loss)}. Classes have cross-entropy. "
            "Huber's loss is squared up to one standard deviation of the target, absolute beyond.",
            show_default="squared_error",
        ),
    ] = None,
    quantile: Annotated[
        float | None,
        _network(
            metavar="SHARE",
            min=0.001,
            max=0.999,
            help="With --loss quantile: which, as 0.9.",
            show_default="0.5, the median",
        ),
    ] = None,
    solver: Annotated[
        Solver, _training(help="The optimiser; lbfgs takes all rows at once, and no learning rate.")
    ] = "adam",
    learning_rate: Annotated[
        float, _training(metavar="NUMBER", min=1e-12, help="The length of a step.")
    ] = 0.001,
    schedule: Annotated[
        Schedule,
        _training(metavar="NAME", help=f"Of the learning rate: {_one_of(Schedule)}."),
    ] = "constant",
    batch_size: Annotated[
        str, _training(metavar="ROWS", help="Rows a step: a number, auto (at most 200), or full.")
    ] = "32",
    epochs: Annotated[int, _training(metavar="NUMBER", min=1, help="The most passes over the rows.")] = 200,
    patience: Annotated[
        int,
        _training(
            metavar="EPOCHS",
            min=1,
            help="Stop when more epochs than this pass without a better validation loss; "
            "not with --solver lbfgs, which stops where no step lowers the loss.",
        ),
    ] = 15,
    dropout: Annotated[
        float,
        _training(metavar="SHARE", min=0.0, max=0.99, help="The share of hidden units left out."),
    ] = 0.0,
    max_grad_norm: Annotated[
        float | None,
        _training(
            metavar="NUMBER",
            min=1e-12,
            help="Cut a step's gradient to this norm, as 1, if training diverges.",
            show_default="no limit",
        ),
    ] = None,
    alpha: Annotated[
        float, _training(metavar="NUMBER", min=0.0, help="The L2 penalty on the weights.")
    ] = 1e-4,
    class_weight: Annotated[
        Literal["balanced"] | None, _training(help="Let rare classes count more.")
    ] = None,
    label_smoothing: Annotated[
        float | None,
        _training(
            metavar="SHARE",
            min=0.0,
            max=0.99,
            help="How much of each label is spread over all classes: often better classes, "
            "always duller probabilities.",
            show_default="0; for the digits 0.1",
        ),
    ] = None,
    seed: Annotated[
        int,
        _training(
            metavar="NUMBER",
            min=0,
            max=2**32 - 1,
            help="Of the split, the first weights and the order of rows.",
        ),
    ] = 0,
    record: Annotated[
        bool,
        _training(
            "--record",
            help="Keep how the network fared with each row: the report lists the most suspicious ones, and "
            "`batchprop look` shows the training.",
        ),
    ] = False,
    on_divergence: Annotated[
        Literal["error", "rewind"],
        _training(
            help="If the loss stops being finite: rewind goes back to the best epoch and halves the learning "
            "rate, up to 3 times."
        ),
    ] = "error",
    checkpoint_every: Annotated[
        str | None,
        _files(
            metavar="TIME",
            help="Keep the state of the training in OUT.checkpoints, every so often, as 5min, or every so "
            "many epochs, as 10.",
            show_default="never",
        ),
    ] = None,
    resume: Annotated[
        bool,
        _files(
            "--resume",
            help="Go on from the last checkpoint, if there is one, to the model that there would have been.",
        ),
    ] = False,
    engine: Annotated[
        Engine,
        _machine(help="auto takes JAX where it is installed and the work repays compiling, else NumPy."),
    ] = "auto",
    device: Annotated[
        str | None,
        _machine(metavar="NAME", help="Where JAX trains: cpu, gpu, tpu.", show_default="JAX's own choice"),
    ] = None,
    precision: Annotated[
        Precision | None,
        _machine(
            metavar="NAME",
            help=f"Of matrix products, where the device offers it: {_one_of(Precision)}.",
            show_default="the device's own",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        _files(metavar="FOLDER", help="What to write.", show_default="named after DATA: flowers-model"),
    ] = None,
    force: Annotated[bool, _files("--force", help="Replace a model in that folder.")] = False,
) -> None:
    """Train a network on a table, and save it in a folder with its scores, learning curve and a report.

    Columns are encoded by what they hold; a part of the rows is kept for the
    test, another tells when to stop. Ctrl-C ends the training early: the best
    weights so far are saved, and the exit code is 130; SIGTERM likewise, with
    143. With --checkpoint-every, --resume goes on from there.
    """
    settings = TrainOptions(
        **_tables(data),
        target=target,
        task=None if task == "auto" else task,
        weights=weights,
        test_fraction=test_fraction,
        hidden=parse_hidden(hidden),
        activation=activation,
        loss=loss,
        quantile=quantile,
        solver=solver,
        learning_rate=learning_rate,
        schedule=schedule,
        batch_size=parse_batch_size(batch_size),
        epochs=epochs,
        patience=patience,
        dropout=dropout,
        max_grad_norm=max_grad_norm,
        alpha=alpha,
        class_weight=class_weight,
        label_smoothing=label_smoothing if label_smoothing is not None else _smoothing(data),
        seed=seed,
        engine=engine,
        device=device,
        precision=precision,
        out=out or Path(f"{_name(data)}-model"),
        record=record,
        memory=None if memory is None else in_bytes(memory),
        on_bad_row=on_bad_row,
        max_skipped=max_skipped,
        on_divergence=on_divergence,
        checkpoint_every=parse_interval(checkpoint_every, resume=resume),
        resume=resume,
        force=force,
    )
    settings.check()
    with require_tables():
        from batchprop.cli.train_command import train_command
    raise typer.Exit(train_command(settings))


def _tables(data: list[Path] | None) -> dict[str, Any]:
    return {"data": data[0], "more_data": tuple(data[1:])} if data else {}


def _name(data: list[Path] | None) -> str:
    """What a model is called after: its table, or the folder of several."""
    if not data:
        return "digits"
    first = data[0]
    if len(data) > 1 or set("*?[") & set(first.name):
        return first.resolve().parent.name or "table"
    if first.is_dir():
        return first.resolve().name or "table"
    return Path(first.stem).stem if first.suffix.lower() in {".gz", ".zst"} else first.stem


def in_bytes(amount: str) -> int:
    """Return how many bytes an amount of memory is, such as 4GB.

    Raises:
        ParameterError: it is no amount, or less than 1 MiB.
    """
    with require_tables():
        from batchprop.data.memory import parse_memory
    return parse_memory(amount)


def _smoothing(data: list[Path] | None) -> float:
    # Smooth labels gain the digits 1% accuracy; a table may need the honest probabilities more.
    return 0.0 if data else 0.1
