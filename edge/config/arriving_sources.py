"""``source: {kind: snapshot}`` and ``{kind: watched_folder}`` in the line's YAML: cameras that give whole picture files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from edge.config.source_section import FramesPath, SourceSection


class SnapshotConfig(SourceSection):
    """The frames come from an address at which a camera gives its present picture: each is asked for."""

    kind: Literal["snapshot"]
    address: str
    """Address of the picture, ``http://...`` or ``https://...``: JPEG, PNG, TIFF or BMP. User and password may stand in it,
    better as ``${NAME}``; the camera is answered by Basic or Digest as it asks."""
    interval_s: Annotated[float, Field(gt=0, le=86400)] = 1.0
    """Time in s from one question to the next. A picture that takes longer costs the questions that fall into it."""
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 5.0
    """Time in s that the camera may take for one picture."""
    ca_file: Path | None = None
    """For ``https``: the camera's own certificate, or its authority's, as PEM; relative to the config file. The name in
    it isn't compared with the address. null: a certificate that this machine trusts, with the address's name."""
    max_repeats: Annotated[int, Field(ge=0)] | None = 0
    """Number of pictures in a row that may repeat the one before bit for bit; the next one counts as lost, because noise
    makes each true picture differ. null: not checked."""
    blank_level: Annotated[int, Field(ge=0, le=255)] | None = 2
    """A picture in which no colour varies by more than this is blank and counts as lost. null: not checked."""

    @property
    def wanted_fps(self) -> float | None:
        return 1.0 / self.interval_s


class WatchedFolderConfig(SourceSection):
    """The frames come from a folder into which a camera puts pictures, for example by FTP: each new one is taken once."""

    kind: Literal["watched_folder"]
    path: FramesPath
    """The folder, folders in it included; relative to the config file. Pictures are PNG, JPEG, TIFF and BMP files; others
    and hidden ones are passed over."""
    at_start: Literal["skip", "take"] = "skip"
    """What lies there at the start: ``skip`` leaves it alone. ``take`` inspects it, in natural order, and no verdict on it
    is a pass but ``invalid: late``, because nothing shows when it came."""
    taken: Literal["keep", "delete", "move"] = "keep"
    """What becomes of a picture that was taken. ``move`` needs ``move_to``."""
    move_to: Path | None = None
    """Folder outside of ``path``; names and folders stay the same in it. Relative to the config file."""
    settle_s: Annotated[float, Field(ge=0, le=60)] = 0.2
    """A file is taken when its size and time stood still for this long, in s, and it is whole."""
    incomplete_after_s: Annotated[float, Field(gt=0, le=3600)] = 10.0
    """A file that stood still for this long, in s, and still is no whole picture, is lost as ``incomplete``. Until then,
    those after it wait."""
    late_after_s: Annotated[float, Field(gt=0)] | None = 10.0
    """A picture that came, or whose file says it was written, longer ago than this, in s, gets no pass but ``invalid:
    late``. null: not checked, for a camera that sets the files' times by a clock of its own."""
    silent_after_s: Annotated[float, Field(gt=0)] | None = None
    """Time in s without a new picture after which the source is ``silent``. null: pictures come when parts come."""
    bits: Literal[10, 12, 14, 16] | None = None
    """Number of low bits that count in files of 16 bits. null: as the files say, otherwise all 16."""
    max_repeats: Annotated[int, Field(ge=0)] | None = 0
    """Number of pictures in a row that may repeat the one before bit for bit; the next one counts as lost. null: not
    checked."""

    @property
    def paced(self) -> bool:
        """Pictures wait in the folder, so nothing needs to be dropped."""
        return False

    @property
    def one_size(self) -> bool:
        return False

    @property
    def pixel_settings(self) -> dict[str, Any]:
        return {} if self.bits is None else {"bits": self.bits}

    @model_validator(mode="after")
    def _consistent(self) -> WatchedFolderConfig:
        if (self.taken == "move") != (self.move_to is not None):
            raise ValueError("taken: move and move_to belong together")
        if self.at_start == "take" and self.taken == "keep":
            raise ValueError("at_start: take needs taken: delete or move, or every start would take all of them again")
        return self
