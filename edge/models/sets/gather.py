"""Frames gathered from evidence, recordings and folders into one set: no picture twice, every day, camera and cause in
it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from edge.errors import UserError
from edge.frames import Frame, Skip
from edge.models.sets.frame_set import FrameSet, SetFrame, read_set, why_unreadable, with_hash, write_set
from edge.models.sets.manifest import MANIFEST
from edge.models.sets.open import open_set
from edge.storage.disk import lock
from edge.storage.find_pictures import SUFFIXES
from edge.storage.frames_on_disk import read_frames
from edge.storage.pictures import PictureError, write_png

BALANCED: Final = ("camera", "day", "cause")


@dataclass(slots=True)
class Gathered:
    """What became of the frames: ``taken`` new ones, ``twice``: pictures that were there already, pixel for pixel."""

    frames: FrameSet
    taken: int = 0
    twice: int = 0
    passed_over: int = 0
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    lacks: list[str] = field(default_factory=list)
    """What lies in the sources and isn't taken, besides, in words."""
    groups: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Candidate:
    source: FrameSet
    frame: SetFrame


def gather(
    sources: Sequence[Path],
    target: Path,
    *,
    most: int | None = None,
    tags: Sequence[str] = BALANCED,
    described: Callable[[FrameSet], FrameSet] = lambda frames: frames,
    seen: Callable[[int], None] = lambda _: None,
) -> Gathered:
    """Copy frames of ``sources`` into ``target/frames`` and write ``target/set.jsonl``; a set that is there grows.

    ``most``: frames to take, as many from each combination of ``tags`` as there are, one of each part before a second one.
    ``described``: adds parts and tags to a source. Labels, masks, parts and tags come along.

    Raises:
        UserError: a source without frames, a target that holds something else or that another gathering fills now, no frame
            that can be read.
    """
    with _alone(target):
        return _gathered(sources, target, most, tags, described, seen)


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Hold a set's folder while frames are gathered into it: two at a time would give two pictures one name."""
    if target.exists() and not target.is_dir():
        yield  # and is refused
        return
    is_new = not target.exists()
    try:
        target.mkdir(parents=True, exist_ok=True)
        fd = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise UserError(f"{target}: cannot be written: {error.strerror}") from None
    with contextlib.ExitStack() as undo:
        undo.callback(os.close, fd)
        with contextlib.suppress(OSError):  # some file systems lock no folders
            lock(fd, lambda: _is_filled(target))
        try:
            is_its_own = os.path.samestat(os.fstat(fd), os.stat(target))
        except FileNotFoundError:
            is_its_own = False
        if not is_its_own:
            raise _is_filled(target)  # by one who ended in this moment, and took the empty folder away
        if is_new:
            undo.callback(_remove_empty, target)  # before it is let go: who comes then makes a folder of its own
        yield


def _is_filled(target: Path) -> UserError:
    return UserError(f"{target}: another process gathers frames into it", fix="wait for its end", passes=True)


def _remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):  # something was gathered
        folder.rmdir()


def _gathered(
    sources: Sequence[Path],
    target: Path,
    most: int | None,
    tags: Sequence[str],
    described: Callable[[FrameSet], FrameSet],
    seen: Callable[[int], None],
) -> Gathered:
    before = _existing(target)
    result = Gathered(before)
    hashes = {frame.sha256 for frame in before.frames}
    candidates: list[_Candidate] = []
    done = 0
    for path in sources:
        opened = _opened(path, target)
        result.lacks += opened.lacks
        source = described(opened)
        for frame in source.frames:
            done += 1
            seen(done)
            try:
                known = with_hash(frame, source.read(frame))
            except (OSError, PictureError) as error:
                result.unreadable.append((f"{path}/{frame.file}", why_unreadable(error)))
                continue
            if known.sha256 in hashes:
                result.twice += 1
                continue
            hashes.add(known.sha256)
            known = replace(known, tags={**known.tags, "source": path.name}, side=None)
            candidates.append(_Candidate(source, known))
    if not candidates and not before.frames:
        raise UserError(
            f"{', '.join(map(str, sources))}: no frame can be read",
            received=f"{len(result.unreadable)} damaged pictures",
        )
    chosen = balanced(candidates, most, tags)
    result.passed_over = len(candidates) - len(chosen)
    result.taken = len(chosen)
    result.groups = _counted(chosen, tags)
    result.frames = _copied(before, chosen, target)
    return result


def balanced(candidates: Sequence[_Candidate], most: int | None, tags: Sequence[str]) -> list[_Candidate]:
    """Up to ``most`` candidates, evenly over the combinations of ``tags``; in their order.

    Within one combination parts come one after the other, spread over the whole of it, before any part comes twice.
    """
    if most is None or len(candidates) <= most:
        return list(candidates)
    groups: dict[tuple[str, ...], list[int]] = {}
    for index, candidate in enumerate(candidates):
        groups.setdefault(tuple(candidate.frame.tags.get(tag, "") for tag in tags), []).append(index)
    queues = [_spread(_parts_first(members, candidates)) for _, members in sorted(groups.items())]
    chosen: list[int] = []
    while len(chosen) < most:
        for queue in queues:
            if queue and len(chosen) < most:
                chosen.append(queue.pop(0))
    return [candidates[index] for index in sorted(chosen)]


