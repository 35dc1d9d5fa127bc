"""A set of frames as commands use it: its pictures, what people say about them, the part and the side of each."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edge.errors import UserError
from edge.frames import Frame, FrameMeta
from edge.models.sets.last_words import sorted_words
from edge.models.sets.manifest import (
    MANIFEST,
    FrameLine,
    HeadLine,
    LabelLine,
    ReadSoFar,
    SplitLine,
    append_lines,
    now,
    read_so_far,
    write_manifest,
)
from edge.storage.pictures import PictureError, Pixels, decode_with_bits, decoded_format, picture_bytes, read_picture

Label: TypeAlias = Literal["good", "defect", "disputed"]
UNKNOWN_KIND: Final = "defect"
"""The kind of a defective frame whose label names none."""


@dataclass(frozen=True, slots=True)
class SetFrame:
    """One frame of a set.

    ``file``: under the set's root. ``sha256``: of its pixels; None if nobody computed it yet. ``votes``: the word of
    each person that counts. ``part``: None if unknown. ``side``: of the last split, or the folder's own ``train`` and
    ``test``.
    """

    file: str
    sha256: str | None = None
    size: tuple[int, int] | None = None
    """Width and height in px, where they are known without reading."""
    bits: int | None = None
    part: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    votes: tuple[LabelLine, ...] = ()
    aside: tuple[LabelLine, ...] = ()
    """Words that a deciding one put aside: they count again if it is withdrawn."""
    side: str | None = None
    source: str | None = None

    @property
    def label(self) -> Label | None:
        """What all agree on who are sure; ``disputed`` where they don't; None if nobody is."""
        words = {vote.label for vote in self.votes if vote.label != "unsure"}
        if not words:
            return None
        if len(words) > 1:
            return "disputed"
        return "good" if words == {"good"} else "defect"

    @property
    def kind(self) -> str:
        """``good``, the kinds of defect joined by ``+``, or ``unlabelled``, ``disputed``."""
        label = self.label
        if label != "defect":
            return label or "unlabelled"
        return "+".join(sorted({kind for vote in self.votes for kind in vote.defects})) or UNKNOWN_KIND

    @property
    def mask(self) -> str | None:
        """The mask that was drawn last, under the set's root."""
        drawn = [vote for vote in self.votes if vote.mask is not None]
        return max(drawn, key=lambda vote: vote.at).mask if drawn else None


