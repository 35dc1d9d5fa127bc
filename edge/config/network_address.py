"""MAC and IPv4 addresses come as people write them and as GigE Vision counts them; here they become one text."""

from __future__ import annotations

import re
from ipaddress import IPv4Address

from pydantic_core import PydanticCustomError


def mac_text(value: object) -> str:
    """Return a MAC address as ``00:30:53:1a:2b:3c``; ``""`` for what is none. GigE Vision has it as a number of 48 bits."""
    if isinstance(value, int):
        digits = f"{value:012x}" if 0 < value < 1 << 48 else ""
    else:
        digits = re.sub("[:.-]", "", str(value or "")).lower()
    if not re.fullmatch("[0-9a-f]{12}", digits):
        return ""
    return ":".join(digits[at : at + 2] for at in range(0, 12, 2))


def ip_text(value: object) -> str:
    """Return an IPv4 address as text; ``""`` for what is none, 0.0.0.0 included. GigE Vision has it as a number of 32
    bits.
    """
    try:
        address = IPv4Address(value)
    except ValueError:
        return ""
    return str(address) if int(address) else ""


def checked_mac(text: str) -> str:
    """Return the one text of a MAC address in a config."""
    if not (mac := mac_text(text)):
        raise PydanticCustomError("mac", "six pairs of hexadecimal digits, for example 00:30:53:1a:2b:3c")
    return mac


def checked_ip(text: str) -> str:
    """Return the one text of an IPv4 address in a config."""
    if not (ip := ip_text(text)):
        raise PydanticCustomError("ip", "an IPv4 address, for example 192.168.1.10: GigE Vision has no others")
    return ip
