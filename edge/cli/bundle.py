"""``edge bundle check`` verifies a bundle and prints its contract."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column, Table
from rich.text import Text

from edge.cli._console import labelled, text_console
from edge.cli._json import JsonOption, print_json
from edge.cli._tables import print_table
from edge.config.bundle import load_bundle, unlisted
from edge.config.bundle_spec import BundleSpec
from edge.config.illumination_spec import IlluminationSpec
from edge.engines.acceptance import check_finite
from edge.engines.onnx import OnnxEngine

app = typer.Typer(help="Model bundles.", no_args_is_help=True, add_completion=False)


@app.callback()
def bundle() -> None:
    """Look into model bundles."""


@app.command("check")
def check(
    folder: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The bundle's folder.")], as_json: JsonOption = False
) -> None:
    """Check a bundle's files against their hashes, its graph against the contract, and that it runs."""
    bundle = load_bundle(folder)
    engine = OnnxEngine(bundle)
    engine.warm_up()
    check_finite(engine)
    engine.close()
    spec = bundle.spec
    if as_json:
        result = {
            "ok": True,
            "sha256": bundle.sha256,
            "unlisted": unlisted(bundle),
            **spec.model_dump(mode="json", by_alias=True),
        }
        print_json(result)
        return
    table = Table("key", Column("value", overflow="fold"), title=f"{spec.name}", title_justify="left")
    table.add_row("sha256", bundle.sha256)
    table.add_row("files", "\n".join(spec.files))
    table.add_row("frame", f"{'grey' if spec.input.channels == 1 else 'RGB'}, {spec.input.bits} bit")
    table.add_row("resize", resize_text(spec))
    for row in light_and_tile_rows(spec):
        table.add_row(*row)
    table.add_row("map to image", "sx {}, sy {}, ox {}, oy {}".format(*(f"{v:g}" for v in spec.map_to_image)))
    if spec.map_size is not None:
        table.add_row("map", f"{spec.map_size[0]}x{spec.map_size[1]}{' of each tile' if spec.tile else ''}")
    table.add_row("tolerance", f"{spec.tolerance.fp32:g} in fp32, {spec.tolerance.reduced:g} below")
    threshold = "unknown" if spec.display.threshold is None else f"{spec.display.threshold:g}"
    table.add_row("display", f"threshold {threshold}, range {spec.display.range[0]:g} to {spec.display.range[1]:g}")
    for key, value in spec.provenance.items():
        table.add_row(key.replace("_", " "), str(value))
    console = text_console()
    print_table(table)
    for name in unlisted(bundle):
        console.print(
            labelled("warning:", "yellow", f"{name} is not listed in bundle.yaml: it has no hash, and nothing reads it")
        )
    console.print(
        Text.assemble(("ok", "green"), ": every listed file has its hash, the graph keeps the contract, and it runs")
    )


def light_and_tile_rows(spec: BundleSpec) -> list[tuple[str, str | Text]]:
    """Put illumination and tiles into words, where the bundle has any."""
    rows: list[tuple[str, str | Text]] = []
    if spec.illumination is not None:
        steps = spec.illumination.model_dump(mode="json", exclude={"frozen", "statistics"}, exclude_none=True)
        rows.append(
            ("illumination", ", ".join(f"{name} {_plain(value)}" for name, value in steps.items() if value != "none"))
        )
        rows.append(("statistics", _statistics_text(spec.illumination)))
    if spec.tile is not None:
        tile = spec.tile
        border = f", border {tile.border_px}" if tile.border_px else ""
        size, stride = (f"{pair[0]}x{pair[1]}" for pair in (tile.size, tile.stride))
        rows.append(("tiles", f"{size}, stride {stride}, {tile.blend}{border}"))
        if tile.seams is not None:
            rows.append(("", labelled("warning:", "yellow", tile.seams)))
    return rows


def _statistics_text(illumination: IlluminationSpec) -> str:
    frozen = illumination.frozen
    if frozen is None:
        return "of each frame" if illumination.statistics == "per_frame" else "none needed"
    parts = [f"frozen on {frozen.frames} frames"]
    if frozen.gains is not None:
        parts.append("gains " + ", ".join(f"{gain:.4g}" for gain in frozen.gains))
    if frozen.levels is not None:
        parts.append("levels " + ", ".join(f"{low:g} to {high:g}" for low, high in frozen.levels))
    return "; ".join(parts)


def _plain(value: object) -> str:
    return " ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else str(value)


def resize_text(spec: BundleSpec) -> str:
    """Put the resize into words."""
    if spec.resize.size is None:
        taken = spec.input.size if spec.tile is None else "any"
        return "none, any size" if taken == "any" else f"none, only {taken[0]}x{taken[1]}"
    width, height = spec.resize.size
    fits = {
        "stretch": "",
        "letterbox": f", letterboxed with bars of {spec.resize.pad}",
        "crop": ", its middle; the rest of a frame is NOT inspected",
    }
    where = "on the host" if spec.resize.where == "host" else "in the graph"
    return f"to {width}x{height}, {spec.resize.kernel}, {where}{fits[spec.resize.fit]}"
