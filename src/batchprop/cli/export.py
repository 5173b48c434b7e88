"""`batchprop export`: its options, and the export of a model."""

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from batchprop.cli.extras import require_tables
from batchprop.cli.terminal import echo
from batchprop.errors import ParameterError

EXAMPLES = """Examples:

batchprop export flowers-model --onnx flowers.onnx

batchprop export flowers-model --weights flowers.safetensors
"""


def export(
    model: Annotated[
        Path,
        typer.Argument(metavar="MODEL", help="The folder that `batchprop train` wrote, or its model.skops."),
    ],
    *,
    onnx: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The whole model as an ONNX graph, one input for each column.",
            show_default=False,
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The weights alone, of one network or several, as .safetensors: without the preprocessing.",
            show_default=False,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
) -> None:
    """Write a model for other programs: as ONNX, or its weights alone."""
    if onnx is None and weights is None:
        raise ParameterError("nothing to export: name a file with --onnx or --weights")
    _check_ending(onnx, "--onnx", ".onnx")
    _check_ending(weights, "--weights", ".safetensors")
    # A model is read by the packages of `tables`; its graph is written by those of `onnx`.
    with require_tables(*([] if onnx is None else ["onnx"])):
        from batchprop.tabular.fit import network_of
        from batchprop.tabular.persistence import atomic_file, load_pipeline, write_errors
    import batchprop

    pipeline = load_pipeline(model)
    network = network_of(pipeline)
    with ExitStack() as files:
        # Both are written to temporary files first: if one exists already, neither is written.
        if onnx is not None:
            graph = files.enter_context(atomic_file(onnx, force=force, parameter="onnx"))
        if weights is not None:
            arrays = files.enter_context(atomic_file(weights, force=force, parameter="weights"))
        if onnx is not None:
            with write_errors(onnx):
                batchprop.export.to_onnx(pipeline, graph)
        if weights is not None:
            with write_errors(weights):
                batchprop.export.save_weights(network, arrays)
    if onnx is not None:
        echo(f"The model as ONNX in {onnx}")
    if weights is not None:
        echo(f"The weights in {weights}")


def _check_ending(path: Path | None, option: str, ending: str) -> None:
    if path is not None and path.suffix.lower() != ending:
        raise ParameterError(f"{option} {path} names another format: end it in {ending}")
