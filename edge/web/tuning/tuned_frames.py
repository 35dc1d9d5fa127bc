"""What is tuned on: frames of a recording or of a stretch of evidence, with records, labels and maps if there are any."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from edge.config.bundle import Bundle
from edge.errors import UserError
from edge.frames import Frame, Skip
from edge.models.sets.class_words import is_bad_folder, is_good_folder
from edge.models.sets.frame_labels import frame_labels
from edge.models.sets.frame_set import SetFrame, read_set
from edge.storage.pictures import picture_inside, read_picture
from edge.storage.recording import framed, read_head
from edge.storage.recording_index import Deleted, Missing, RecordedFrame, read_index
from edge.web.column_values import real, text, whole
from edge.web.tuning.recordings import kept_name, recording_id
from edge.wire.record_fields import VERDICTS


@dataclass(frozen=True, slots=True)
class TunedFrame:
    """One frame has its line of the index, what tuning compares with, and its ``label``: ``good``, a kind, or None."""

    entry: RecordedFrame
    seq: int | None
    verdict: str | None
    reason: str | None
    map_max: float | None
    threshold: float | None
    label: str | None
    model_sha256: str | None = None
    lock: str | None = None
    """Reason that the drift of its time gives its replay; None without."""

    @property
    def shown(self) -> dict[str, Any]:
        """Return what the page says beside the frame."""
        meta = self.entry.meta
        return {
            "number": self.entry.number,
            "seq": self.seq,
            "part": meta.part_id,
            "received_ns": str(meta.received_ns),
            "width": meta.width,
            "height": meta.height,
            "recorded": self.verdict,
            "recorded_reason": self.reason,
            "label": self.label,
        }


@dataclass(frozen=True, slots=True)
class TunedFrames:
    """A subject is opened once; what is written to the recording later isn't in it. ``notes`` are sentences for people."""

    folder: Path
    camera: str
    frames: tuple[TunedFrame, ...]
    notes: tuple[str, ...]

    def frame(self, index: int) -> Frame | Skip:
        """Read the pixels; ``Skip("unreadable")`` where the picture is missing, damaged or another one."""
        entry = self.frames[index].entry
        try:
            pixels = read_picture(picture_inside(self.folder, entry.file))
        except (OSError, ValueError):
            pixels = None
        return framed(entry, pixels)


def open_tuned(
    folder: Path,
    bundle: Bundle,
    *,
    since_ns: int | None = None,
    until_ns: int | None = None,
    reviewed: Path | None = None,
) -> TunedFrames:
    """Read the index of a recording, and what folders or a set say about its frames.

    ``reviewed`` is the manifest of Review's labels, whose words go before all others.

    Raises:
        UserError: no recording, a damaged head, or no frame in this stretch of time.
    """
    head, labels = read_head(folder), _Labels(folder, reviewed)
    found: dict[int, TunedFrame] = {}
    missing = 0
    for entry, line in read_index(folder):
        if isinstance(entry, Deleted):
            for number in entry.among(found.keys()):
                del found[number]
        elif isinstance(entry, Missing):
            missing += entry.records
        elif isinstance(entry, RecordedFrame):
            received = entry.meta.received_ns
            if (since_ns is None or received >= since_ns) and (until_ns is None or received < until_ns):
                found[entry.number] = _frame(entry, line, labels)
    if not found:
        raise UserError(
            f"{folder}: no frame to tune on",
            received="none in this stretch of time" if since_ns or until_ns else "a recording without frames",
            fix="choose another recording, or a longer stretch",
        )
    frames = tuple(found.values())
    notes = [*_notes(folder, frames, missing, bundle), *([labels.note] if labels.note else [])]
    return TunedFrames(folder, head["camera"], frames, tuple(notes))


class _Labels:
    """What people say about a recording's frames: in Review, in a set beside them, or by the original files' folders."""

    def __init__(self, folder: Path, reviewed: Path | None) -> None:
        known = frame_labels(folder)
        self._beside: Mapping[str, str] = {} if known is None else known.kinds
        self._recording = recording_id(folder.resolve())
        self.note: str | None = None
        frames: tuple[SetFrame, ...] = ()
        try:
            frames = read_set(reviewed).frames if reviewed is not None and reviewed.is_file() else ()
        except UserError as error:
            self.note = f"what was labelled in Review can't be read: {error.what}"
        self._reviewed = {one.file: one.kind for one in frames if one.label in ("good", "defect")}

    def of(self, entry: RecordedFrame) -> str | None:
        name = kept_name(self._recording, entry.meta.received_ns, entry.number, entry.file)
        return self._reviewed.get(name) or self._beside.get(entry.file) or _by_folder(entry.meta.frame_ref)


def _frame(entry: RecordedFrame, line: bytes, labels: _Labels) -> TunedFrame:
    record = orjson.loads(line).get("record")
    record = record if isinstance(record, dict) else {}
    model = record.get("model")
    locks = (entry.meta.drift or {}).get("locks") or ()
    return TunedFrame(
        entry=entry,
        seq=whole(record.get("seq")),
        verdict=record.get("verdict") if record.get("verdict") in VERDICTS else None,
        reason=text(record.get("reason")),
        map_max=real(record.get("map_max")),
        threshold=real(record.get("threshold")),
        label=labels.of(entry),
        model_sha256=text(model.get("sha256")) if isinstance(model, dict) else None,
        lock=f"drift_{locks[0]}" if locks else None,
    )


def _by_folder(frame_ref: str | None) -> str | None:
    """Return the label that the folder of the original file gives, as ``edge evaluate`` reads folders."""
    folder = Path(frame_ref or "").parent.name
    return "good" if is_good_folder(folder) else folder if is_bad_folder(folder) else None


def _notes(folder: Path, frames: tuple[TunedFrame, ...], missing: int, bundle: Bundle) -> Iterator[str]:
    others = {frame.model_sha256 for frame in frames if frame.model_sha256 not in (None, bundle.sha256)}
    if others:
        yield (
            f"the recording was judged by another model ({', '.join(sorted(model[:12] for model in others if model))}); "
            f"the line has {bundle.sha256[:12]}: maps of other models are left aside and computed with the line's"
        )
    if missing:
        yield f"{missing} records are missing in the recording: it was damaged, or its disk was too slow"
    if _is_being_written(folder):
        yield "the recording is being written: frames that came after it was opened are not among these"
    sizes = {(frame.entry.meta.width, frame.entry.meta.height) for frame in frames}
    if len(sizes) > 1:
        yield f"the frames have {len(sizes)} sizes: shapes in image_px mean different places in them"


def _is_being_written(folder: Path) -> bool:
    """Say whether a process holds the lock of an evidence folder, or the index ends in half a line."""
    index = folder / "frames.jsonl"
    with index.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size:
            file.seek(size - 1)
            if file.read(1) != b"\n":
                return True
    return _is_locked(folder / "lock")


def _is_locked(path: Path) -> bool:
    """Ask the kernel who holds the lock; nothing is locked here, so that no daemon could be refused by it."""
    try:
        inode = path.stat().st_ino
        return any(f":{inode} " in line for line in Path("/proc/locks").read_text("ascii", "replace").splitlines())
    except OSError:
        return False
