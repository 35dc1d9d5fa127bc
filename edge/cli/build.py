"""``edge build`` makes a bundle from an ONNX model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table

from edge.cli._bars import build_bar
from edge.cli._console import labelled, text_console
from edge.cli._declared import IlluminationOption, illumination_of
from edge.cli._good_frames import show_notes
from edge.cli._incomplete import end_if_incomplete
from edge.cli._json import JsonOption, print_json
from edge.cli._tables import print_table
from edge.cli.bundle import light_and_tile_rows, resize_text
from edge.config.bundle_spec import ResizeKernel, TileSpec
from edge.config.validate import validate
from edge.errors import UserError
from edge.frames import Frame
from edge.models.build.build import BuildReport
from edge.models.build.build import build as build_bundle
from edge.models.build.options import BuildOptions
from edge.models.frame_survey import outliers_text, surveyed
from edge.models.good_frames import GoodFrames, good_frames


def build(
    model: Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="Image in, anomaly map out, perhaps a score.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="The bundle to write.")],
    name: Annotated[str | None, typer.Option(help="What records call the model. Default: the folder's name.")] = None,
    size: Annotated[str | None, typer.Option(metavar="W,H", help="Picture that the network sees, in px.")] = None,
    resize: Annotated[Literal["host", "graph"], typer.Option(help="Where frames are resized to it.")] = "host",
    kernel: Annotated[
        ResizeKernel | None,
        typer.Option(help="Kernel of that resize. Default: area; in the graph linear or the exporter's own."),
    ] = None,
    fit: Annotated[
        Literal["stretch", "letterbox", "crop"],
        typer.Option(help="Of frames of another shape: letterbox adds bars, crop takes the middle."),
    ] = "stretch",
    pad: Annotated[int, typer.Option(min=0, max=255, help="Grey level of a letterbox's bars.")] = 114,
    short_side: Annotated[
        int | None, typer.Option(min=1, metavar="PX", help="With --fit crop: the short side after the resize.")
    ] = None,
    channels: Annotated[
        Literal[1, 3] | None, typer.Option(help="Channels of the frames. 1: grey frames for a colour model.")
    ] = None,
    bits: Annotated[int, typer.Option(min=8, max=16, help="Bits of a frame's values; above 8 the graph takes uint16.")] = 8,
    scale: Annotated[float | None, typer.Option(help="Factor on pixels. Default: 1/255 (of the bits), so 0 to 1.")] = None,
    mean: Annotated[str | None, typer.Option(metavar="M[,M,M]", help="Subtracted after the scale.")] = None,
    std: Annotated[str | None, typer.Option(metavar="S[,S,S]", help="Divisor after that.")] = None,
    bgr: Annotated[bool, typer.Option("--bgr", help="The model's channels are blue, green, red.")] = False,
    layout: Annotated[Literal["nchw", "nhwc"] | None, typer.Option(help="Where the model does not say.")] = None,
    map_name: Annotated[str | None, typer.Option("--map", metavar="NAME", help="Output that is the map.")] = None,
    map_class: Annotated[
        int | None, typer.Option("--class", min=0, metavar="N", help="Class of that output that is the map, from 0.")
    ] = None,
    score_name: Annotated[str | None, typer.Option("--score", metavar="NAME", help="Output that is the score.")] = None,
    map_to_image: Annotated[
        str | None,
        typer.Option(
            metavar="SX,SY,OX,OY",
            help="Where the map lies in the network's picture (x * SX + OX): for a crop in the model that is not seen.",
        ),
    ] = None,
    frames: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Good frames, pictures or a recording: also check on the first 16, freeze illumination statistics on all.",
        ),
    ] = None,
    tile: Annotated[
        str | None, typer.Option(metavar="W,H", help="Cut frames (after --size) into tiles of this size, in px.")
    ] = None,
    stride: Annotated[
        str | None, typer.Option(metavar="W,H", help="From tile to tile, in px. Default: three quarters of the tile.")
    ] = None,
    blend: Annotated[
        Literal["hann", "gaussian", "mean", "max"], typer.Option(help="How maps join where tiles overlap.")
    ] = "hann",
    tile_border: Annotated[
        int, typer.Option(min=0, metavar="PX", help="Band of each tile that is left out of the map, in px.")
    ] = 0,
    illumination: IlluminationOption = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing bundle.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show all that was found out about the model.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Make a bundle from an ONNX model and check it against the original."""
    words: Any = {
        "resize": resize,
        "fit": fit,
        "kernel": kernel,
        "layout": layout,
        "channels": channels,
        "order": "bgr" if bgr else "rgb",
    }
    good = None if frames is None else _frames(text_console(stderr=as_json), frames)
    options = BuildOptions(
        name=name,
        size=parse_size(size),
        bits=bits,
        pad=pad,
        short_side=short_side,
        scale=scale,
        mean=parse_numbers("--mean", mean),
        std=parse_numbers("--std", std),
        map_name=map_name,
        map_class=map_class,
        score_name=score_name,
        map_to_image=_four("--map-to-image", map_to_image),
        tile=_tile(tile, stride, blend, tile_border),
        illumination=illumination_of(illumination),
        frames=_Readable(good) if good is not None else (),
        force=force,
        **words,
    )
    with build_bar() as tell:
        report = build_bundle(model, out, options, tell)
    if as_json:
        print_json(_as_json(report))
    else:
        _show(report, verbose=verbose)
    end_if_incomplete(good.lacks if good is not None else ())


def _frames(console: Console, folder: Path) -> GoodFrames:
    """Open the good frames of a folder, and print what is strange about them.

    Raises:
        UserError: frames of several kinds.
    """
    good = good_frames(folder)
    show_notes(console, good.notes)
    survey = surveyed(good)
    survey.check(str(folder), sized=True)
    show_notes(console, survey.notes())
    outliers = survey.outliers()
    if outliers:
        show_notes(console, [f"unlike the other good frames: {outliers_text(outliers, survey.frames)}; look at them"])
    return good


