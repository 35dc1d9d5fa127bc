"""A folder into which a camera puts pictures is a live source: each picture is taken once, when it is whole.

Frames are counted from 0; ``frame_ref`` is the path under the folder. Pictures wait in the folder for as long as the line
takes: nothing is dropped, and what waited too long gets no pass (``late``). What lay there at the start, or became visible
with a share that was mounted later, can't be known to be of now: it is left alone, or inspected as ``late``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import structlog

from edge.config.sources import WatchedFolderConfig
from edge.errors import UserError
from edge.frames import Frame, FrameMeta, Payload, Skip, SkipReason, SourceState
from edge.sources.ahead import HELD_S, Ahead, Wait
from edge.sources.doubts import Doubts
from edge.sources.folder_watch import FolderWatch, Identity, Waiting
from edge.sources.protocol import DeviceFinding, SourceStatus
from edge.sources.taken_files import TakenFiles
from edge.storage.find_pictures import SUFFIXES
from edge.storage.pictures import PictureError, decode_with_bits, decoded_format, silence_opencv
from edge.storage.sample_range import SampleRange

log = structlog.get_logger()

LOOK_S: Final = 0.05
"""Pause between two looks into the folder, in s, or as long as ten looks take."""
_LONGEST_LOOK_S: Final = 5.0
_AWAY_S: Final = 1.0
_CLOSE_S: Final = 2.0
_MOST_BYTES: Final = 1 << 30
_MANY: Final = 100
"""Number of waiting pictures that is a problem when the oldest of them is late, too."""


@dataclass(frozen=True, slots=True)
class _Came:
    """A picture's frame, or the reason why it is lost, with what stands for it in the folder."""

    name: str
    identity: Identity | None
    frame: Frame | None
    reason: SkipReason | None
    why: str
    received_ns: int
    received_mono_ns: int


