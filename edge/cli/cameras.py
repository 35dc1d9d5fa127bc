"""``edge cameras`` lists what a GenTL producer finds, and one camera's features."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import orjson
import typer
import yaml
from rich.table import Table

from edge.cli._console import say
from edge.cli._tables import print_table
from edge.config.network_address import ip_text, mac_text
from edge.config.sources import Feature
from edge.errors import UserError
from edge.sources.genicam.camera_info import MARKS, CameraChoice, Mark
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
    device_user_id: Annotated[
        str | None, typer.Option(help="The same, by the name written into the camera.", show_default=False)
    ] = None,
    mac: Annotated[str | None, typer.Option(help="The same, by MAC address (GigE).", show_default=False)] = None,
    ip: Annotated[str | None, typer.Option(help="The same, by IPv4 address (GigE).", show_default=False)] = None,
    save: Annotated[
        Path | None,
        typer.Option(
            "--save", "-o", "--out", help="Write the camera's present features as a config's source.", show_default=False
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """List the cameras that a GenTL producer finds; with --serial or another mark, one camera's features."""
    choice = _choice(serial=serial, device_user_id=device_user_id, mac=mac, ip=ip)
    if choice.mark is None and save is None:
        listed = list_cameras(producer)
        for problem in unloadable(producer_files(producer)):
            say(problem, stderr=True)
        _print_cameras(listed, as_json=as_json)
        return
    if save is not None and save.exists():
        raise UserError(f"{save}: exists already", fix="choose another name for --save")
    info, features, settings = read_camera(producer, choice)
    if save is not None:
        save.write_text(config_block(producer, info, settings, choice.mark or "serial"), encoding="utf-8")
        say(f"{save}: {len(settings)} features of camera {info.serial}")
    elif as_json:
        print(orjson.dumps([dataclasses.asdict(feature) for feature in features]).decode())
    else:
        _print_features(info, features)


def _choice(**marks: str | None) -> CameraChoice:
    """Return what the options say about which camera is meant, checked as in a config."""
    given = {mark: value for mark, value in marks.items() if value is not None}
    if len(given) > 1:
        options = " and ".join("--" + mark.replace("_", "-") for mark in given)
        raise UserError("one of --serial, --device-user-id, --mac and --ip", received=options, expected="one of them")
    for mark in MARKS:
        if mark in given:
            return CameraChoice(mark, _CHECKED.get(mark, _as_it_is)(given[mark]))
    return CameraChoice()


def _as_it_is(text: str) -> str:
    return text


def _mac(text: str) -> str:
    if not (mac := mac_text(text)):
        raise UserError("--mac", received=text, expected="a MAC address, for example 00:30:53:1a:2b:3c")
    return mac


def _ip(text: str) -> str:
    if not (ip := ip_text(text)):
        raise UserError("--ip", received=text, expected="an IPv4 address, for example 192.168.1.10")
    return ip


_CHECKED: Final[dict[Mark, Callable[[str], str]]] = {"mac": _mac, "ip": _ip}


def config_block(producer: str | None, info: CameraInfo, settings: Sequence[Feature], mark: Mark = "serial") -> str:
    """Write the ``source:`` section of a config that finds a camera by ``mark`` and brings it to these settings."""
    head = {"kind": "genicam", "producer": producer, mark: getattr(info, mark)}
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
    gige = any(camera.mac or camera.ip for camera in cameras)
    columns = ("serial", "vendor", "model", "DeviceUserID", *(("MAC", "IP") if gige else ()))
    for column in (*columns, "transport", "access", "producer"):
        table.add_column(column, overflow="fold")
    for camera in cameras:
        described = (camera.serial, camera.vendor, camera.model, camera.device_user_id)
        addresses = (camera.mac, camera.ip) if gige else ()
        table.add_row(*described, *addresses, camera.transport, camera.access, Path(camera.producer).name)
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
