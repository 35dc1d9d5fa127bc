"""An overlay's file name says of which record it is; numbers alone begin anew where an evidence folder was emptied."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

_NAME: Final = re.compile(r"(\d{8,})-seq(\d+)-[a-z0-9_]+(?:-(\d{8}T\d{6}[+-]\d{4}))?(?=[-.])")


def number_of(name: str) -> int | None:
    """Return the number of the frame in its recording that an overlay's name begins with; None if it is no such name."""
    found = _NAME.match(name)
    return None if found is None else int(found[1])


def is_overlay_of(name: str, number: int, seq: int, received_ns: int) -> bool:
    """Return True if ``00001321-seq1515-cam1-20261130T073357+0900-part12-frame1531.jpg`` is of this frame.

    It is if number, seq and the second of ``received_ns`` (UTC) are the same; a name without a time has no say in that.
    """
    found = _NAME.match(name)
    if found is None or (int(found[1]), int(found[2])) != (number, seq):
        return False
    try:
        moment = None if found[3] is None else datetime.strptime(found[3], "%Y%m%dT%H%M%S%z").timestamp()
    except ValueError:
        return False
    return moment is None or int(moment) == received_ns // 1_000_000_000
