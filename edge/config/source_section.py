"""The rest of the program asks every kind of source these questions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from edge.config.yaml_reader import Section


def _no_address(value: object) -> object:
    if isinstance(value, str) and "://" in value:
        raise PydanticCustomError(
            "address", "a folder or a file; a camera's address is device of kind: opencv or address of kind: snapshot"
        )
    return value


FramesPath: TypeAlias = Annotated[Path, BeforeValidator(_no_address)]
"""Where frames lie. As a path, an address would only be missing, and its password stand in that error's text."""


class SourceSection(Section):
    """The rest of the program asks every kind of source these questions; the answers here fit a kind with nothing special.

    A new kind overrides the answers that differ, so that nobody needs to ask which kind it is.
    """

    @property
    def paced(self) -> bool:
        """Return True if frames come at times of their own, so that a full ring must drop some; otherwise they wait for
        us.
        """
        return True

    @property
    def levels(self) -> tuple[Literal[8, 16], tuple[int, int] | None]:
        """Return the bits per sample that the model gets from deeper formats, and the window of values that 8 bits are cut
        from.
        """
        return 16, None

    @property
    def frame_size(self) -> tuple[int, int] | None:
        """Return the width and height in px that every frame is certain to have; None if the first frame decides."""
        return None

    @property
    def one_size(self) -> bool:
        """Return True if all frames have one size, as one camera setting gives it; pictures in a folder may differ."""
        return True

    @property
    def pixel_settings(self) -> dict[str, Any]:
        """Keys that change a frame's pixels and aren't the defaults: thresholds are valid for these alone."""
        return {}

    @property
    def wanted_size(self) -> tuple[int, int] | None:
        """Return the width and height in px that the config asks of the device, which may give others; None if it doesn't
        say.
        """
        return self.frame_size

    @property
    def wanted_fps(self) -> float | None:
        """Return the frames per second that the config asks for; None if it doesn't say or reads as fast as it can."""
        return None

    @property
    def reconnect_limit(self) -> int | None:
        """Return the number of reconnections after which the next loss calls for a new process; None: never."""
        return None

    @property
    def may_be_gige(self) -> bool:
        """Return True if frames may come over an Ethernet link of the camera's own, which wants large packets and
        buffers.
        """
        return False
