"""These files make a daemon a systemd service: where they lie in this installation, and where they go on the machine."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Final, Literal, TypeAlias

from edge.errors import UserError
from edge.storage.disk import write_whole

DropIn: TypeAlias = Literal["cuda", "jetson"]
UNIT: Final = "edge@.service"
GATEWAY_UNIT: Final = "edge-gateway@.service"
WEB_UNIT: Final = "edge-web.service"
_TARGETS: Final = {
    UNIT: "etc/systemd/system/edge@.service",
    "edge.sysusers.conf": "etc/sysusers.d/edge.conf",
    "edge.tmpfiles.conf": "etc/tmpfiles.d/edge.conf",
    "70-edge-usb3vision.rules": "etc/udev/rules.d/70-edge-usb3vision.rules",
    "60-edge-gige.conf": "etc/sysctl.d/60-edge-gige.conf",
}
_PROGRAM: Final = "/opt/edge/venv/bin/edge"
"""Program that ``ExecStart`` of the shipped unit starts; replaced by that of the installation that installs it."""


@dataclass(frozen=True, slots=True)
class ServiceFile:
    """A service file is one file for the machine. ``path`` is relative to the root."""

    path: Path
    text: str

    def write(self, root: Path) -> Literal["written", "replaced", "unchanged"]:
        """Write it whole, readable by all.

        Raises:
            UserError: the folder can't be made or written to.
        """
        target = root / self.path
        try:
            before = target.read_text("utf-8") if target.exists() else None
            if before == self.text:
                return "unchanged"
            target.parent.mkdir(parents=True, exist_ok=True)
            write_whole(target, self.text.encode(), mode=0o644)
        except OSError as error:
            raise UserError(
                f"{target}: cannot be written: {error.strerror}",
                fix="use sudo, or give --root a folder of your own",
            ) from None
        return "written" if before is None else "replaced"


def service_files(
    camera: str, drop_ins: tuple[DropIn, ...] = (), program: Path | None = None, *, gateway: bool = False, web: bool = False
) -> list[ServiceFile]:
    """Return everything that ``edge@CAMERA`` needs, ``edge-gateway@CAMERA`` with ``gateway`` and ``edge-web`` with ``web``;
    drop-ins come as this camera's own copy.

    ``program`` is what the units start; None: the ``edge`` of this Python.
    """
    folder = _folder()
    program = program or Path(sys.prefix) / "bin" / "edge"
    found = []
    units = [unit for unit, wanted in ((GATEWAY_UNIT, gateway), (WEB_UNIT, web)) if wanted]
    targets = _TARGETS | {unit: f"etc/systemd/system/{unit}" for unit in units}
    for name, target in targets.items():
        found.append(ServiceFile(Path(target), (folder / name).read_text("utf-8").replace(_PROGRAM, str(program))))
    for drop_in in drop_ins:
        target = f"etc/systemd/system/edge@{camera}.service.d/50-{drop_in}.conf"
        found.append(ServiceFile(Path(target), (folder / "drop-ins" / f"{drop_in}.conf").read_text("utf-8")))
    return found


def usb_vendors() -> set[str]:
    """Return vendor ids of USB cameras, as the udev rule has them: four hexadecimal digits."""
    return set(re.findall(r'idVendor}=="([0-9a-f]{4})"', (_folder() / "70-edge-usb3vision.rules").read_text("utf-8")))


def next_steps(camera: str, *, gateway: bool = False, web: bool = False) -> list[str]:
    """Return the commands that make the installed files take effect, in order; each may be run again."""
    units = [f"edge@{camera}", *([f"edge-gateway@{camera}"] if gateway else []), *(["edge-web"] if web else [])]
    return [
        "systemd-sysusers",
        "systemd-tmpfiles --create",
        "sysctl --system",
        "udevadm control --reload && udevadm trigger --subsystem-match=usb",
        "systemctl daemon-reload",
        f"edge doctor /etc/edge/{camera}.yaml",
        f"systemctl enable --now {' '.join(units)}",
    ]


def _folder() -> Path:
    """Return ``systemd/`` of a checkout, or where pip put its files."""
    beside = Path(__file__).parents[2] / "systemd"
    if (beside / UNIT).is_file():
        return beside
    try:
        for file in files("edge-inspect") or ():
            if file.name == UNIT:
                return Path(str(file.locate())).resolve().parent
    except PackageNotFoundError:
        pass
    raise UserError("the service files are not in this installation", fix="install it again: pip install edge-inspect")
