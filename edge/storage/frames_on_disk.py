"""Frames are read from a disk here: pictures, a video file, a recording, or one exported to MCAP."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import structlog

from edge.errors import UserError, first_few, text_of
from edge.frames import Frame, FrameMeta, Skip
from edge.storage.find_pictures import SUFFIXES, FoundPictures, find_pictures, natural_key
from edge.storage.mask_names import masks_beside
from edge.storage.mask_pixels import is_drawn
from edge.storage.mcap_file import is_mcap, open_mcap, read_mcap
from edge.storage.pictures import PictureError, decode_with_bits, decoded_format, picture_bytes, silence_opencv
from edge.storage.recording import RecordedFrame, Recording, framed, is_recording, open_recording
from edge.storage.sample_range import SampleRange
from edge.storage.video import INSTALL, Damaged, Shot, VideoError, has_pyav, open_video, shortage

log = structlog.get_logger()

Item: TypeAlias = tuple[float, Callable[[], Frame | Skip]]
"""An item knows when an entry is due, in s after the first one, and what reads it."""


@dataclass(frozen=True, slots=True)
class Reel:
    """A reel has ``total`` frames, lost ones included (None if the file doesn't say); ``begin`` gives all from the first
    on.
    """

    what: str
    total: int | None
    begin: Callable[[], Iterator[Item]]
    left_out: str = ""
    """What lies there and isn't in the reel, in words; empty if nothing."""
    masks: str = ""
    """Pictures that are masks of others by their names, and so no frames, in words; empty if none."""


def read_frames(path: Path, bits: int | None = None, start: int = 0, stop: int | None = None) -> Iterator[Frame | Skip]:
    """All frames of ``path``, and what couldn't be read, in order and as fast as they are taken.

    ``bits``: as ``open_reel``'s. ``start``, ``stop``: entries alone from the one on, up to the other; those before are
    passed over without being decoded, but in a video.

    Raises:
        UserError: no such path, a folder without pictures, a file that is neither picture nor video.
    """
    reel = open_reel(path, fps=10.0, bits=bits)
    return (load() for _, load in islice(reel.begin(), start, stop))


def count_entries(path: Path) -> int:
    """How many entries ``read_frames`` will give: a loss of a recording is one, however many frames it counts.

    A video that doesn't tell is gone through. Errors as of ``read_frames``.
    """
    reel = open_reel(path, fps=10.0)
    if path.is_dir() or reel.total is None or is_mcap(path):
        return sum(1 for _ in reel.begin())
    return reel.total


def read_pictures(folder: Path, names: Iterable[str], bits: int | None = None, first: int = 0) -> Iterator[Frame | Skip]:
    """These pictures of ``folder``, in this order: paths relative to it, as ``pictures_in`` gives them.

    ``first``: the number of the first of them.
    """
    silence_opencv()
    seen = SampleRange(f"folder {folder}", bits)
    for index, name in enumerate(names, first):
        yield seen.checked(partial(_picture, folder, name, index))
    seen.tell()


def pictures_in(folder: Path) -> FoundPictures:
    """List the pictures under a folder, and warn once of what lies there and is left out."""
    found = find_pictures(folder)
    if found.left_out:
        _warn_of_left_out(str(folder), found.left_out_text)
    return found


@cache
def _warn_of_left_out(folder: str, text: str) -> None:
    log.warning("left_out", folder=folder, what=text)


def left_out_of(path: Path) -> str:
    """Say what lies under a folder and ``read_frames`` leaves out; empty if nothing. Raises the same errors."""
    return open_reel(path, fps=10.0).left_out


def count_frames(path: Path) -> int | None:
    """Return how many frames ``read_frames`` will give, lost ones included; None if a video doesn't say. Raises the same
    errors.
    """
    return open_reel(path, fps=10.0).total


def open_reel(path: Path, fps: float, bits: int | None = None) -> Reel:
    """Open the frames of ``path``. ``bits`` says how many low bits count in frames of 16 bits; None: as the files say,
    otherwise all.

    A frame whose values need more is unreadable. Raises UserError as ``read_frames`` does.
    """
    reel = _opened(path, fps)
    return replace(reel, begin=partial(_with_bits, reel, bits))


def _with_bits(reel: Reel, bits: int | None) -> Iterator[Item]:
    seen = SampleRange(reel.what, bits)
    for due_s, load in reel.begin():
        yield due_s, partial(seen.checked, load)
    seen.tell()


def _opened(path: Path, fps: float) -> Reel:
    silence_opencv()
    if path.is_dir():
        return _recording(path) if is_recording(path) else _folder(path, fps)
    if not path.exists():
        raise UserError(
            f"{path}: no such file or folder",
            expected="a folder of pictures, a picture, a video file or a recording",
            passes=True,  # its disk may be mounted later
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
        count, due_s = 0, 0.0
        for due_s, load in _paced(read_mcap(path)):
            count += 1
            yield due_s, load
        if count < exported.entries:
            log.warning("mcap_ended_early", file=str(path), entries=count, promised=exported.entries)
            lost = Skip("unreadable", exported.entries - count, None, None, time.time_ns(), "counted", frame_ref=path.name)
            yield due_s, partial(_same, lost)

    return Reel(f"recording {path}", exported.frames, begin)


def _paced(entries: Iterable[tuple[int, Callable[[], Frame | Skip]]]) -> Iterator[Item]:
    """Turn stamps in ns into the times when each frame is due."""
    last_ns, due_s = None, 0.0
    for stamp_ns, load in entries:
        if last_ns is not None:
            due_s += max(0, stamp_ns - last_ns) / 1e9  # a clock that was set back is no wait
        last_ns = stamp_ns
        yield due_s, load


def _same(skip: Skip) -> Skip:
    return skip


def _folder(folder: Path, fps: float) -> Reel:
    found = pictures_in(folder)
    masks = masks_beside(found.names, lambda name: is_drawn(folder / name))
    names = tuple(name for name in found.names if name not in masks)
    if masks:
        log.info("masks_left_out", folder=str(folder), what=_counted(masks))
    if not names:
        files = found.count_left_out + found.other_files
        kinds = f"{files} file{'s' * (files != 1)} of other kinds" if files else "an empty folder"
        raise UserError(
            f"{folder}: holds no pictures",
            received=found.left_out_text or kinds,
            expected="PNG, JPEG, TIFF or BMP files, in it or in folders under it, or a recording",
            passes=not files,  # where something will be mounted
        )

    def begin() -> Iterator[Item]:
        for index, name in enumerate(names):
            yield index / fps, partial(_picture, folder, name, index)

    return Reel(f"folder {folder}", len(names), begin, found.left_out_text, _counted(masks))


def _counted(masks: Collection[str]) -> str:
    """Say how many masks lie in which folders; empty if there are none."""
    folders = Counter(name.rpartition("/")[0] or "." for name in sorted(masks, key=natural_key))
    listed = first_few([f"{folder} ({count})" for folder, count in folders.items()], 6)
    return f"{len(masks)} picture{'s' * (len(masks) != 1)}: {listed}" if masks else ""


def _picture(folder: Path, name: str, frame_id: int) -> Frame | Skip:
    try:
        picture = decode_with_bits(picture_bytes(folder / name))
    except Exception as error:  # noqa: BLE001  (whatever a codec raises)
        cause = str(error) if isinstance(error, (OSError, PictureError)) else text_of(error)
        log.warning("picture_unreadable", file=str(folder / name), cause=cause)
        return Skip("unreadable", 1, frame_id, frame_id, time.time_ns(), "counted", frame_ref=name)
    return counted_frame(picture.pixels, picture.bits, frame_id, name)


def counted_frame(pixels: Any, bits: int, frame_id: int, frame_ref: str | None) -> Frame:
    """Make a frame that came now, with a number that is counted and no camera's."""
    pixel_format = decoded_format(pixels, bits)
    assert pixel_format is not None
    height, width = pixels.shape[:2]
    meta = FrameMeta(
        frame_id=frame_id,
        frame_id_source="counted",
        width=width,
        height=height,
        pixel_format=pixel_format,
        received_ns=time.time_ns(),
        received_mono_ns=time.monotonic_ns(),
        frame_ref=frame_ref,
    )
    return Frame(meta, pixels, bits)


def _video(path: Path, fps: float) -> Reel:
    total = _tried(path)
    return Reel(f"video {path}", total, partial(_video_frames, path, fps))


def _tried(path: Path) -> int | None:
    """Return how many frames the video promises, once one of them was decoded, or found damaged."""
    try:
        video = open_video(str(path))
    except VideoError:
        raise UserError(
            f"{path}: neither a picture nor a video that can be read",
            expected="a folder of pictures, a picture (PNG, JPEG, TIFF, BMP), a video file or a recording",
        ) from None
    try:
        if video.read() is None:
            raise UserError(
                f"{path}: opens, but no frame of it can be decoded",
                received=f"codec {video.codec}",
                fix="convert it, to H.264 or to Motion JPEG" + ("" if has_pyav() else f"; or {INSTALL}"),
            )
        return video.promised
    finally:
        video.close()


def _video_frames(path: Path, fps: float) -> Iterator[Item]:
    video = open_video(str(path))
    index = damaged = 0
    due_s, began_s = 0.0, None
    try:
        step_s = 1 / (video.fps or fps)
        while (shot := video.read()) is not None:
            if shot.at_s is not None:
                began_s = shot.at_s if began_s is None else began_s
            shot_s = 0.0 if shot.at_s is None or began_s is None else shot.at_s - began_s
            due_s = shot_s if shot_s > due_s or index == 0 else due_s + step_s
            if isinstance(shot, Damaged):
                if not damaged:
                    log.warning("video_damaged", file=str(path), frame=index, cause=shot.why)
                damaged += 1
                yield due_s, partial(_same, _lost(index, 1, path.name))
            else:
                yield due_s, partial(_video_frame, shot, index, path.name)
            index += 1
        missing = shortage(video, index)
        if missing:
            log.warning("video_ended_early", file=str(path), frames=index, promised=video.promised)
            yield due_s, partial(_same, _lost(index, missing, path.name))
        if damaged:
            log.warning("video_frames_damaged", file=str(path), frames=index, damaged=damaged)
    finally:
        video.close()


def _video_frame(shot: Shot, frame_id: int, frame_ref: str) -> Frame:
    pixels: Any = cv2.cvtColor(shot.pixels, cv2.COLOR_BGR2RGB) if shot.format == "BGR8" else shot.pixels
    return counted_frame(pixels, shot.bits, frame_id, frame_ref)


def _lost(first: int, count: int, frame_ref: str) -> Skip:
    return Skip("unreadable", count, first, first + count - 1, time.time_ns(), "counted", frame_ref=frame_ref)
