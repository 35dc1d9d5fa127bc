"""A person labels frame after frame by keys; every word is written at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.text import Text

from edge.cli._console import labelled, text_console
from edge.cli._frame_in_terminal import END, drawn, keys
from edge.cli._mask_brush import MaskBrush, painted
from edge.models.sets.drawn_masks import write_mask
from edge.models.sets.frame_set import FrameSet, SetFrame, add_labels, why_unreadable
from edge.models.sets.manifest import LabelLine, now
from edge.preprocess.pixel_formats import to_depth
from edge.storage.pictures import PictureError

_HELP: Final = "g good, d defect, u unsure, 1-9 a kind, n a new kind, m paint a mask, w withdraw, s skip, b back, q quit"
_MOST_KINDS: Final = 9
_LEAVE: Final = ("q", "\x1b", END)
_RUBS_OUT: Final = ("\x7f", "\b")
_WITHOUT_MASK: Final = ("good", "unsure", "withdrawn")


def by_keys(frames: FrameSet, asked: Sequence[SetFrame], person: str, *, decides: bool) -> int:
    """Ask for each frame. Returns how many words were given."""
    console = text_console()
    if not asked:
        console.print("every frame has your word already" if not decides else "no labels disagree")
        return 0
    kinds = [kind for kind, _ in Counter(k for f in frames.frames for v in f.votes for k in v.defects).most_common()]
    given, at = 0, 0
    with keys() as read:
        labelling = _Labelling(console, frames, kinds, read)
        while 0 <= at < len(asked):
            frame = asked[at]
            labelling.show(frame, f"{at + 1} of {len(asked)}")
            key = read()
            if key in _LEAVE:
                break
            if key in ("b", "s"):
                at += -1 if key == "b" and at else key == "s"
                continue
            said = labelling.masked(frame) if key == "m" else labelling.said(frame, key, person)
            if said is None:
                continue
            word, mask = said
            add_labels(frames, [word_of(frame.file, word, person, mask=mask, decides=decides)])
            console.print(f"{frame.file}: {word}{f', mask {mask}' if mask else ''}")
            given += 1
            at += 1
    return given


def word_of(file: str, word: str, person: str, *, mask: str | None = None, decides: bool = False) -> LabelLine:
    """One word on a frame: ``good``, ``defect``, ``unsure``, ``withdrawn``, or a kind; a mask belongs to a defect."""
    name, kinds = (word, ()) if word in ("good", "defect", "unsure", "withdrawn") else ("defect", (word,))
    said = {"file": file, "label": name, "defects": kinds, "mask": mask, "by": person, "at": now(), "decides": decides}
    return LabelLine.model_validate(said)


@dataclass(frozen=True, slots=True)
class _Labelling:
    """The terminal, the set, the kinds of defect that were named so far, and where keys come from."""

    console: Console
    frames: FrameSet
    kinds: list[str]
    read: Callable[[], str]

    def said(self, frame: SetFrame, key: str, person: str) -> tuple[str, str | None] | None:
        """The word that a key is, with the mask that this person painted before; None after a key that is none."""
        word = self._word(key)
        if word is None:
            self.console.print(Text.assemble((f"{key!r} is no key here", "yellow"), f": {_HELP}"), soft_wrap=False)
            return None
        own = [vote.mask for vote in frame.votes if vote.by == person and vote.mask]
        return word, own[-1] if own and word not in _WITHOUT_MASK else None

    def masked(self, frame: SetFrame) -> tuple[str, str | None] | None:
        """A kind of defect with the mask that is painted now; None if it was left."""
        try:
            pixels = self._pixels(frame)
            before = self.frames.read_mask(frame)
        except (OSError, PictureError) as error:
            self.console.print(labelled(f"{frame.file} can't be painted on:", "yellow", why_unreadable(error)))
            return None
        before = before if before is not None and before.shape == pixels.shape[:2] else None
        mask = painted(pixels, self.read, lambda brush, said: self._show_brush(brush, pixels, said), before)
        if mask is None:
            return None
        while True:
            self._hint(f"{np.count_nonzero(mask)} px, of: d a defect, n a new kind, q none{self._numbered()}")
            key = self.read()
            if key in _LEAVE:
                return None
            word = self._word(key)
            if word is not None and word not in _WITHOUT_MASK:
                return word, write_mask(self.frames, frame.file, mask)

    def show(self, frame: SetFrame, place: str) -> None:
        """Draw a frame and print what was said of it."""
        try:
            pixels = self._pixels(frame)
            if self.console.is_terminal:
                self._draw(pixels)
        except (OSError, PictureError) as error:
            self.console.print(labelled(f"{frame.file} can't be shown:", "yellow", why_unreadable(error)))
        said = ", ".join(f"{vote.by} says {'+'.join(vote.defects) or vote.label}" for vote in frame.votes)
        self.console.print(f"{place}: {frame.file}{f' ({said})' if said else ''}")
        self._hint(f"{_HELP}{self._numbered()}")

    def _show_brush(self, brush: MaskBrush, pixels: NDArray[np.uint8], said: str) -> None:
        if self.console.is_terminal:
            self._draw(brush.view(pixels))
        x, y = brush.at
        self.console.print(f"mask of {np.count_nonzero(brush.mask)} px, brush of {2 * brush.radius + 1} px at {x}, {y}")
        self._hint(said)

    def _hint(self, text: str) -> None:
        """Say which keys there are, dim, and broken between words."""
        self.console.print(text, style="dim", soft_wrap=False)

    def _draw(self, pixels: NDArray[np.uint8]) -> None:
        self.console.print(drawn(pixels, self.console.width - 2, max(6, self.console.height - 5)))

    def _pixels(self, frame: SetFrame) -> Any:
        return to_depth(self.frames.read(frame), 8).pixels

    def _numbered(self) -> str:
        numbered = "  ".join(f"{n} {kind}" for n, kind in enumerate(self.kinds[:_MOST_KINDS], 1))
        return f";  {numbered}" if numbered else ""

    def _word(self, key: str) -> str | None:
        fixed = {"g": "good", "d": "defect", "u": "unsure", "w": "withdrawn"}
        if key in fixed:
            return fixed[key]
        if key.isdecimal() and 1 <= int(key) <= min(len(self.kinds), _MOST_KINDS):
            return self.kinds[int(key) - 1]
        if key == "n":
            self.console.print("kind of defect: ", end="")
            kind = self._typed()
            if kind and kind not in self.kinds:
                self.kinds.append(kind)
            return kind or None
        return None

    def _typed(self) -> str:
        """A word up to Return, nothing after Escape; standard input may be in a mode that shows nothing of itself."""
        text = ""
        while (key := self.read()) not in ("\n", "\r"):
            if key in _LEAVE[1:]:
                text = ""
                break
            if key in _RUBS_OUT:
                text, echo = text[:-1], "\b \b" if text else ""
            elif key.isprintable():
                text, echo = text + key, key
            else:
                continue  # an arrow, for example
            self.console.file.write(echo)
            self.console.file.flush()
        self.console.print()
        return text.strip()
