"""Files rarely say how many bits of a 16-bit sample count, although cameras of 10, 12 and 14 bits are saved in 16."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import structlog

from edge.frames import Frame, Skip
from edge.storage.pictures import decoded_format

log = structlog.get_logger()

FRAMES_TO_TELL: Final = 30
_LIKELY: Final = (10, 12, 14)


class SampleRange:
    """The range follows the frames of one source as they are read. One thread uses it."""

    def __init__(self, what: str, bits: int | None) -> None:
        """Take ``bits``, the number of low bits that count in frames of 16 bits; None: all, and warn of a range that they
        never fill.

        ``what`` names the source in the warning.
        """
        self._what = what
        self._bits = bits
        self._frames = self._most = 0
        self._warned = False

    def checked(self, load: Callable[[], Frame | Skip]) -> Frame | Skip:
        """Return the frame that ``load`` gives, with the declared bits; it is unreadable if its values need more."""
        frame = load()
        if isinstance(frame, Skip) or frame.pixels.itemsize == 1:
            return frame
        if self._bits is None:
            self._look(frame)
            return frame
        if frame.bits == self._bits:
            return frame
        meta, highest = frame.meta, int(frame.pixels.max())
        name = decoded_format(frame.pixels, self._bits)
        if name is None or highest >> self._bits:
            if not self._warned:
                log.warning(
                    "more_bits_than_declared", source=self._what, frame=meta.frame_ref, bits=self._bits, value=highest
                )
                self._warned = True
            return Skip.of(meta, "unreadable")
        return replace(frame, meta=replace(meta, pixel_format=name), bits=self._bits)

    def tell(self) -> None:
        """Warn at the end too, if only few frames have been seen."""
        if self._warned or not self._frames:
            return
        likely = next((bits for bits in _LIKELY if not self._most >> bits), None)
        if likely is not None:
            self._warned = True
            log.warning(
                "few_bits_used",
                source=self._what,
                text=f"no value above {(1 << likely) - 1} in {self._frames} frames of 16 bits: {likely} bits in 16?",
                fix=f"--bits {likely}, or bits: {likely} of a recorded source; else they count as nearly black",
            )

    def _look(self, frame: Frame) -> None:
        if frame.bits == 16 and self._frames < FRAMES_TO_TELL:
            self._frames += 1
            self._most = max(self._most, int(frame.pixels.max()))
            if self._frames == FRAMES_TO_TELL:
                self.tell()
