"""Every engine keeps this protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from edge.config.bundle import Bundle

SamplePictures: TypeAlias = Callable[[], Iterator[NDArray[Any]]]
"""Prepared pictures (H, W, C) of ``model.sample_frames``, from the first on at each call."""


BuildProgress: TypeAlias = Callable[[float, str], None]
"""``tell(share, text)``: how far a build that takes minutes is, from 0 to 1, and the same in words. May be called from
any thread."""


def untold(_share: float, _text: str) -> None:
    """A ``BuildProgress`` for callers that show nothing."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """Raw outputs of one picture: ``map`` float32 (h, w); ``score`` and ``embedding`` where the graph has them.

    Of the n tiles of one picture: ``map`` (n, h, w), the highest ``score``, no ``embedding``. ``map`` belongs to the engine
    and is overwritten by the fourth ``infer`` after this one.
    """

    map: NDArray[np.float32]
    score: float | None
    embedding: NDArray[np.float32] | None


class Engine(Protocol):
    """A loaded model. Opened, warmed up and used by one thread at a time; closed once."""

    name: str
    """``onnx``, ``openvino`` or ``tensorrt``."""
    precision: str
    """What it computes in: ``fp32``, ``fp16``, ``bf16`` or ``int8``."""
    bundle: Bundle
    why: str
    """Why it was chosen, for people; ``open_engine`` says it."""

    def warm_up(self) -> None:
        """Run once on a blank picture or tile of the bundle's size, so that the first frame is not slower than the next."""

    def infer(self, image: NDArray[np.uint8] | NDArray[np.uint16]) -> Prediction:
        """``image``: C-contiguous (H, W, C), as ``preprocess.prepare`` gives it, or (n, H, W, C): tiles of one picture.

        Tiles go through in one run where the graph takes a batch, else one by one. Raises whatever the runtime raises.
        """

    def close(self) -> None:
        """Free the model. May be called twice."""


@runtime_checkable
class Overlapping(Protocol):
    """What an engine has besides ``Engine`` if copies and compute of several pictures can overlap in it."""

    depth: int
    """Pictures that may be submitted before the first is collected."""

    def submit(self, image: NDArray[np.uint8] | NDArray[np.uint16]) -> int:
        """Start on a picture, which may be overwritten once this has returned. Its number, which no other picture gets."""

    def collect(self, number: int) -> Prediction:
        """Of the picture submitted first, which must be ``number``; waits for it.

        Its map is overwritten by the fourth ``collect`` after this one. Raises RuntimeError where the first is another.
        """

    def abandon(self) -> None:
        """Forget what was submitted, after an error say. Raises where the engine may still work on it; then ``submit`` and
        ``collect`` raise until another ``abandon`` succeeds.
        """


@runtime_checkable
class Batching(Protocol):
    """What an engine has besides ``Engine`` if pictures of several frames can go through it in one run."""

    batch: int
    """Pictures of one run, as it was opened for; 1 where the graph takes no more, or frames are cut into tiles."""

    def infer(self, image: NDArray[Any]) -> Prediction: ...

    def infer_batch(self, pictures: NDArray[np.uint8] | NDArray[np.uint16]) -> Sequence[Prediction]:
        """Of each of up to ``batch`` pictures (n, H, W, C), C-contiguous, in their order.

        In one run where there are ``batch`` of them; fewer in whatever is cheapest. Maps are overwritten by the fourth
        call after this one. Raises whatever the runtime raises.
        """
