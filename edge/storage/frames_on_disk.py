"""Frames are read from a disk here: pictures, a video file, a recording, or one exported to MCAP."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import structlog

from edge.errors import UserError, text_of
from edge.frames import Frame, FrameMeta, Skip
from edge.storage.mcap_file import is_mcap, open_mcap, read_mcap
from edge.storage.pictures import SUFFIXES, PictureError, decoded_format, find_pictures, read_picture, silence_opencv
from edge.storage.recording import RecordedFrame, Recording, framed, is_recording, open_recording

log = structlog.get_logger()

Item: TypeAlias = tuple[float, Callable[[], Frame | Skip]]
"""When an entry is due, in s after the first one, and what reads it."""


@dataclass(frozen=True, slots=True)
class Reel:
    """``total``: frames, lost ones included; None where the file doesn't tell. ``begin`` gives all from the first on."""

    what: str
    total: int | None
    begin: Callable[[], Iterator[Item]]


def read_frames(path: Path) -> Iterator[Frame | Skip]:
    """All frames of ``path``, and what couldn't be read, in order and as fast as they are taken.

    Raises:
        UserError: no such path, a folder without pictures, a file that is neither picture nor video.
    """
    reel = open_reel(path, fps=10.0)
    return (load() for _, load in reel.begin())


def read_pictures(folder: Path, names: Iterable[str]) -> Iterator[Frame | Skip]:
    """These pictures of ``folder``, in this order: paths relative to it, as ``find_pictures`` gives them."""
    silence_opencv()
    return (_picture(folder, name, index) for index, name in enumerate(names))


def count_frames(path: Path) -> int | None:
    """How many frames ``read_frames`` will give, lost ones included; None where a video doesn't tell. Errors as there."""
    return open_reel(path, fps=10.0).total


def open_reel(path: Path, fps: float) -> Reel:
    silence_opencv()
    if path.is_dir():
        return _recording(path) if is_recording(path) else _folder(path, fps)
    if not path.exists():
        raise UserError(
            f"{path}: no such file or folder", expected="a folder of pictures, a picture, a video file or a recording"
        )
    if path.name.lower().endswith(SUFFIXES):
        return Reel(f"picture {path}", 1, lambda: iter([(0.0, partial(_picture, path.parent, path.name, 0))]))
    return _mcap(path) if is_mcap(path) else _video(path, fps)


def _recording(folder: Path) -> Reel:
    recording = open_recording(folder)
    if recording.deleted:
        log.info("recording_shortened", folder=str(folder), deleted_frames=recording.deleted)
    if recording.missing:
        log.warning("recording_incomplete", folder=str(folder), records_missing=recording.missing)
    if not recording.entries:
        raise UserError(f"{folder}: the recording holds no frames")
    log.debug("recording_opened", folder=str(folder), entries=len(recording.entries))

    def begin() -> Iterator[Item]:
        return _paced(
            (e.received_ns if isinstance(e, Skip) else e.meta.received_ns, partial(_recorded, recording, e))
            for e in recording.entries
        )

    frames = sum(entry.count if isinstance(entry, Skip) else 1 for entry in recording.entries)
    return Reel(f"recording {folder}", frames, begin)


def _recorded(recording: Recording, entry: RecordedFrame | Skip) -> Frame | Skip:
    try:
        return recording.load(entry)
    except Exception as error:
        if isinstance(entry, Skip):
            raise
        log.warning("picture_unreadable", file=str(recording.folder / entry.file), cause=text_of(error))
        return framed(entry, None)


def _mcap(path: Path) -> Reel:
    exported = open_mcap(path)

    def begin() -> Iterator[Item]:
        count = 0
        for due_s, load in _paced(read_mcap(path)):
            count += 1
            yield due_s, load
        if count < exported.entries:
            log.warning("mcap_ended_early", file=str(path), entries=count, promised=exported.entries)

    return Reel(f"recording {path}", exported.frames, begin)


def _paced(entries: Iterable[tuple[int, Callable[[], Frame | Skip]]]) -> Iterator[Item]:
    """From stamps in ns to when each is due."""
    last_ns, due_s = None, 0.0
    for stamp_ns, load in entries:
        if last_ns is not None:
            due_s += max(0, stamp_ns - last_ns) / 1e9  # a clock that was set back is no wait
        last_ns = stamp_ns
        yield due_s, load


def _folder(folder: Path, fps: float) -> Reel:
    names = find_pictures(folder)
    if not names:
        files = sum(1 for path in folder.rglob("*") if path.is_file())
        raise UserError(
            f"{folder}: holds no pictures",
            received=f"{files} files of other kinds" if files else "an empty folder",
            expected="PNG, JPEG, TIFF or BMP files, in it or in folders under it, or a recording",
        )

    def begin() -> Iterator[Item]:
        for index, name in enumerate(names):
            yield index / fps, partial(_picture, folder, name, index)

    return Reel(f"folder {folder}", len(names), begin)


def _picture(folder: Path, name: str, frame_id: int) -> Frame | Skip:
    try:
        pixels = read_picture(folder / name)
    except Exception as error:  # noqa: BLE001  (whatever a codec raises)
        cause = str(error) if isinstance(error, (OSError, PictureError)) else text_of(error)
        log.warning("picture_unreadable", file=str(folder / name), cause=cause)
        return Skip("unreadable", 1, frame_id, frame_id, time.time_ns(), "counted", frame_ref=name)
    return _counted(pixels, frame_id, name)


def _counted(pixels: Any, frame_id: int, frame_ref: str) -> Frame:
    bits = 8 * pixels.itemsize
    pixel_format = decoded_format(pixels, bits)
    assert pixel_format is not None
    height, width = pixels.shape[:2]
    meta = FrameMeta(
        frame_id, "counted", width, height, pixel_format, time.time_ns(), time.monotonic_ns(), frame_ref=frame_ref
    )
    return Frame(meta, pixels, bits)


def _video_frame(bgr: Any, frame_id: int, frame_ref: str) -> Frame:
    return _counted(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), frame_id, frame_ref)


def _video(path: Path, fps: float) -> Reel:
    def opened() -> cv2.VideoCapture:
        capture = cv2.VideoCapture(str(path))
        if not capture.isOpened():
            raise UserError(
                f"{path}: neither a picture nor a video that OpenCV reads",
                expected="a folder of pictures, a picture (PNG, JPEG, TIFF, BMP), a video file or a recording",
            )
        return capture

    def begin() -> Iterator[Item]:
        capture = opened()
        try:
            rate = capture.get(cv2.CAP_PROP_FPS)
            step_s = 1 / rate if rate > 0 else 1 / fps
            due_s, index, began_ms = 0.0, 0, None
            while True:
                ok, bgr = capture.read()
                if not ok:
                    break
                stamp_ms = capture.get(cv2.CAP_PROP_POS_MSEC)
                began_ms = stamp_ms if began_ms is None else began_ms
                told_s = (stamp_ms - began_ms) / 1e3
                due_s = told_s if told_s > due_s or index == 0 else due_s + step_s
                yield due_s, partial(_video_frame, bgr, index, path.name)
                index += 1
            if total is not None and index < total:
                log.warning("video_ended_early", file=str(path), frames=index, promised=total)
        finally:
            capture.release()

    capture = opened()
    count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    total = int(count) if 0 < count < 1e9 else None
    capture.release()
    return Reel(f"video {path}", total, begin)
