"""The machine is checked, whatever line runs on it: network, USB, GPU, clock."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from edge.service.doctor import Finding
from edge.service.unit_files import usb_vendors

ROOT: Final = Path("/")
RMEM_MAX: Final = 32 * 1024 * 1024
"""Receive buffer in bytes: ten frames of 3 MB, as the shipped sysctl file sets it."""
USBFS_MB: Final = 1000
MTU: Final = 8192
_STA_UNSYNC, _TIME_ERROR = 0x0040, 5  # adjtimex(2)


def machine_findings(*, gige: bool, root: Path = ROOT) -> list[Finding]:
    """Check the machine; ``gige`` is True if a real GenICam camera is wanted, which may come over Ethernet."""
    return [
        user_finding(),
        *network_findings(gige=gige, root=root),
        *usb_findings(root),
        gpu_finding(root),
        clock_finding(),
    ]


def user_finding() -> Finding:
    name = _user()
    if os.geteuid() == 0:
        return Finding("warn", "user", "root may do everything, the service may not", "sudo -u edge edge doctor CONFIG")
    return Finding("ok", "user", f"permissions are those of {name}")


def network_findings(*, gige: bool, root: Path = ROOT) -> Iterator[Finding]:
    rmem = _number(root / "proc/sys/net/core/rmem_max")
    text = "unknown" if rmem is None else f"{rmem / 1048576:.1f} MiB"
    if rmem is not None and rmem >= RMEM_MAX:
        yield Finding("ok", "rmem_max", text)
    else:
        yield Finding(
            "warn" if gige else "ok",
            "rmem_max",
            f"{text}; a GigE camera's burst wants {RMEM_MAX // 1048576} MiB",
            f"sysctl -w net.core.rmem_max={RMEM_MAX}; edge install-service makes it last" if gige else None,
        )
    mtus = {}
    for folder in sorted((root / "sys/class/net").glob("*")):
        mtu = _number(folder / "mtu")
        if folder.name != "lo" and mtu is not None and _text(folder / "operstate") in ("up", "unknown"):
            mtus[folder.name] = mtu
    links = ", ".join(f"{name} {mtu}" for name, mtu in mtus.items()) or "no network interface is up"
    if gige and mtus and max(mtus.values()) < MTU:
        yield Finding(
            "warn",
            "mtu",
            f"{links}; on a GigE camera's own link {MTU} and more means a sixth of the packets",
            "ip link set dev INTERFACE mtu 9000, and the camera's GevSCPSPacketSize to match",
        )
    else:
        yield Finding("ok", "mtu", links)


def usb_findings(root: Path = ROOT) -> Iterator[Finding]:
    size = _number(root / "sys/module/usbcore/parameters/usbfs_memory_mb")
    cameras = list(_usb_cameras(root))
    if size is None:
        yield Finding("ok", "usbfs", "no USB here")
    elif size == 0 or size >= USBFS_MB:
        yield Finding("ok", "usbfs", "no limit" if size == 0 else f"{size} MB for transfers")
    else:
        yield Finding(
            "warn" if cameras else "ok",
            "usbfs",
            f"{size} MB for all USB cameras' transfers together",
            f"echo {USBFS_MB} > /sys/module/usbcore/parameters/usbfs_memory_mb; edge install-service makes it last"
            if cameras
            else None,
        )
    for name, node in cameras:
        if os.access(node, os.R_OK | os.W_OK):
            yield Finding("ok", "usb camera", f"{name} at {node}")
        else:
            yield Finding(
                "fail",
                "usb camera",
                f"{name}: {node} is not open to {_user()}",
                "edge install-service installs a udev rule for the group edge; join it, and plug the camera in again",
            )


def gpu_finding(root: Path = ROOT) -> Finding:
    """Check driver and packages; whether an engine works is tried if a config is given."""
    packages = [name for name in ("tensorrt", "tensorrt_rtx") if importlib.util.find_spec(name) is not None]
    jetson = _text(root / "etc/nv_tegra_release")
    driver = re.search(r"Kernel Module.*?\s(\d+\.[\d.]+)", _text(root / "proc/driver/nvidia/version") or "")
    if jetson is None and driver is None:
        return Finding("ok", "gpu", "no NVIDIA driver is loaded: models run on the CPU")
    text = jetson.partition(",")[0].lstrip("# ") if jetson else f"driver {driver[1] if driver else ''}, {_gpu_names()}"
    if not packages:
        return Finding("warn", "gpu", f"{text}; not used, for TensorRT is not installed", "pip install tensorrt")
    if jetson is None and not (root / "dev/nvidia-uvm").exists():
        fix = "modprobe nvidia_uvm, and write it into /etc/modules-load.d"
        return Finding("fail", "gpu", f"{text}; /dev/nvidia-uvm is not there", fix)
    return Finding("ok", "gpu", f"{text}; {' and '.join(packages)}")


def clock_finding() -> Finding:
    """Report what the kernel says about its clock, whoever keeps it: timesyncd, chrony, ntpd, ptp4l."""
    timex = (ctypes.c_long * 64)()  # struct timex takes 208 bytes; all zero is a question
    try:
        answer = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex))
    except (OSError, AttributeError):
        answer = -1
    if answer < 0:
        return Finding("warn", "clock", "the kernel doesn't say whether it is synchronised")
    status, error_s = ctypes.c_int.from_buffer(timex, 5 * ctypes.sizeof(ctypes.c_long)).value, timex[3] / 1e6
    if answer == _TIME_ERROR or status & _STA_UNSYNC:
        return Finding(
            "warn",
            "clock",
            "not synchronised: received_ns and created_ns of records can't be compared with other machines",
            "enable systemd-timesyncd or chrony, or ptp4l where cameras are on PTP",
        )
    return Finding("ok", "clock", f"synchronised, off by {error_s * 1e3:.3g} ms at the most")


def _usb_cameras(root: Path) -> Iterator[tuple[str, Path]]:
    """Return name and device node of each camera: an interface of USB3 Vision's class, or a vendor of the udev rule."""
    vendors = usb_vendors()
    for device in sorted((root / "sys/bus/usb/devices").glob("*")):
        bus, number = _number(device / "busnum"), _number(device / "devnum")
        if bus is None or number is None:
            continue
        vision = any(
            _text(i / "bInterfaceClass") == "ef" and _text(i / "bInterfaceSubClass") == "05" for i in device.glob("*:*")
        )
        if vision or _text(device / "idVendor") in vendors:
            name = " ".join(filter(None, (_text(device / "manufacturer"), _text(device / "product"))))
            yield name or device.name, root / f"dev/bus/usb/{bus:03}/{number:03}"


def _gpu_names() -> str:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return "nvidia-smi is not installed"
    command = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "nvidia-smi doesn't answer"
    return "; ".join(answer.stdout.split("\n")).strip("; ") or answer.stderr.strip() or "no GPU"


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _text(path: Path) -> str | None:
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:
        return None


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text is not None and text.isdigit() else None