def _parts_first(members: Sequence[int], candidates: Sequence[_Candidate]) -> list[list[int]]:
    """Rounds: the first frame of every part, then the second of each that has one, and so on."""
    rounds: list[list[int]] = []
    count: dict[str, int] = {}
    for index in members:
        frame = candidates[index].frame
        part = frame.part or frame.file
        turn = count[part] = count.get(part, 0) + 1
        if turn > len(rounds):
            rounds.append([])
        rounds[turn - 1].append(index)
    return rounds


def _spread(rounds: Sequence[list[int]]) -> list[int]:
    """Each round in an order whose every beginning lies spread over it: the middle first, then the quarters."""
    return [members[place] for members in rounds for place in _bisecting(len(members))]


def _bisecting(count: int) -> Iterator[int]:
    spans = [(0, count)]
    while spans:
        low, high = spans.pop(0)
        if low >= high:
            continue
        middle = (low + high) // 2
        yield middle
        spans += [(low, middle), (middle + 1, high)]


def _existing(target: Path) -> FrameSet:
    manifest = target / MANIFEST
    if manifest.is_file():
        return read_set(manifest)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError(
            f"{target}: exists and is no set, so nothing is written there",
            expected="a new folder, an empty one, or a set to add to",
            fix="name another folder",
        )
    return FrameSet(target, target, (), manifest)


def _opened(path: Path, target: Path) -> FrameSet:
    """A source as a set; frames of videos and exported recordings are written beside the set's own first."""
    if path.is_dir() or path.suffix == ".jsonl" or path.name.lower().endswith(SUFFIXES):
        if path.is_file() and path.suffix != ".jsonl":
            return FrameSet(path.parent, path.parent, (SetFrame(path.name),))
        return open_set(path)
    folder = target / "unpacked" / path.stem
    frames, damaged = [], 0
    for number, item in enumerate(read_frames(path)):
        if isinstance(item, Skip):
            damaged += item.count
            continue
        name = f"{number:08d}.png"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_png(folder / name, item.pixels)
        except OSError as error:
            raise UserError(f"{folder}: cannot be written: {error.strerror}") from None
        frames.append(_unpacked(name, item, path))
    if not frames:
        raise UserError(f"{path}: holds no frames")
    return FrameSet(path, folder, tuple(frames)).lacking(damaged)


def _unpacked(name: str, frame: Frame, path: Path) -> SetFrame:
    part = None if frame.meta.part_id is None else f"{path.stem}/{frame.meta.part_id}"
    return SetFrame(name, bits=frame.bits, part=part, tags={"frame_id": str(frame.meta.frame_id)}, source=path.name)


def _copied(before: FrameSet, chosen: Sequence[_Candidate], target: Path) -> FrameSet:
    frames = list(before.frames)
    number = _next_number(before)
    try:
        (target / "frames").mkdir(parents=True, exist_ok=True)
        for candidate in chosen:
            frame = candidate.frame
            file = f"frames/{number:08d}{Path(frame.file).suffix.lower()}"
            shutil.copyfile(candidate.source.root / frame.file, target / file)
            mask = None
            if frame.mask is not None:
                mask = f"masks/{number:08d}{Path(frame.mask).suffix.lower()}"
                (target / "masks").mkdir(exist_ok=True)
                shutil.copyfile(candidate.source.root / frame.mask, target / mask)
            aside, votes = (
                tuple(v.model_copy(update={"file": file, "mask": mask if v.mask else None}) for v in words)
                for words in (frame.aside, frame.votes)
            )
            origin = frame.source or f"{candidate.source.path.name}/{frame.file}"
            frames.append(replace(frame, file=file, votes=votes, aside=aside, source=origin))
            number += 1
        shutil.rmtree(target / "unpacked", ignore_errors=True)
    except OSError as error:
        raise UserError(f"{target}: cannot be written: {error.strerror}") from None
    whole = FrameSet(target, target, tuple(frames), target / MANIFEST, so_far=before.so_far)
    write_set(whole, target / MANIFEST)
    return whole


def _next_number(before: FrameSet) -> int:
    numbers = [int(stem) for frame in before.frames if (stem := Path(frame.file).stem).isdecimal()]
    return max(numbers, default=-1) + 1


def _counted(chosen: Sequence[_Candidate], tags: Sequence[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for candidate in chosen:
        key = ", ".join(candidate.frame.tags[tag] for tag in tags if tag in candidate.frame.tags) or "all"
        counts[key] = counts.get(key, 0) + 1
    return dict(sorted(counts.items()))
