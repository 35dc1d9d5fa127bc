"""``edge backbone`` writes a network of features as one ONNX file, and lists its layers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from edge.cli._console import text_console
from edge.cli._tables import print_table
from edge.cli.build import parse_numbers
from edge.models.backbone.layers import default_layers
from edge.models.backbone.open import Backbone, PixelScaling, open_backbone
from edge.models.backbone.write_backbone import write_backbone


def backbone(
    network: Annotated[Path, typer.Argument(metavar="lite0|MODEL.onnx", help="lite0, or any ONNX of a picture.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="ONNX file to write. Without: list the layers.")
    ] = None,
    grey: Annotated[
        bool, typer.Option("--grey", help="Grey pictures in; the same features as of three equal channels.")
    ] = False,
    until: Annotated[
        str | None, typer.Option(metavar="LAYER", help="The layer that comes last: nothing behind it is written.")
    ] = None,
    scale: Annotated[float | None, typer.Option(help="Of MODEL: factor on pixels. Default: 1/255.")] = None,
    mean: Annotated[str | None, typer.Option(metavar="M[,M,M]", help="Of MODEL: subtracted. Default: ImageNet's.")] = None,
    std: Annotated[str | None, typer.Option(metavar="S[,S,S]", help="Of MODEL: divided by. Default: ImageNet's.")] = None,
    bgr: Annotated[bool, typer.Option("--bgr", help="MODEL's channels are blue, green, red.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Write a network of features for edge fit, or list its layers.

    lite0 is EfficientNet-Lite0 with ImageNet weights, from the extra backbone: nothing is downloaded, torch isn't needed.
    """
    pixels = PixelScaling(scale, parse_numbers("--mean", mean), parse_numbers("--std", std), "bgr" if bgr else "rgb")
    opened = open_backbone(network, 1 if grey else None, pixels)
    console = text_console()
    if out is None:
        _list(opened)
        return
    size = write_backbone(opened, out, until, force=force)
    licence = opened.provenance.get("licence")
    if licence is not None:
        console.print(
            f"weights: {opened.provenance['weights']}, {licence}; trained on ImageNet, whose own terms of use apply too",
        )
    if "pixels" in opened.provenance:
        console.print(f"pixels go in as {opened.provenance['pixels']}")
    console.print(f"wrote {out}, {size / 1e6:.1f} MB")


def _list(opened: Backbone) -> None:
    best = default_layers(opened.model, opened.layers)
    table = Table("layer", "stride", "width", "", box=None, pad_edge=False)
    for layer in opened.layers:
        table.add_row(layer.name, str(layer.stride), str(layer.width), "used by default" if layer in best else "")
    print_table(table)
