"""`batchprop train`: its options."""

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import typer

from batchprop.cli.extra import tables_extra
from batchprop.cli.settings import Settings, parse_batch_size, parse_hidden

EXAMPLES = """Examples:

batchprop train

batchprop train flowers.csv --target species

batchprop train houses.parquet --target price --hidden 256,128 --dropout 0.1 --out price-model

batchprop train visits.csv --target visits --task numbers --loss poisson --epochs 50
"""

Activation: TypeAlias = Literal[
    "identity", "sigmoid", "logistic", "tanh", "relu", "leaky_relu", "elu", "selu", "gelu", "silu",
    "mish", "softplus",
]  # fmt: skip
Solver: TypeAlias = Literal["sgd", "adam", "adamw", "lbfgs"]
Schedule: TypeAlias = Literal["constant", "invscaling", "adaptive", "cosine", "warmup_cosine", "one_cycle"]
Loss: TypeAlias = Literal["squared_error", "absolute_error", "huber", "quantile", "poisson"]

_NETWORK, _TRAINING, _FILES = "The network", "The training", "The files"


def train(
    data: Annotated[
        Path | None,
        typer.Argument(metavar="[DATA]", help="A CSV, TSV or Parquet file. Without it: the digits."),
    ] = None,
    *,
    target: Annotated[str | None, typer.Option(help="The column to predict; needed with DATA.")] = None,
    task: Annotated[
        Literal["auto", "classes", "numbers"],
        typer.Option(help="What the target holds; auto tells by its values and says how."),
    ] = "auto",
    weights: Annotated[str | None, typer.Option(help="A column that says how much each row counts.")] = None,
    test_fraction: Annotated[
        float, typer.Option(min=0.01, max=0.9, help="The share of rows kept for the test.")
    ] = 0.2,
    hidden: Annotated[
        str,
        typer.Option(help="Widths of the hidden layers, as 256,128.", rich_help_panel=_NETWORK),
    ] = "128",
    activation: Annotated[
        Activation, typer.Option(help="Of every hidden layer.", rich_help_panel=_NETWORK)
    ] = "relu",
    loss: Annotated[
        Loss | None,
        typer.Option(
            help="For numbers; classes use cross-entropy.",
            show_default="squared_error",
            rich_help_panel=_NETWORK,
        ),
    ] = None,
    solver: Annotated[Solver, typer.Option(help="The optimiser.", rich_help_panel=_TRAINING)] = "adam",
    learning_rate: Annotated[
        float,
        typer.Option(min=1e-12, help="The length of a step.", rich_help_panel=_TRAINING),
    ] = 0.001,
    schedule: Annotated[
        Schedule,
        typer.Option(help="How the learning rate changes.", rich_help_panel=_TRAINING),
    ] = "constant",
    batch_size: Annotated[
        str,
        typer.Option(help="Rows a step: a number, auto (at most 200), or full.", rich_help_panel=_TRAINING),
    ] = "32",
    epochs: Annotated[
        int, typer.Option(min=1, help="The most passes over the rows.", rich_help_panel=_TRAINING)
    ] = 200,
    patience: Annotated[
        int,
        typer.Option(
            min=1,
            help="Stop when more epochs than this pass without a better validation loss.",
            rich_help_panel=_TRAINING,
        ),
    ] = 15,
    dropout: Annotated[
        float,
        typer.Option(
            min=0.0, max=0.99, help="The share of hidden units left out.", rich_help_panel=_TRAINING
        ),
    ] = 0.0,
    alpha: Annotated[
        float,
        typer.Option(min=0.0, help="The L2 penalty on the weights.", rich_help_panel=_TRAINING),
    ] = 1e-4,
    class_weight: Annotated[
        Literal["balanced"] | None,
        typer.Option(help="Let rare classes count more.", rich_help_panel=_TRAINING),
    ] = None,
    label_smoothing: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=0.99,
            help="The share of each label spread over all classes: better classes, duller probabilities.",
            show_default="0; for the digits 0.1",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            min=0,
            max=2**32 - 1,
            help="Of the split, the first weights and the order of rows.",
            rich_help_panel=_TRAINING,
        ),
    ] = 0,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The folder to write.",
            show_default="named after DATA: flowers-model",
            rich_help_panel=_FILES,
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace a model in that folder.", rich_help_panel=_FILES)
    ] = False,
) -> None:
    """Train a network on a table, and save it in a folder with its scores and learning curve.

    Columns are encoded by what they hold; a part of the rows is kept for the test, another tells when
    to stop. Ctrl-C ends the training early: the best weights so far are saved, and the exit code is 130.
    """
    settings = Settings(
        data=data,
        target=target,
        task=None if task == "auto" else task,
        weights=weights,
        test_fraction=test_fraction,
        hidden=parse_hidden(hidden),
        activation=activation,
        loss=loss,
        solver=solver,
        learning_rate=learning_rate,
        schedule=schedule,
        batch_size=parse_batch_size(batch_size),
        epochs=epochs,
        patience=patience,
        dropout=dropout,
        alpha=alpha,
        class_weight=class_weight,
        label_smoothing=label_smoothing if label_smoothing is not None else _smoothing(data),
        seed=seed,
        out=out or Path(f"{data.stem if data else 'digits'}-model"),
        force=force,
    )
    settings.check()
    with tables_extra():
        from batchprop.cli.experiment import run
    raise typer.Exit(run(settings))


def _smoothing(data: Path | None) -> float:
    # Smooth labels gain the digits 1% accuracy; a table may need the honest probabilities more.
    return 0.1 if data is None else 0.0
