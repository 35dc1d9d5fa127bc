"""``edge bundle check``: verify a bundle and print its contract."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from edge.bundle import BundleSpec, load_bundle
from edge.engines.onnx import OnnxEngine


def check(folder: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The bundle's folder.")]) -> None:
    """Check a bundle's files against their hashes, its graph against the contract, and that it runs."""
    bundle = load_bundle(folder)
    engine = OnnxEngine(bundle)
    engine.warm_up()
    engine.close()
    spec = bundle.spec
    table = Table("key", Column("value", overflow="fold"), title=f"{spec.name}", title_justify="left")
    table.add_row("sha256", bundle.sha256)
    table.add_row("files", "\n".join(spec.files))
    table.add_row("frame", f"{'grey' if spec.input.channels == 1 else 'RGB'}, {spec.input.bits} bit")
    table.add_row("resize", resize_text(spec))
    table.add_row("map to image", "sx {}, sy {}, ox {}, oy {}".format(*(f"{v:g}" for v in spec.map_to_image)))
    table.add_row("tolerance", f"{spec.tolerance.fp32:g} in fp32, {spec.tolerance.reduced:g} below")
    threshold = "unknown" if spec.display.threshold is None else f"{spec.display.threshold:g}"
    table.add_row("display", f"threshold {threshold}, range {spec.display.range[0]:g} to {spec.display.range[1]:g}")
    for key, value in spec.provenance.items():
        table.add_row(key.replace("_", " "), str(value))
    console = Console(highlight=False)
    console.print(table)
    console.print("[green]ok[/green]: every file has its hash, the graph keeps the contract, and it runs")


def resize_text(spec: BundleSpec) -> str:
    """The resize in words."""
    if spec.resize.size is None:
        taken = spec.input.size
        return "none, any size" if taken == "any" else f"none, only {taken[0]}x{taken[1]}"
    width, height = spec.resize.size
    return f"to {width}x{height}, {spec.resize.kernel}, {'on the host' if spec.resize.where == 'host' else 'in the graph'}"
