"""Frames of chosen verdicts are kept as a recording that ``edge replay`` reads, with an overlay beside each fail.

A recording of one camera that goes on over restarts: ``frames.jsonl`` holds each frame's record as well, and why it was
kept. When the folder exceeds its quota the oldest pictures and their overlays are deleted, those of fails last.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import structlog

from edge.config.outputs import EvidenceConfig
from edge.errors import UserError, may_pass, text_of
from edge.frames import Frame, Inspection, Judged, Record, RunIdentity, Skip
from edge.outputs.evidence.choice import Choice
from edge.outputs.evidence.fail_overlays import FailOverlays
from edge.outputs.evidence.folder import FolderDamage, take_folder
from edge.outputs.evidence.packed_mask import PackedMask
from edge.outputs.evidence.pool import Copies, KeptFrame
from edge.outputs.evidence.quota import Quota
from edge.outputs.protocol import Run
from edge.outputs.sink import Sink
from edge.report.inspected_part import InspectedPart
from edge.storage.disk import Reserve, cannot_be_written, limit_bytes, write_whole
from edge.storage.map_file import MAP_SUFFIX, MAPS
from edge.storage.mask_picture import read_mask
from edge.storage.recording import EVIDENCE, is_recording
from edge.storage.recording_index import cause_of
from edge.storage.recording_writer import RecordingWriter

log = structlog.get_logger()

EVIDENCE_BUFFERS: Final = 8
"""Number of frames that may wait to be written. With all in use the next one is lost, and counted."""
_KEY: Final = "outputs.evidence.dir"
_PROBE_BYTES: Final = 1 << 16
LOOK_S: Final = 1.0
"""Time in s between two looks at the disk, and two syncs of the index."""
_SHORTENS_S: Final = 0.02
_MOST_LOSSES: Final = 64
"""Number of losses that may wait for their place among the frames before a fail."""


class EvidenceSink(Sink):
    """The sink runs in its output's thread, except for ``keep``. Skips are recorded where ``keep`` names ``invalid``, their
    verdict. A frame that was ``invalid: late`` is recorded as late, so that its replay says so, too. With ``before_fail``
    every frame waits until so many came after it, or a fail did: the recording stays in the order of the frames.

    Trouble with the disk costs the frames that should have been written then, and is over when a file can be written.
    Records that were lost to it, or on the way here, are counted in the recording itself: it does not look whole.
    """

    name = "evidence"

    def __init__(
        self,
        config: EvidenceConfig,
        folder: Path,
        identity: RunIdentity,
        part: InspectedPart | None,
        buffers: int = EVIDENCE_BUFFERS,
    ) -> None:
        """Take folder and choice; ``part``, which is inspected, is drawn into overlays."""
        self._config = config
        self._folder = folder
        self._camera = identity.camera
        self._overlays = FailOverlays(folder / "overlays", part or InspectedPart(), identity.camera)
        self._choice = Choice(config)
        self._copies = Copies(buffers, config.before_fail, maps=config.maps)
        self._waiting: deque[tuple[Record, KeptFrame | None]] = deque()
        self._frames_waiting = 0
        self._expected: int | None = None  # seq of the next record, once the first came
        self._seen = -1  # the judge's last one
        self._missing = 0
        self._writer: RecordingWriter | None = None
        self._lock: int | None = None
        self._quota: Quota | None = None
        self._room = Reserve(folder, config.min_free_gb)
        self._probe_at = 0.0
        self._stopped: str | None = None
        self._damage = FolderDamage()
        self._counters = {"pictures": 0, "pictures_deleted": 0, "files_damaged": 0, "before_fail_missing": 0}

    @classmethod
    def of(cls, config: EvidenceConfig, run: Run) -> EvidenceSink:
        """Make the evidence sink of a live line."""
        regions = run.config.regions
        mask, _ = read_mask(regions.roi)
        return cls(config, config.dir, run.identity, InspectedPart(regions.roi, mask, regions.border_px))

    @property
    def idle_s(self) -> float:
        return _SHORTENS_S if self._writer is not None and self._writer.shortens else LOOK_S

    @property
    def detail(self) -> Mapping[str, Any]:
        return {"dir": str(self._folder)}

    @property
    def trouble(self) -> str | None:  # type: ignore[override]
        """Return what keeps evidence from being written; otherwise damage found at the start, for a while."""
        return self._damage.fault if self._stopped is None else self._stopped

    @property
    def counters(self) -> Mapping[str, int]:
        return self._counters

    @property
    def free_bytes(self) -> int | None:
        return self._room.free_bytes

    def open(self) -> None:
        """Open the recording. A full disk is a trouble, not an error.

        Raises:
            UserError: the folder can't be written, belongs to another camera, or another process writes there.
        """
        try:
            self._room.check()
            self._open(gently=False)
        except OSError as error:
            refused = cannot_be_written(self._folder, error)
            if not (may_pass(error) or refused.passes):
                raise refused.at(_KEY) from None
            self._note(error)
        except UserError as error:
            if not error.passes:
                raise
            self._note(error)

    def keep(self, record: Record, frame: Frame, judged: Judged | None) -> KeptFrame | None:
        """Copy a frame that is wanted, or may be; return None for another one. Called in the judge's thread.

        Raises:
            OSError: every buffer waits to be written.
        """
        assert isinstance(record.body, Inspection)
        self._seen = record.seq
        why = self._choice.why(record.body, frame)
        if why is None and not self._config.before_fail:
            return None
        meta = replace(frame.meta, late=frame.meta.late or record.body.reason == "late", drift=record.body.drift)
        kept = self._copies.take(replace(frame, meta=meta), why, None if judged is None else judged.amap)
        if kept is not None and judged is not None and self._config.overlays and record.verdict == "fail":
            kept.mask = PackedMask.of(judged)
        return kept

    def discard(self, kept: KeptFrame) -> None:
        """Give back the buffer of a frame that will not be written."""
        self._copies.give_back(kept)

    def write(self, record: Record, kept: KeptFrame | None) -> None:
        """Record a frame or loss, or hold it until it is known whether a fail follows. Trouble is noted, not raised."""
        self._expect(record.seq)
        self._expected = record.seq + 1
        self._waiting.append((record, kept))
        self._frames_waiting += isinstance(record.body, Inspection)
        if kept is not None and kept.why == "fail":
            self._call_back()
        else:
            before = self._config.before_fail
            while self._waiting and (self._frames_waiting > before or len(self._waiting) > before + _MOST_LOSSES):
                self._release()

    def idle(self) -> None:
        """Look whether the disk is well again."""
        if self._stopped is None:
            self._room.look()
            if self._writer is not None:
                self._writer.go_on()
                try:
                    self._writer.sync()
                except OSError as error:
                    self._note(error)
            return
        if time.monotonic() < self._probe_at:
            return
        try:
            self._room.check()
            if self._writer is None or not is_recording(self._folder):
                self._open()
            probe = self._folder / "frames" / "probe"
            write_whole(probe, bytes(_PROBE_BYTES))
            probe.unlink()
            self._make_room()
        except (OSError, UserError) as error:
            self._note(error)
        else:
            self._well()

    def close(self) -> None:
        while self._waiting:
            self._release()
        self._expect(self._seen + 1)
        if self._missing and self._writer is not None:
            self._writer.missing(self._missing)
        self._close_writer()

    def _open(self, *, gently: bool = True) -> None:
        self._close_writer()
        self._lock = take_folder(self._folder, _KEY)
        try:
            writer = RecordingWriter(self._folder, camera=self._camera, source=EVIDENCE, append=True, gently=gently)
        except UserError as error:
            raise error.at(_KEY) from None
        self._damage.note(writer.damaged)
        self._counters["files_damaged"] += len(writer.damaged)
        overlays, maps = self._overlays.folder, self._folder / MAPS
        try:
            overlays.mkdir(exist_ok=True)
            if self._config.maps:
                maps.mkdir(exist_ok=True)
            kinds = {self._folder / "frames": ".png", overlays: ".jpg", maps: MAP_SUFFIX}
            kinds = {place: suffix for place, suffix in kinds.items() if place.is_dir()}
            for torn in (path for place in kinds for path in place.glob("*.tmp")):
                torn.unlink()
            limit = limit_bytes(self._folder, self._config.quota_gb, self._config.quota_percent)
            assert limit is not None
            by_cause = self._config.quota_by_cause_gb
            self._quota = Quota(
                kinds,
                limit,
                writer.held,
                precious="fail",
                cause_bytes=None if by_cause is None else int(by_cause * 1e9),
                gently=gently,
            )
        except OSError:
            writer.close()
            raise
        writer.held = {}
        self._writer = writer
        self._make_room()

    def _expect(self, seq: int) -> None:
        """Count the records before ``seq`` that never arrived here, because they got lost on their way."""
        if self._expected is not None:
            self._missing += max(seq - self._expected, 0)

    def _close_writer(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _call_back(self) -> None:
        """Write what waits before a fail, because the fail came."""
        for record, kept in self._waiting:
            if kept is None:
                self._counters["before_fail_missing"] += isinstance(record.body, Inspection)
            elif kept.why is None:
                kept.why = "before_fail"
        while self._waiting:
            self._release()

    def _release(self) -> None:
        """Take the oldest frame that waits: to the disk, or back to the pool."""
        record, kept = self._waiting.popleft()
        self._frames_waiting -= isinstance(record.body, Inspection)
        wanted = kept.why is not None if kept is not None else isinstance(record.body, Skip) and self._choice.losses
        try:
            if wanted:
                self._put(record, kept)
        except (OSError, UserError) as error:
            self._note(error)
            self.lost += 1
            self._missing += 1
        else:
            if wanted:
                self._well()
        finally:
            if kept is not None:
                self._copies.give_back(kept)

    def _put(self, record: Record, kept: KeptFrame | None) -> None:
        self._room.check()
        if self._writer is None:
            self._open()
        assert self._writer is not None
        if self._missing:
            self._writer.missing(self._missing)
            self._missing = 0
        if kept is None:
            assert isinstance(record.body, Skip)
            self._writer.skip(record.body, record.line)
            self._make_room()
        else:
            assert isinstance(record.body, Inspection)
            self._put_frame(self._writer, record, record.body, kept)

    def _put_frame(self, writer: RecordingWriter, record: Record, inspection: Inspection, kept: KeptFrame) -> None:
        assert self._quota is not None
        number = writer.frame(kept.frame, record.line, kept.why, kept.amap)
        nbytes = (self._folder / "frames" / f"{number:08d}.png").stat().st_size
        nbytes += 0 if kept.amap is None else kept.amap.values.nbytes
        self._counters["pictures"] += 1
        overlay = None
        try:
            if self._config.overlays and record.verdict == "fail":
                overlay, size = self._overlays.write(number, record.seq, inspection, kept)
                nbytes += size
        finally:
            self._quota.add(number, nbytes, cause_of(kept.why, kept.frame.meta.drift), overlay)
            self._make_room()

    def _make_room(self) -> None:
        """Return to the quota: the oldest frames go first, then losses between them, fails when nothing else is left."""
        assert self._writer is not None
        assert self._quota is not None
        writer, quota = self._writer, self._quota
        self._delete(quota.beyond_cause())
        if not quota.is_full(writer.index_bytes):
            return
        self._delete(quota.oldest(quota.excess(writer.index_bytes), precious=False))
        if writer.losses and quota.excess(writer.index_bytes):
            writer.forget_losses()
        self._delete(quota.oldest(quota.excess(writer.index_bytes), precious=True))

    def _delete(self, numbers: Sequence[int]) -> None:
        """Delete pictures after the index says so: no replay takes a missing picture for a damaged one."""
        assert self._writer is not None
        assert self._quota is not None
        if numbers:
            self._writer.forget(numbers)
            self._quota.delete(numbers)
            self._counters["pictures_deleted"] += len(numbers)
            log.debug("evidence_deleted", dir=str(self._folder), frames=len(numbers))

    def _note(self, error: Exception) -> None:
        self._probe_at = time.monotonic() + LOOK_S
        text = text_of(error)
        if text != self._stopped:  # the supervisor logs every fault
            log.debug("evidence_stopped", dir=str(self._folder), error=text)
        self._stopped = text

    def _well(self) -> None:
        if self._stopped is not None:
            log.debug("evidence_goes_on", dir=str(self._folder), lost=self.lost)
            self._stopped = None
