"""Every engine keeps this contract: a base class whose optional methods have default bodies."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edge.config.bundle import Bundle

SamplePictures: TypeAlias = Callable[[], Iterator[NDArray[Any]]]
"""Gives the prepared pictures (H, W, C) of ``model.sample_frames``, from the first on at each call."""


BuildProgress: TypeAlias = Callable[[float, str], None]
"""Called as ``tell(share, text)`` with how far a build that takes minutes is, from 0 to 1, and the same in words. Any
thread may call it."""


def say_nothing(_share: float, _text: str) -> None:
    """Ignore the progress of a build, for callers that show nothing."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """A prediction is the raw output of one picture: ``map`` float32 (h, w); ``score`` and ``embedding`` if the graph has
    them.

    For the n tiles of one picture it is ``map`` (n, h, w), the highest ``score``, and no ``embedding``. ``map`` belongs to
    the engine and is overwritten by the fourth ``infer`` after this one.
    """

    map: NDArray[np.float32]
    score: float | None
    embedding: NDArray[np.float32] | None

    def copy(self) -> Prediction:
        """Return the same numbers in arrays of their own, which outlive the engine's buffers."""
        return Prediction(self.map.copy(), self.score, None if self.embedding is None else self.embedding.copy())


class Engine(ABC):
    """An engine is a loaded model. One thread at a time opens, warms up and uses it; it is closed once.

    A runtime must have ``infer``; one that only infers is a whole engine, and says nothing of the rest. One that overlaps
    copies with compute says its ``depth`` and overrides ``submit``, ``collect`` and ``abandon`` together. One that takes
    pictures of several frames in a run says its ``batch`` and overrides ``infer_batch``.
    """

    name: str
    """The engine's word in the config, such as ``onnx``."""
    precision: str
    """Arithmetic that it computes in: ``fp32``, ``fp16``, ``bf16`` or ``int8``."""
    bundle: Bundle
    why: str = ""
    """Why it was chosen, for people; ``open_engine`` sets it."""
    depth: int = 1
    """**Optional.** Number of pictures that may be submitted before the first is collected."""
    batch: int = 1
    """**Optional.** Number of pictures in one run, as it was opened for; 1 if the graph takes no more, or frames are cut
    into tiles."""
    _submitted: tuple[int, Prediction] | None = None
    """Number and result of the picture that the default ``submit`` has inferred, until it is collected."""
    _numbers: int = 0

    @property
    def in_hand(self) -> int:
        """Return the number of frames that it has at most, from the first ``submit`` to its ``collect``."""
        return max(self.depth, self.batch)

    def warm_up(self) -> None:  # noqa: B027  (nothing to do is the default)
        """Run once on a blank picture or tile of the bundle's size, so that the first frame is not slower than the next."""

    @abstractmethod
    def infer(self, image: NDArray[np.uint8] | NDArray[np.uint16]) -> Prediction:
        """Infer ``image``: C-contiguous (H, W, C), as ``preprocess.prepare`` gives it, or (n, H, W, C), the tiles of one
        picture.

        Tiles go through in one run if the graph takes a batch, otherwise one by one. Raises whatever the runtime raises.
        """

    def close(self) -> None:  # noqa: B027  (as above)
        """Free the model. May be called twice."""

    def submit(self, image: NDArray[np.uint8] | NDArray[np.uint16]) -> int:
        """**Optional.** Start on a picture, which may be overwritten once this has returned.

        Returns its number, which no other picture gets. The default infers it at once, and keeps the result for
        ``collect``.
        """
        prediction = self.infer(image)
        self._numbers += 1
        self._submitted = self._numbers, prediction
        return self._numbers

    def collect(self, number: int) -> Prediction:
        """**Optional.** Wait for the picture submitted first, which must be ``number``, and return its prediction.

        Its map is overwritten by the fourth ``collect`` after this one. Raises RuntimeError if the first is another.
        """
        submitted, self._submitted = self._submitted, None
        if submitted is None or submitted[0] != number:
            raise RuntimeError(f"picture {number} is not the one that was submitted")
        return submitted[1]

    def abandon(self) -> None:
        """**Optional.** Forget what was submitted, for example after an error.

        Raises where the engine may still work on it; then ``submit`` and ``collect`` raise until another ``abandon``
        succeeds.
        """
        self._submitted = None

    def infer_batch(self, pictures: NDArray[np.uint8] | NDArray[np.uint16]) -> Sequence[Prediction]:
        """**Optional.** Return the predictions of up to ``batch`` pictures (n, H, W, C), C-contiguous, in their order.

        ``batch`` of them go in one run; fewer in whatever is cheapest. Maps are overwritten by the fourth call after this
        one. Raises whatever the runtime raises. The default infers one by one.
        """
        return [self.infer(picture).copy() for picture in pictures]