@dataclass(frozen=True, slots=True)
class FrameSet:
    """``path``: as it was named. ``root``: the folder that files lie under. ``manifest``: None for a folder without one."""

    path: Path
    root: Path
    frames: tuple[SetFrame, ...]
    manifest: Path | None = None
    parts_by: str | None = None
    """How parts were told apart, for people."""
    orphans: tuple[str, ...] = ()
    """Masks beside the pictures that belong to none of them."""
    left_out: str = ""
    """What lies there and isn't among the frames, in words; empty if nothing."""
    so_far: ReadSoFar | None = None
    """How far the manifest was read: whoever writes it anew takes along what came later."""

    def __len__(self) -> int:
        return len(self.frames)

    def of(self, *sides: str) -> tuple[SetFrame, ...]:
        """Frames of these sides."""
        return tuple(frame for frame in self.frames if frame.side in sides)

    @property
    def sides(self) -> tuple[str, ...]:
        """The sides that frames have, in their usual order."""
        order = ("train", "fit", "adapt", "calibrate", "validation", "test")
        present = {frame.side for frame in self.frames if frame.side is not None}
        return tuple(side for side in order if side in present) + tuple(sorted(present.difference(order)))

    @property
    def lacks(self) -> tuple[str, ...]:
        """What should have been read and was not, in words."""
        return (f"left out of {self.path}: {self.left_out}",) if self.left_out else ()

    def lacking(self, unreadable: int) -> FrameSet:
        """The same set, which says that so many of its pictures can't be read."""
        unread = f"{unreadable} picture{'s' * (unreadable != 1)} that can't be read" if unreadable else ""
        return replace(self, left_out="; ".join(filter(None, [self.left_out, unread])))

    def with_frames(self, frames: Iterable[SetFrame]) -> FrameSet:
        return replace(self, frames=tuple(frames))

    def seen(self, frames: Sequence[SetFrame]) -> str:
        """What this machine sees of these frames, in one line to compare with another machine's: names and sizes.

        Raises:
            UserError: one isn't there.
        """
        digest = hashlib.sha256()
        for frame in frames:
            try:
                digest.update(f"{frame.file}\0{(self.root / frame.file).stat().st_size}\0".encode())
            except OSError as error:
                raise UserError(f"{self.root / frame.file}: cannot be read: {error.strerror}") from None
        return f"{len(frames)} frames, names and sizes {digest.hexdigest()[:16]}"

    def file_state(self, name: str | None) -> tuple[str, int, int] | None:
        """A picture or mask under the root with its size in bytes and its time in ns, to see whether it changed."""
        if name is None:
            return None
        try:
            state = (self.root / name).stat()
        except OSError:
            return (name, 0, 0)
        return (name, state.st_size, state.st_mtime_ns)

    def read(self, frame: SetFrame) -> Frame:
        """The frame with its pixels.

        Raises:
            PictureError: damaged, or of a kind that has no place here.
            OSError: it can't be read.
        """
        picture = decode_with_bits(picture_bytes(self.root / frame.file))
        pixels, bits = picture.pixels, frame.bits or picture.bits
        name = decoded_format(pixels, bits)
        if name is None:
            raise PictureError(f"{pixels.dtype} pixels of {bits} bits")
        height, width = pixels.shape[:2]
        meta = FrameMeta(
            frame_id=0,
            frame_id_source="counted",
            width=width,
            height=height,
            pixel_format=name,
            received_ns=0,
            received_mono_ns=0,
            frame_ref=frame.file,
        )
        return Frame(meta, pixels, bits)

    def read_mask(self, frame: SetFrame) -> NDArray[np.bool_] | None:
        """True on defective pixels, (H, W); None if nobody drew a mask.

        Raises:
            PictureError: damaged.
            OSError: it can't be read.
        """
        if frame.mask is None:
            return None
        pixels = read_picture(self.root / frame.mask)
        return np.asarray(pixels if pixels.ndim == 2 else pixels.max(axis=2)) > 0


def pixels_sha256(pixels: Pixels) -> str:
    """SHA-256 of decoded pixels, their shape and type, in hexadecimal."""
    digest = hashlib.sha256(f"{pixels.shape} {pixels.dtype.itemsize}".encode())
    digest.update(np.ascontiguousarray(pixels.astype(pixels.dtype.newbyteorder("<"), copy=False)).data)
    return digest.hexdigest()


def hashed(
    frames: FrameSet, unreadable: Callable[[SetFrame, str], None], seen: Callable[[int], None] = lambda _: None
) -> FrameSet:
    """The set with the hash and the size of every frame; ``unreadable`` hears of frames that can't be read.

    These are left out.
    """
    kept: list[SetFrame] = []
    for number, frame in enumerate(frames.frames, 1):
        try:
            kept.append(frame if frame.sha256 and frame.size else with_hash(frame, frames.read(frame)))
        except (OSError, PictureError) as error:
            unreadable(frame, why_unreadable(error))
        seen(number)
    return frames.with_frames(kept)


def with_hash(frame: SetFrame, loaded: Frame) -> SetFrame:
    """The frame with the hash, the size and the bits of its pixels."""
    size = (loaded.meta.width, loaded.meta.height)
    return replace(frame, sha256=pixels_sha256(loaded.pixels), size=size, bits=loaded.bits)


