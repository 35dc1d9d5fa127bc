"""``edge cameras`` lists what a GenTL producer finds, and one camera's features."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer
import yaml
from rich.table import Table

from edge.cli._tables import print_table
from edge.config.sources import Feature
from edge.errors import UserError
from edge.sources.genicam.cameras import list_cameras, read_camera
from edge.sources.genicam.producers import producer_files, unloadable

if TYPE_CHECKING:
    from edge.sources.genicam.camera_info import CameraInfo
    from edge.sources.genicam.describe_features import FeatureInfo

ProducerOption = Annotated[
    str | None,
    typer.Option(
        "--producer",
        help="Path of the producer's .cti file, or 'simulated'. Default: the folders of GENICAM_GENTL64_PATH.",
        show_default=False,
    ),
]


def cameras(
    producer: ProducerOption = None,
    serial: Annotated[str | None, typer.Option("--serial", help="Show this camera's features.", show_default=False)] = None,
    save: Annotated[
        Path | None,
        typer.Option("--save", help="Write the camera's present features as a config's source.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """List the cameras that a GenTL producer finds; with --serial, one camera's features."""
    if serial is None and save is None:
        listed = list_cameras(producer)
        for problem in unloadable(producer_files(producer)):
            print(problem, file=sys.stderr)
        _print_cameras(listed, as_json=as_json)
        return
    if save is not None and save.exists():
        raise UserError(f"{save}: exists already", fix="choose another name for --save")
    info, features, settings = read_camera(producer, serial)
    if save is not None:
        save.write_text(config_block(producer, info, settings), encoding="utf-8")
        print(f"{save}: {len(settings)} features of camera {info.serial}")
    elif as_json:
        print(orjson.dumps([dataclasses.asdict(feature) for feature in features]).decode())
    else:
        _print_features(info, features)


def config_block(producer: str | None, info: CameraInfo, settings: Sequence[Feature]) -> str:
    """Write the ``source:`` section of a config that brings a camera to these settings."""
    head = {"kind": "genicam", "producer": producer, "serial": info.serial}
    lines = [f"# {info.vendor} {info.model}, serial {info.serial}", "source:"]
    lines += [f"  {key}: {_scalar(value)}" for key, value in head.items() if value is not None]
    lines += ["  features:"] if settings else ["  features: []"]
    lines += [f"    - [{_scalar(name)}, {_scalar(value)}]" for name, value in settings]
    return "\n".join(lines) + "\n"


def _scalar(value: object) -> str:
    """Quote what plain YAML would read as something else, such as serial "0" or the text "On"."""
    return yaml.safe_dump([value], default_flow_style=True, width=1 << 20, allow_unicode=True).strip()[1:-1]


def _print_cameras(cameras: Sequence[CameraInfo], *, as_json: bool) -> None:
    if as_json:
        print(orjson.dumps([dataclasses.asdict(camera) for camera in cameras]).decode())
        return
    if not cameras:
        print("no camera found")
        return
    table = Table(title=f"{len(cameras)} camera(s)", title_justify="left")
    for column in ("serial", "vendor", "model", "name", "transport", "access", "producer"):
        table.add_column(column, overflow="fold")
    for camera in cameras:
        described = (camera.serial, camera.vendor, camera.model, camera.name, camera.transport, camera.access)
        table.add_row(*described, Path(camera.producer).name)
    print_table(table)


def _print_features(info: CameraInfo, features: Sequence[FeatureInfo]) -> None:
    table = Table(title=f"{info.vendor} {info.model}, serial {info.serial}", title_justify="left")
    table.add_column("feature", no_wrap=True)  # a name folded is a name that cannot be copied
    for column in ("value", "range", "unit", "access"):
        table.add_column(column, overflow="fold")
    for feature in features:
        value = "" if feature.value is None else _scalar(feature.value)
        table.add_row(feature.name, value, _range(feature), feature.unit, feature.access)
    print_table(table)


def _range(feature: FeatureInfo) -> str:
    if feature.kind == "command":
        return "command"
    if feature.choices:
        return ", ".join(feature.choices)
    if feature.kind == "boolean":
        return "true, false"
    if feature.low is None or feature.high is None or feature.access == "RO":
        return ""
    step = f" step {feature.step:g}" if feature.step is not None and feature.step != 1 else ""
    return f"{feature.low:.10g} to {feature.high:.10g}{step}"