@dataclass(frozen=True, slots=True)
class _Readable:
    """Yield only those frames that can be read, each time that the frames are gone through."""

    frames: GoodFrames

    def __iter__(self) -> Iterator[Frame]:
        return (frame for frame in self.frames if isinstance(frame, Frame))


def _tile(size: str | None, stride: str | None, blend: str, border_px: int) -> TileSpec | None:
    tile = parse_size(size, "--tile")
    if tile is None:
        if stride is not None or border_px or blend != "hann":
            raise UserError("--stride, --blend and --tile-border go with tiles", fix="say how large: --tile WIDTH,HEIGHT")
        return None
    step = parse_size(stride, "--stride") or (max(1, tile[0] * 3 // 4), max(1, tile[1] * 3 // 4))
    return validate(TileSpec, {"size": tile, "stride": step, "blend": blend, "border_px": border_px}, "--tile")


def parse_size(text: str | None, option: str = "--size") -> tuple[int, int] | None:
    """Read ``W,H`` as two whole numbers above 0."""
    if text is None:
        return None
    parts = text.replace("x", ",").split(",")
    if len(parts) != 2 or not all(p.strip().isdecimal() and int(p) > 0 for p in parts):
        raise UserError(option, received=text, expected="WIDTH,HEIGHT in px, for example 256,256")
    return int(parts[0]), int(parts[1])


def parse_numbers(option: str, text: str | None) -> tuple[float, ...] | None:
    """Read ``A,B,C`` as numbers."""
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UserError(option, received=text, expected="numbers with commas, for example 0.485,0.456,0.406") from None


def _four(option: str, text: str | None) -> tuple[float, float, float, float] | None:
    values = parse_numbers(option, text)
    if values is None:
        return None
    if len(values) != 4:
        raise UserError(option, received=text, expected="four numbers: SX,SY,OX,OY")
    return values[0], values[1], values[2], values[3]


def _as_json(report: BuildReport) -> dict[str, Any]:
    spec = report.bundle.spec
    return {
        "bundle": report.bundle.folder,
        "sha256": report.bundle.sha256,
        "map_size": report.map_size,
        "map_to_image": spec.map_to_image,
        "display": spec.display.model_dump(mode="json"),
        "provenance": spec.provenance,
        "largest_difference": report.check.difference,
        "warnings": [*report.warnings, *(f"the map of {kind} is not finite" for kind in report.check.not_finite)],
    }


def _show(report: BuildReport, *, verbose: bool) -> None:
    console = text_console()
    spec = report.bundle.spec
    kind = "grey" if spec.input.channels == 1 else "RGB"
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_row("frames", f"{kind}, resize {resize_text(spec)}")
    for row in light_and_tile_rows(spec):
        table.add_row(*row)
    for what, output in (("map", report.amap), ("score", report.score)):
        if output is not None and output.tail is not None:
            half = f"{output.tail.threshold:.4g}"
            table.add_row(what, f"anomalib's 0 to 1 scale was removed: its 0.5 is {half} here")
        elif output is not None:
            table.add_row(what, f"{output.name}, as the model gives it")
    if verbose:
        _add_details(table, report)
    difference = f"{report.check.difference:.1e}"
    table.add_row("check", f"{report.check.pictures} pictures, largest difference {difference} of the map's range")
    print_table(table)
    for warning in report.warnings:
        console.print(labelled("warning:", "yellow", warning))
    for picture in report.check.not_finite:
        console.print(
            labelled("warning:", "yellow", f"the map of {picture} is not finite; such frames will be judged invalid")
        )
    console.print(f"wrote {report.bundle.folder}, model {report.bundle.sha256[:12]}")


def _add_details(table: Table, report: BuildReport) -> None:
    """What was found out about the model, for who wants to know how."""
    spec, taken = report.bundle.spec, report.taken
    own = spec.provenance.get("own_resize")
    if own is not None:
        table.add_row("own resize", _own_resize(own))
    if spec.tile is not None:
        table.add_row("", "all tiles of a frame in one run" if report.one_run else "one run for each tile")
    table.add_row("model input", f"{taken.name}, {taken.dtype} {taken.layout}, {taken.channels} channels")
    low, high = (f"{value:.4g}" for value in report.fed)
    table.add_row(
        "values fed",
        f"{low} to {high}{'' if taken.dtype == 'uint8' or spec.input.bits == 8 else f', of {spec.input.bits} bits'}",
    )
    table.add_row("map", f"{report.amap.name}, {report.map_size[0]}x{report.map_size[1]}{_raw(report.amap.tail)}")
    table.add_row("score", f"{report.score.name}{_raw(report.score.tail)}" if report.score else "none")
    if "embedding" in spec.provenance["outputs"]:
        table.add_row("embedding", spec.provenance["outputs"]["embedding"])
    place = (
        "not measured: the map does not answer clearly to a patch" if report.place is None else f"measured {report.place}"
    )
    table.add_row("map to image", f"{', '.join(f'{v:.3g}' for v in spec.map_to_image)}; {place}")
    for rewritten in report.rewritten:
        table.add_row("rewritten", rewritten)


def _own_resize(own: Mapping[str, Any]) -> str:
    does = "at work on what it gets" if own["at_work"] else "does nothing at this size"
    kind = f"{own['mode']}, {own['coordinates']}, {'with' if own['antialias'] else 'without'} antialias"
    return f"to {own['size'][0]}x{own['size'][1]}, {kind}: {does}"


def _raw(tail: object) -> str:
    return f", raw, in front of {tail}" if tail is not None else ", as exported"