class WatchedFolderSource:
    """The source never makes files and never writes into one; ``taken`` of the config says what becomes of them."""

    simulated = False

    def __init__(self, config: WatchedFolderConfig, folder: Path, *, look_s: float = LOOK_S) -> None:
        self._config = config
        self._folder = folder
        self._path, self._move_to = folders_of(config, folder)
        self._look_s = look_s
        self._look_at = 0.0
        self._watch = FolderWatch(
            self._path,
            settle_s=config.settle_s,
            incomplete_after_s=config.incomplete_after_s,
            take_old=config.at_start == "take",
        )
        self._range = SampleRange(f"folder {self._path}", config.bits)
        self._doubts = Doubts(config.max_repeats, None)
        self._ahead: Ahead[_Came] | None = None
        self._taken = TakenFiles(self._path, delete=config.taken == "delete", move_to=self._move_to)
        self._held: tuple[str, Identity] | None = None
        self._frames = 0
        self._losses: dict[str, int] = dict.fromkeys(("incomplete", "bad_payload", "unreadable"), 0)
        self._counters = dict.fromkeys(("frames", "timeouts", "reconnects", "held_calls"), 0)
        self._heard_s = time.monotonic()
        self._seen = False
        self._state: SourceState = "opening"
        self._detail = str(self._path)

    def open(self) -> None:
        silence_opencv()
        check_watched_folder(self._config, self._folder)
        self._heard_s = time.monotonic()
        self._ahead = Ahead(self._fetch, "watched-folder")
        self._ahead.start()

    def read(self, timeout_s: float) -> Payload | Skip | None:
        ahead = self._ahead
        assert ahead is not None
        held, self._held = self._held, None
        if held is not None:  # the ring has its pixels now
            self._taken.add(*held)
        came = ahead.take(timeout_s)
        if came is None:
            self._look_after(ahead)
            return None
        self._held = None if came.identity is None else (came.name, came.identity)
        frame_id, self._frames = self._frames, self._frames + 1
        self._heard_s = time.monotonic()
        if came.reason is not None or came.frame is None:
            reason = came.reason or "unreadable"
            self._losses[reason] += 1
            log.warning("picture_lost", file=came.name, reason=reason, cause=came.why)
            return Skip(reason, 1, frame_id, frame_id, came.received_ns, "counted", frame_ref=came.name)
        self._counters["frames"] += 1
        self._enter("streaming", str(self._path))
        meta = replace(came.frame.meta, frame_id=frame_id)
        pixels: Any = came.frame.pixels
        little = pixels.astype(pixels.dtype.newbyteorder("<"), copy=False)
        return Payload(meta, little.reshape(-1).view(np.uint8))

    def close(self) -> None:
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            if self._held is not None:
                self._taken.add(*self._held)
                self._held = None
            if ahead.stop(_CLOSE_S):
                self._taken.settle()
            else:
                log.warning("folder_still_held", folder=str(self._path))
        self._state = "ended"

    def status(self) -> SourceStatus:
        watch = self._watch
        counters = {**self._counters, **self._losses, "waiting": watch.waiting, "passed_over": watch.passed_over}
        return SourceStatus(self._state, self._detail, self._frames, counters, self._taken.problem or self._backlog())

    def _backlog(self) -> str | None:
        """Say that pictures come faster than they are inspected, once the oldest is too old for a pass."""
        limit_s, waiting = self._config.late_after_s, self._watch.waiting
        if limit_s is None or waiting < _MANY or self._watch.oldest_s(time.monotonic()) < limit_s:
            return None
        return f"{waiting} pictures wait: they come faster than the line inspects"

    def _look_after(self, ahead: Ahead[_Came]) -> None:
        now, limit_s = time.monotonic(), self._config.silent_after_s
        if ahead.held_s() > HELD_S and self._state != "lost":
            self._counters["held_calls"] += 1
            self._enter("lost", f"{self._path}: the file system does not answer")
        elif limit_s is not None and self._seen and now - self._heard_s > limit_s:
            self._heard_s = now
            self._counters["timeouts"] += 1
            self._enter("silent", f"{self._path}: no new picture for {limit_s:g} s")

    def _fetch(self, wait: Wait) -> _Came | None:
        """Give the next picture. Runs in the thread of ``Ahead``, as all that touches the file system."""
        self._taken.settle()
        try:
            self._look()
        except OSError as error:
            self._away(error)
            wait.sleep(_AWAY_S)
            return None
        if not self._seen or self._state in ("lost", "backoff"):
            self._there()
        if self._watch.vanished:
            name = self._watch.vanished.pop(0)
            return _Came(
                name=name,
                identity=None,
                frame=None,
                reason="unreadable",
                why="deleted before it was read",
                received_ns=time.time_ns(),
                received_mono_ns=time.monotonic_ns(),
            )
        file = self._watch.ready(time.monotonic())
        while file is not None:
            came = self._read(file)
            if came is not None:
                self._watch.took(file)
                return came
            file = self._watch.ready(time.monotonic())
        wait.sleep(self._look_at - time.monotonic())
        return None

    def _look(self) -> None:
        """Look into the folder if it is time: what waits already needs no look for each of it."""
        began = time.monotonic()
        if began >= self._look_at:
            self._watch.look(began)
            now = time.monotonic()
            self._look_at = now + min(_LONGEST_LOOK_S, max(self._look_s, 10 * (now - began)))

    def _read(self, file: Waiting) -> _Came | None:
        """Return the picture, or its loss; None if it isn't whole yet."""
        came_ns, came_mono_ns = file.came_ns
        lost = _Came(
            name=file.name,
            identity=file.identity,
            frame=None,
            reason="incomplete",
            why=file.refused or "",
            received_ns=came_ns,
            received_mono_ns=came_mono_ns,
        )
        if file.refused is not None:
            return lost
        try:
            frame = self._decoded(file)
        except (PictureError, OSError, MemoryError) as error:
            file.refused = str(error) or type(error).__name__
            return replace(lost, why=file.refused) if self._watch.is_given_up(file, time.monotonic()) else None
        if not self._watch.is_unchanged(file):
            return None
        if isinstance(frame, Skip):
            return replace(lost, reason="unreadable", why="more bits than declared")
        doubt = self._doubts.about(frame.pixels)
        if doubt is not None:
            return replace(lost, reason="bad_payload", why=doubt)
        return replace(lost, frame=frame, reason=None)

    def _decoded(self, file: Waiting) -> Frame | Skip:
        if file.identity[2] > _MOST_BYTES:
            raise PictureError(f"{file.identity[2]} bytes: no picture")
        picture = decode_with_bits((self._path / file.name).read_bytes())
        name = decoded_format(picture.pixels, picture.bits)
        assert name is not None
        height, width = picture.pixels.shape[:2]
        meta = FrameMeta(
            frame_id=0,
            frame_id_source="counted",
            width=width,
            height=height,
            pixel_format=name,
            received_ns=file.came_ns[0],
            received_mono_ns=file.came_ns[1],
            frame_ref=file.name,
            late=self._is_late(file),
        )
        return self._range.checked(lambda: Frame(meta, picture.pixels, picture.bits))

    def _is_late(self, file: Waiting) -> bool:
        if file.was_there:
            return True
        limit_s = self._config.late_after_s
        if limit_s is None:
            return False
        written_s = (time.time_ns() - file.identity[3]) / 1e9
        return max(written_s, (time.monotonic_ns() - file.came_ns[1]) / 1e9) > limit_s

    def _there(self) -> None:
        again = self._seen
        self._seen = True
        self._counters["reconnects"] += again
        if self._watch.passed_over:
            log.info("pictures_passed_over", folder=str(self._path), count=self._watch.passed_over)
        if self._watch.other_pictures:
            kinds = ", ".join(sorted(self._watch.other_pictures))
            log.warning("left_out", folder=str(self._path), what=f"files of kinds that are not read: {kinds}")
        self._enter("waiting_for_trigger", f"{self._path}: waiting for a new picture")

    def _away(self, error: OSError) -> None:
        state: SourceState = "lost" if self._seen and self._state not in ("lost", "backoff") else "backoff"
        self._enter(state, f"{self._path}: {error.strerror or error}")

    def _enter(self, state: SourceState, detail: str) -> None:
        if (state, detail) != (self._state, self._detail):
            log.info("source_state", state=state, detail=detail)
        self._state, self._detail = state, detail


