"""GenTL producers find cameras, which are listed here through harvesters."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from harvesters.core import Harvester, ParameterKey, ParameterSet

from edge.sources.genicam.buffer import item
from edge.sources.genicam.camera_info import CameraInfo
from edge.sources.genicam.gev_addresses import addresses_in, addresses_of
from edge.sources.genicam.producers import check_loadable

_ENUMERATION_MS: Final = 1000
_ACCESS: Final = {1: "free", 2: "read-only", 3: "no access", 4: "in use", 5: "in use", 6: "in use"}
_quiet = logging.getLogger("edge.harvesters")  # every failure is raised, counted or logged by us
_quiet.addHandler(logging.NullHandler())
_quiet.propagate = False


def list_devices(producers: list[Path]) -> list[CameraInfo]:
    """List every camera of these producers. The list is empty while another object of this process has one of them open.

    Raises:
        UserError: no camera, and a producer that can't be loaded.
    """
    harvester = new_harvester(producers)
    try:
        harvester.update()
        cameras = infos_of(harvester, addresses=True)
        if not cameras:
            check_loadable(producers)
        return cameras
    finally:
        with tolerate():
            harvester.reset()


def infos_of(harvester: Any, *, addresses: bool) -> list[CameraInfo]:
    """Return the cameras that the last update found; with ``addresses``, MAC and IP too, as far as producers tell."""
    by_producer: dict[int, dict[str, tuple[str, str]]] = {}
    cameras = []
    for device in harvester.device_info_list:
        camera = _info_of(device)
        if addresses:
            interface = device.parent
            if id(interface) not in by_producer:
                by_producer[id(interface)] = _addresses_through(interface)
            mac, ip = by_producer[id(interface)].get(camera.id, ("", ""))
            in_id = addresses_in(camera.id, str(device.property_dict.get("display_name") or ""))
            camera = replace(camera, mac=mac or in_id[0], ip=ip or in_id[1])
        cameras.append(camera)
    return cameras


def _addresses_through(interface: Any) -> dict[str, tuple[str, str]]:
    with tolerate():  # its features come from the producer's file, read only now
        return addresses_of(interface.node_map)
    return {}


def _info_of(device: Any) -> CameraInfo:
    def text(name: str) -> str:
        value = device.property_dict.get(name)
        return str(value) if value is not None else ""

    status = device.property_dict.get("access_status")
    producer = item(device.parent.parent, "path_name", "")
    return CameraInfo(
        serial=text("serial_number"),
        vendor=text("vendor"),
        model=text("model"),
        device_user_id=text("user_defined_name"),
        id=text("id_"),
        transport=text("tl_type"),
        access=_ACCESS.get(int(status), "unknown") if status is not None else "unknown",
        producer=producer or "",
    )


def new_harvester(producers: list[Path]) -> Any:
    harvester = Harvester(
        config=ParameterSet(
            {ParameterKey.LOGGER: _quiet, ParameterKey.TIMEOUT_PERIOD_ON_MODULE_ENUMERATION: _ENUMERATION_MS}
        )
    )
    for producer in producers:
        harvester.add_file(str(producer))
    return harvester


@contextlib.contextmanager
def tolerate() -> Iterator[None]:
    """Tear down a camera that may be gone: whatever a vendor's library raises, the next step must still run."""
    try:
        yield
    except Exception as error:  # noqa: BLE001
        _quiet.debug("teardown", exc_info=error)
