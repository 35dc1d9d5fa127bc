"""Messages are read and checked here: JSON in, a dictionary out. Neither NumPy nor the daemon is needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from edge.wire.schema import RECORD_KINDS, REQUIRED, SEQ_MAX, VERDICTS, VERSION

UNSTABLE = frozenset({"instance_id", "created_ns", "created_mono_ns", "received_ns", "latency_ms", "simulated"})
"""Fields in which a replay may differ from the live run."""


class WireError(ValueError):
    """The bytes are no message of this schema. ``major`` is their schema, if it is another one."""

    def __init__(self, text: str, major: int | None = None) -> None:
        super().__init__(text)
        self.major = major


def read(line: bytes | str) -> dict[str, Any]:
    """Read one message of any kind and check it: this schema, all required fields, and in a record a verdict and a seq to
    rely on.

    Kinds that this version doesn't know pass with no more than ``schema`` and ``kind`` checked.

    Raises:
        WireError: and nothing else, whatever the bytes.
    """
    try:
        message = orjson.loads(line)
    except ValueError as error:
        raise WireError(f"no JSON: {error}") from None
    if not isinstance(message, dict):
        raise WireError(f"no message: a JSON object was expected, not {type(message).__name__}")
    major, kind = message.get("schema"), message.get("kind")
    if not _is_int(major):
        raise WireError("no message: schema is missing or no integer")
    if major != VERSION:
        raise WireError(f"schema {major} is unknown: this reader knows schema {VERSION}", major)
    if not isinstance(kind, str):
        raise WireError("no message: kind is missing or no text")
    if kind in REQUIRED:
        _check(kind, message)
    return message


def stable(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record without what may differ between a live run and its replay."""
    return {name: value for name, value in record.items() if name not in UNSTABLE}


def _check(kind: str, message: dict[str, Any]) -> None:
    missing = [name for name in REQUIRED[kind] if name not in message]
    if missing:
        raise WireError(f"{kind}: {', '.join(missing)} missing")
    if not (isinstance(message["instance_id"], str) and isinstance(message["camera"], str)):
        raise WireError(f"{kind}: instance_id and camera must be text")
    if not isinstance(message["simulated"], bool):
        raise WireError(f"{kind}: simulated must be true or false")
    if kind == "state" and not _is_int(message["state_seq"]):
        raise WireError("state: state_seq must be an integer")
    if kind not in RECORD_KINDS:
        return
    if not _is_int(message["seq"]) or not 0 <= message["seq"] <= SEQ_MAX:
        raise WireError(f"{kind}: seq must be an integer from 0 to {SEQ_MAX}")
    if message["verdict"] not in (VERDICTS if kind == "inspection" else ("invalid",)):
        raise WireError(f"{kind}: verdict {message['verdict']!r} is unknown")


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
