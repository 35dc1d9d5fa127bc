"""``edge init`` writes the first config of a line, and says what comes next."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Final

import typer

from edge.cli._console import text_console
from edge.config.first_config import camera_name, first_config
from edge.config.load import load_config
from edge.errors import UserError
from edge.storage.disk import write_whole

SIMULATED: Final = "simulated"
STILL_SCENE: Final = [["PixelFormat", "Mono8"], ["Width", 400], ["Height", 300], ["BouncingBallSize", 1]]
"""Features of the simulated GenICam camera under which every frame is good; with BouncingBallSize 30 each has a defect."""
REPEATS: Final = (
    "\nThe simulated camera's frames repeat: say --keep-outliers to fit and calibrate, and --seen-before to calibrate."
)


def init(
    line: Annotated[Path, typer.Argument(metavar="LINE.yaml", help="The config to write.")],
    camera: Annotated[
        str | None, typer.Option(metavar="SERIAL", help="A GenICam camera, as `edge cameras` lists it.", show_default=False)
    ] = None,
    producer: Annotated[
        str | None,
        typer.Option(help="Its producer's .cti file, or 'simulated'. Default: GENICAM_GENTL64_PATH.", show_default=False),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="A V4L2 device or an address rtsp://... instead.", show_default=False)
    ] = None,
    snapshot: Annotated[
        str | None, typer.Option(metavar="URL", help="The address of a camera's picture instead.", show_default=False)
    ] = None,
    watch: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A folder that a camera fills instead.", show_default=False)
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A folder of pictures or a recording instead.", show_default=False)
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A model's bundle, if there is one already.", show_default=False)
    ] = None,
) -> None:
    """Write a short commented config of a new line, and print the next commands.

    Without an option the line has the only GenICam camera there is.
    """
    if line.suffix not in (".yaml", ".yml"):
        raise UserError("LINE.yaml", received=line, expected="a file that ends in .yaml")
    if line.exists():
        raise UserError(f"{line}: exists already", fix="choose another name, or edit it")
    given = {"--device": device, "--snapshot": snapshot, "--watch": watch, "--folder": folder}
    options = [name for name, value in given.items() if value is not None]
    options += ["--camera"] if camera is not None else ["--producer"] if producer is not None else []
    if len(options) > 1:
        expected = "one of --camera, --device, --snapshot, --watch and --folder"
        raise UserError("where frames come from", received=" and ".join(options), expected=expected)
    source: dict[str, object]
    if device is not None:
        source = {"kind": "opencv", "device": int(device) if device.isdigit() else device}
    elif snapshot is not None:
        source = {"kind": "snapshot", "address": snapshot, "interval_s": 1.0}
    elif watch is not None:
        source = {"kind": "watched_folder", "path": _beside(line, watch)}
    elif folder is not None:
        source = {"kind": "recorded", "path": _beside(line, _there(folder, "--folder")), "pace": "max"}
    else:
        marks: dict[str, object | None] = {"producer": producer, "serial": camera}
        if producer == SIMULATED:  # it offers three cameras, whose scene moves unless it is told not to
            marks |= {"serial": camera or "0", "features": STILL_SCENE}
        source = {"kind": "genicam", **{key: value for key, value in marks.items() if value is not None}}
    name = camera_name(line.stem)
    model = _beside(line, _there(bundle, "--bundle")) if bundle is not None else f"models/{name}"
    write_whole(line, first_config(name, source, model).encode())
    load_config(line)  # what was just written must be one
    out = text_console()
    out.print(f"wrote {line}\n\nnext:")
    for step in _next_steps(line, name, folder, has_model=bundle is not None):
        out.print(f"  {step}")
    if source.get("producer") == SIMULATED:
        out.print(REPEATS)


def _next_steps(line: Path, name: str, folder: Path | None, *, has_model: bool) -> list[str]:
    model = line.parent / "models" / name
    unseen, shown = "MORE_GOOD_FRAMES", folder
    if folder is not None:
        good, steps = str(folder), []
        if (folder / "train" / "good").is_dir() and (folder / "test" / "good").is_dir():  # MVTec AD's layout
            unseen, shown = str(folder / "test" / "good"), folder / "test"
    else:
        good = str(line.parent / "good")
        steps = [f"edge record -c {line} --frames 60 --out {good}   # of good parts; some of them for `calibrate` alone"]
    steps += [] if has_model else [f"edge fit {good} -o {model}"]
    steps += [f"edge calibrate {unseen} -c {line}", f"edge check {line}"]
    return [*steps, f"edge run -c {line}" if shown is None else f"edge replay {shown} -c {line} --overlays"]


def _there(path: Path, option: str) -> Path:
    if not path.exists():
        raise UserError(f"{option}: no such folder", received=path)
    return path


def _beside(line: Path, path: Path) -> str:
    """Return a path as the config says it: relative to the config's folder where it lies in it."""
    base, whole = line.absolute().parent, Path(os.path.abspath(path.expanduser()))
    return str(whole.relative_to(base)) if whole.is_relative_to(base) else str(whole)