def why_unreadable(error: Exception) -> str:
    """A picture's trouble in words."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error)


def read_set(manifest: Path) -> FrameSet:
    """The set of a manifest.

    Raises:
        UserError: it can't be read; a label or a split names a frame that isn't there; a frame stands twice, or on two
        sides.
    """
    root = manifest.parent
    frames: dict[str, SetFrame] = {}
    votes: list[LabelLine] = []
    split: SplitLine | None = None
    lines, so_far = read_so_far(manifest)
    for number, line in enumerate(lines, 1):
        if isinstance(line, HeadLine):
            root = (manifest.parent / line.root).absolute()
        elif isinstance(line, FrameLine):
            if line.file in frames:
                raise UserError(f"{manifest}:{number}: {line.file} stands twice in the set", fix="delete one of the lines")
            frames[line.file] = SetFrame(
                line.file, line.sha256, (line.width, line.height), line.bits, line.part, dict(line.tags), source=line.source
            )
        elif isinstance(line, LabelLine):
            if line.file not in frames:
                raise UserError(
                    f"{manifest}:{number}: a label of a frame that isn't in the set",
                    received=line.file,
                    expected=f"one of the {len(frames)} frames that stand before it",
                    fix="delete the line, or gather the frame first",
                )
            votes.append(line)
        elif isinstance(line, SplitLine):
            split = line
    sides = {} if split is None else _sides(manifest, split, frames)
    said = sorted_words(votes)
    kept = []
    for frame in frames.values():
        aside, counting = said.get(frame.file, ((), ()))
        kept.append(replace(frame, votes=counting, aside=aside, side=sides.get(frame.file)))
    return FrameSet(manifest, root, tuple(kept), manifest, None if split is None else split.by, so_far=so_far)


def write_set(frames: FrameSet, manifest: Path, split: SplitLine | None = None) -> None:
    """Write a whole manifest, with every word that counts or may count again; every frame must have its hash.

    In the place of the one that the set was read from, it has the words of the meantime, too.
    """
    lines: list[FrameLine | LabelLine | HeadLine | SplitLine] = [HeadLine(created=now(), root=_root(frames, manifest))]
    for frame in frames.frames:
        assert frame.sha256 is not None
        assert frame.size is not None
        width, height = frame.size
        lines.append(
            FrameLine(
                file=frame.file,
                sha256=frame.sha256,
                width=width,
                height=height,
                bits=frame.bits or 8,
                part=frame.part,
                tags=frame.tags,
                source=frame.source,
            )
        )
    for frame in frames.frames:
        lines += [*frame.aside, *sorted(frame.votes, key=lambda vote: not vote.decides)]
    if split is not None:
        lines.append(split)
    is_its_own = frames.manifest is not None and manifest.resolve() == frames.manifest.resolve()
    since = frames.so_far if is_its_own else None
    write_manifest(manifest, lines, since, is_new=is_its_own and since is None)


def add_labels(frames: FrameSet, lines: Sequence[LabelLine]) -> None:
    """Append people's words to the set's manifest; raises UserError if there is none, or a frame isn't in the set."""
    if frames.manifest is None:
        raise UserError(
            f"{frames.path}: has no {MANIFEST}, so there is nowhere to write labels",
            fix=f"make it a set first: edge gather {frames.path} -o SET",
        )
    names = {frame.file for frame in frames.frames}
    unknown = [line.file for line in lines if line.file not in names]
    if unknown:
        raise UserError(
            f"{frames.path}: {len(unknown)} labels are of frames that aren't in the set",
            received=", ".join(unknown[:3]) + (" ..." if len(unknown) > 3 else ""),
            expected=f"names as the set has them, such as {min(names, default='frames/00000000.png')}",
        )
    append_lines(frames.manifest, lines)


def _root(frames: FrameSet, manifest: Path) -> str:
    root, home = frames.root.absolute(), manifest.parent.absolute()
    if root.is_relative_to(home):
        return root.relative_to(home).as_posix()
    return root.as_posix()


def _sides(manifest: Path, split: SplitLine, frames: dict[str, SetFrame]) -> dict[str, str]:
    sides: dict[str, str] = {}
    for side, files in split.sides.items():
        for file in files:
            if file not in frames:
                raise UserError(
                    f"{manifest}: the split names a frame that isn't in the set", received=file, fix="split the set again"
                )
            if file in sides:
                raise UserError(
                    f"{manifest}: the sides of the split overlap",
                    received=f"{file} in {sides[file]} and in {side}",
                    fix="split the set again: edge split",
                )
            sides[file] = side
    return sides
