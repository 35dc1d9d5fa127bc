"""A picture says of which frame it is: in its strip for people, and in its file's name (pure)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Final

from edge.frames import FrameMeta
from edge.report.moments import clock_time
from edge.storage.find_pictures import SUFFIXES
from edge.storage.pictures import frame_name

_UNFIT: Final = re.compile(r"[^\w.-]+")
_LONGEST_BYTES: Final = 120
"""Most bytes of a frame's own name in a file's name; a file system takes 255 for the whole."""


@dataclass(frozen=True, slots=True)
class PictureOf:
    """A picture is of the frame that this record of this camera is about; each None if it isn't known."""

    camera: str | None = None
    seq: int | None = None


def local_time(ns: int) -> str:
    """Write a moment in this machine's time zone with its offset from UTC: ``2026-11-30 07:33:57 +09:00``."""
    offset = datetime.fromtimestamp(ns // 1_000_000_000, timezone.utc).astimezone().strftime("%z")
    return f"{clock_time(ns, in_utc=False)} {offset[:3]}:{offset[3:5]}"


def identity_facts(meta: FrameMeta, of: PictureOf) -> list[str]:
    """List what a strip says of the frame: its name, camera, local time, part and the number of its record."""
    facts = [frame_name(meta.frame_ref, meta.frame_id)]
    if of.camera is not None:
        facts.append(f"camera {of.camera}")
    if meta.received_ns:
        facts.append(local_time(meta.received_ns))
    if meta.part_id is not None:
        facts.append(f"part {meta.part_id}")
    if of.seq is not None:
        facts.append(f"seq {of.seq}")
    return facts


def file_stem(meta: FrameMeta, of: PictureOf) -> str:
    """Return a file's name without its suffix: ``00000039-cam1-20261130T073357+0900-part12-blowhole-exp6_num_3789``.

    It is the seq of the record, camera, local time of ``received_ns``, part, and the frame's own name: the path of its
    picture, or ``frame1531``. Natural order is the order of the records.
    """
    parts = [] if of.seq is None else [f"{of.seq:08d}"]
    if of.camera is not None:
        parts.append(of.camera)
    if meta.received_ns:
        moment = datetime.fromtimestamp(meta.received_ns // 1_000_000_000, timezone.utc).astimezone()
        parts.append(moment.strftime("%Y%m%dT%H%M%S%z"))
    if meta.part_id is not None:
        parts.append(f"part{meta.part_id}")
    return "-".join([*parts, _fit_for_files(meta)])


def _fit_for_files(meta: FrameMeta) -> str:
    name = frame_name(meta.frame_ref, meta.frame_id)
    if meta.frame_ref is None:
        return name.replace(" ", "")
    stem, dot, suffix = name.rpartition(".")
    name = stem if dot and f".{suffix}".lower() in SUFFIXES else name
    fit = _UNFIT.sub("-", name).strip("-.") or "frame"
    while len(fit.encode()) > _LONGEST_BYTES:
        fit = fit[1:]
    return fit
