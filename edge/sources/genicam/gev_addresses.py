"""MAC and IP address of GigE cameras, as their producer's interface lists them without opening one."""

from __future__ import annotations

import re
from typing import Any, Final

from edge.config.network_address import ip_text, mac_text
from edge.sources.genicam.features import BINDING_ERRORS

_MAC: Final = re.compile(r"(?<![0-9A-Fa-f:-])(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}(?![0-9A-Fa-f:-])")
_IP: Final = re.compile(r"(?<![0-9.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![0-9.])")
_MOST: Final = 256


def addresses_of(node_map: Any) -> dict[str, tuple[str, str]]:
    """Return MAC and IP by device id, each ``""`` if not known.

    They stand in the interface module's features DeviceSelector, DeviceID, GevDeviceMACAddress and GevDeviceIPAddress
    (GenTL SFNC 1.1.1, chapter 4). The selector is put back. Never raises.
    """
    try:
        selector = node_map.DeviceSelector
        features = [_feature(node_map, name) for name in ("GevDeviceMACAddress", "GevDeviceIPAddress")]
        if not any(features):
            return {}
        before = selector.value
        try:
            found = {}
            for index in range(selector.min, min(selector.max, selector.min + _MOST) + 1):
                selector.value = index
                mac, ip = (_value(feature) for feature in features)
                found[str(node_map.DeviceID.value)] = mac_text(mac), ip_text(ip)
            return found
        finally:
            selector.value = before
    except (*BINDING_ERRORS, AttributeError, TypeError, ValueError):
        return {}


def addresses_in(*texts: str) -> tuple[str, str]:
    """Return MAC and IP that stand in a device's id or display name, where some producers write them."""
    mac = next((found[0] for text in texts if (found := _MAC.search(text))), "")
    ip = next((found[0] for text in texts if (found := _IP.search(text))), "")
    return mac_text(mac), ip_text(ip)


def _feature(node_map: Any, name: str) -> Any:
    try:
        return getattr(node_map, name)
    except (AttributeError, *BINDING_ERRORS):
        return None


def _value(feature: Any) -> Any:
    """Return None for what the device that is selected has not: not every interface's devices are GigE."""
    try:
        return None if feature is None else feature.value
    except BINDING_ERRORS:
        return None
