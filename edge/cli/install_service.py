"""``edge install-service`` prints the files of a systemd service, or puts them where they belong."""

from __future__ import annotations

import contextlib
import re
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, Final

import typer

from edge.cli._console import text_console
from edge.config.load import load_config
from edge.errors import UserError
from edge.service.config_drop_in import HIDDEN, drop_in_of, unseen
from edge.service.unit_files import DropIn, ServiceFile, next_steps, service_files


class Machine(Enum):
    """These kinds of machine need more than the unit."""

    CUDA = "cuda"
    JETSON = "jetson"


_DROP_INS: Final[dict[Machine, DropIn]] = {Machine.CUDA: "cuda", Machine.JETSON: "jetson"}


def install_service(
    camera: Annotated[str, typer.Argument(help="The instance: edge@CAMERA runs /etc/edge/CAMERA.yaml.")],
    root: Annotated[Path, typer.Option(metavar="DIR", help="Folder in place of /, for an image or a trial.")] = Path("/"),
    drop_in: Annotated[list[Machine] | None, typer.Option(help="Also what this kind of machine needs. Repeatable.")] = None,
    program: Annotated[
        Path | None,
        typer.Option(help="The edge command that the unit starts. Default: this one.", show_default=False),
    ] = None,
    gateway: Annotated[bool, typer.Option("--gateway", help="Also the unit of `edge gateway modbus`, for PLCs.")] = False,
    web: Annotated[bool, typer.Option("--web", help="Also the unit of `edge web`, the page of all lines.")] = False,
    only_print: Annotated[bool, typer.Option("--print", help="Print the files; write nothing.")] = False,
) -> None:
    """Install the unit, user, folders, udev rule and kernel settings of one camera's service, and say what comes next.

    Nothing is started. A file that is there already and differs is replaced: changes of your own belong into
    a drop-in (systemctl edit edge@CAMERA).
    """
    if not re.fullmatch(r"[a-z0-9_]{1,32}", camera):
        raise UserError("CAMERA", received=repr(camera), expected="a to z, 0 to 9 and _, at most 32, as in the config")
    kinds = tuple(_DROP_INS[machine] for machine in drop_in or ())
    files = service_files(camera, kinds, program, gateway=gateway, web=web)
    config = root / "etc" / "edge" / f"{camera}.yaml"
    with contextlib.suppress(UserError):  # the warnings have it
        needs = drop_in_of(load_config(config), camera, root)
        if needs is not None:
            files.append(ServiceFile(Path(f"etc/systemd/system/edge@{camera}.service.d/40-config.conf"), needs))
    if only_print:
        sys.stdout.write("\n".join(f"# /{file.path}\n{file.text}" for file in files))
        return
    out = text_console()
    for file in files:
        out.print(f"{file.write(root):9}  {root / file.path}")
    for warning in _warnings(camera, root, files):
        out.print(f"warning: {warning}", style="yellow")
    out.print("\nnext:")
    for step in next_steps(camera, gateway=gateway, web=web):
        out.print(f"  {step}")


def _warnings(camera: str, root: Path, files: list[ServiceFile]) -> list[str]:
    warnings = []
    started = re.search(r"^ExecStart=(\S+)", files[0].text, flags=re.M)
    if started and started[1].startswith(tuple(f"{place}/" for place in HIDDEN)):
        warnings.append(f"{started[1]} lies where the service can't see it (ProtectHome=yes): install into /opt/edge/venv")
    config = root / "etc" / "edge" / f"{camera}.yaml"
    if not config.exists():
        warnings.append(f"{config} is not there yet: the service needs it")
        return warnings
    try:
        loaded = load_config(config)
    except UserError as error:
        return [*warnings, str(error)]
    name = loaded.config.camera
    if name != camera:
        warnings.append(f"{config} says camera: {name}; name both alike, or clients look in the wrong runtime folder")
    return [*warnings, *unseen(loaded, root)]
