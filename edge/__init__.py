"""Defects in the pictures of factory cameras are found as they stream: frames in, verdicts out.

``edge.open("line1.yaml").inspect("part.png")`` inspects one picture in a Python program; ``edge.read_log("/var/log/edge")``
gives rows for a data frame. Both are imported when they are first asked for, so that ``edge.client`` stays light.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge.errors import UserError
    from edge.line.opened_line import InspectionResult, OpenedLine
    from edge.line.opened_line import open_line as open  # noqa: A004  (edge.open is read as a whole)
    from edge.report.log_rows import log_rows as read_log

__version__ = "0.1.0"
__all__ = ["InspectionResult", "OpenedLine", "UserError", "open", "read_log"]

# ONNX Runtime 1.32 keeps a device id and a database of events for its maker in the user's cache; it looks at this once,
# when it is imported. CI=true suppresses it as well, so that no CI ever shows it.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_HOMES = {
    "InspectionResult": ("edge.line.opened_line", "InspectionResult"),
    "OpenedLine": ("edge.line.opened_line", "OpenedLine"),
    "UserError": ("edge.errors", "UserError"),
    "open": ("edge.line.opened_line", "open_line"),
    "read_log": ("edge.report.log_rows", "log_rows"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'edge' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    value = globals()[name] = getattr(importlib.import_module(module), attribute)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