def check_watched_folder(config: WatchedFolderConfig, folder: Path) -> None:
    """Refuse what a wait doesn't mend. A folder that isn't there yet is waited for.

    Raises:
        UserError: a file in its place, no right to take pictures away, ``move_to`` inside of it.
    """
    path, move_to = folders_of(config, folder)
    if path.exists() and not path.is_dir():
        raise UserError(
            "source.path: a file, not a folder",
            received=path,
            expected="the folder into which the camera puts its pictures",
            fix=f"name its folder: {path.parent}" if path.name.lower().endswith(SUFFIXES) else None,
        )
    if move_to is not None and (move_to == path or path in move_to.parents):
        raise UserError(
            "source.move_to: inside of source.path",
            received=move_to,
            expected="a folder outside, or moved pictures would be taken again",
        )
    if not path.is_dir():
        return
    if not os.access(path, os.R_OK | os.X_OK):
        raise UserError("source.path: this user may not read the folder", received=path, fix="give the group edge r and x")
    if config.taken != "keep" and not os.access(path, os.W_OK):
        raise UserError(
            f"source.taken: {config.taken}: this user may not take files out of the folder",
            received=path,
            fix="give the group edge w on the folder, or taken: keep",
        )


def folders_of(config: WatchedFolderConfig, folder: Path) -> tuple[Path, Path | None]:
    """Return ``path`` and ``move_to``, absolute; relative ones lie under ``folder``."""
    move_to = None if config.move_to is None else (folder / config.move_to.expanduser()).absolute()
    return (folder / config.path.expanduser()).absolute(), move_to


def examine_watched_folder(config: WatchedFolderConfig, folder: Path) -> Iterator[DeviceFinding]:
    """Say whether pictures may be read, and what would be left alone at the start."""
    path, _ = folders_of(config, folder)
    try:
        check_watched_folder(config, folder)
        if not path.is_dir():
            yield DeviceFinding("warn", "folder", f"{path} is not there; the daemon waits for it", "mount it, or make it")
            return
        watch = FolderWatch(path, settle_s=0.0, incomplete_after_s=1.0, take_old=False)
        watch.look(time.monotonic())
    except (UserError, OSError) as error:
        text, _, fix = str(error).partition("\n  fix: ")
        yield DeviceFinding("fail", "folder", text.replace("\n  ", "; "), fix or None)
        return
    what = "inspected, as late" if config.at_start == "take" else "left alone"
    yield DeviceFinding("ok", "folder", f"{path}: {watch.passed_over} pictures there now, at a start {what}")
    if watch.other_pictures:
        kinds = ", ".join(sorted(watch.other_pictures))
        yield DeviceFinding(
            "warn", "folder", f"{path}: files of kinds that are not read: {kinds}", "PNG, JPEG, TIFF or BMP"
        )
