"""The ``outputs:`` section of the line's YAML declares where records go."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, model_validator

from edge.config.yaml_reader import Section


class DiskUse(NamedTuple):
    """What an output keeps on a disk, for those who check the machine before the line starts."""

    what: str
    """Names it for people."""
    dir: Path
    """Relative to the config file."""
    min_free_gb: float
    quota_gb: float | None
    sync: str | None = None
    """How often it waits for the disk; None where it never does."""


class OutputConfig(Section):
    """One output's section. Doctor and ``edge check`` ask every section the same questions."""

    def elsewhere(self, _folder: Path) -> OutputConfig | None:
        """**Optional.** The same output for a trial: all that it writes or binds lies in ``folder``, and nobody is reached.

        None, the default: there is no such output, and a trial runs without this one.
        """
        return None

    @property
    def disk(self) -> DiskUse | None:
        """**Optional.** What the output keeps on a disk; None where it keeps nothing."""
        return None


class CurveConfig(Section):
    """CURVE keys: every connection is encrypted, and only keys on the list get in. ``edge keys`` makes and lists them."""

    server_key: Path
    """The daemon's own secret key, a ``.key_secret`` file that others can't read; relative to the config file."""
    clients: Path
    """Folder of the public keys that may connect, one ``NAME.key`` each, looked at twice a second: who is added gets in,
    who is removed is cut off; relative to the config file."""


def _check_path(key: str, endpoint: str, path: str) -> None:
    if path.startswith("@"):  # an abstract socket: any user of the machine may connect
        raise ValueError(f"{key}: {endpoint!r} has no file whose owner and mode keep others out; expected ipc://PATH")
    if path in ("", "*") or "\0" in path:  # libzmq would choose a name of its own
        raise ValueError(f"{key}: {endpoint!r} names no file; expected ipc://PATH")


class ZmqConfig(OutputConfig):
    """The ZeroMQ publisher."""

    bind: str | None = None
    """Endpoint: ``ipc://PATH`` or ``tcp://127.0.0.1:PORT`` (port 0: any free one; the actual one stands in
    endpoints.json); with ``curve`` any address of this machine. null: ``ipc://`` in the runtime folder."""
    preview: str | None = None
    """Endpoint of JPEG previews, encoded only while someone subscribes. null: none."""
    curve: CurveConfig | None = None
    """Keys for both endpoints. null: none, and both are for this machine only."""

    def elsewhere(self, folder: Path) -> ZmqConfig:
        """A socket of its own, without previews and keys."""
        return ZmqConfig(bind=f"ipc://{folder / 'pub'}")

    @model_validator(mode="after")
    def _local(self) -> ZmqConfig:
        for key, endpoint in (("bind", self.bind), ("preview", self.preview)):
            if endpoint is None:
                continue
            scheme, _, place = endpoint.partition("://")
            host, _, port = place.rpartition(":")
            if scheme == "ipc":
                _check_path(key, endpoint, place)
                continue
            if scheme != "tcp" or not host:
                raise ValueError(f"{key}: {endpoint!r} is no endpoint; expected ipc://PATH or tcp://127.0.0.1:PORT")
            # pyzmq binds 99999 as 34463
            if not (port.isascii() and port.isdecimal() and len(port) <= 5 and int(port) <= 65535):
                raise ValueError(f"{key}: {endpoint!r} names no port; expected 0 to 65535, where 0 takes any free one")
            if self.curve is None and host not in ("127.0.0.1", "localhost", "[::1]"):
                raise ValueError(
                    f"{key}: {endpoint!r} would open the records to the network without keys; "
                    "expected ipc:// or tcp:// on 127.0.0.1, or keys under curve"
                )
        return self


class JsonlConfig(OutputConfig):
    """One JSON line per record."""

    dir: Path
    """Folder of the log; made if it isn't there; relative to the config file."""
    rotate_mb: Annotated[int, Field(ge=1)] = 256
    """A new file is begun at this size, in MB, and at each UTC day."""
    keep_days: Annotated[int, Field(ge=1)] | None = 30
    """Closed files older than this are deleted, in days. null: kept. Never in the first hour of a run, nor on the day after
    the clock was set, and at most two days of the log for each day that the daemon runs: a clock may be wrong."""
    quota_gb: Annotated[float, Field(gt=0)] | None = None
    """Size of all files of the log, in GB; the oldest closed ones are deleted first. null: no limit."""
    quota_percent: Annotated[float, Field(gt=0, le=100)] | None = None
    """The same as a share of the disk, in %; with both the smaller one counts. null: no limit."""
    compress: bool = True
    """Closed files become ``.jsonl.zst``, by a thread of the lowest priority."""
    compress_min_free_gb: Annotated[float, Field(ge=0)] = 0.5
    """Nothing is compressed while less is free on the disk, in GB: the copy needs room until the original is deleted."""
    min_free_gb: Annotated[float, Field(ge=0)] = 0.1
    """The log stops while less is free on its disk, in GB: a fault, each record that is not written counts as lost."""
    audit_required: bool = False
    """A record must be in the log: it is published after it was written, and while the log fails every verdict is
    ``invalid: log_lost``."""
    sync: Literal["none", "interval", "each"] = "interval"
    """What survives a power loss. ``none``: what the kernel had written. ``interval``: all but the last
    ``sync_interval_s``. ``each``: every line, synced before it is published; while the log fails records are published
    without it, unless ``audit_required``."""
    sync_interval_s: Annotated[float, Field(gt=0, le=60)] = 1.0
    """Time between two syncs, in s, under ``sync: interval``."""

    def elsewhere(self, folder: Path) -> JsonlConfig:
        """The same log in another folder."""
        return self.model_copy(update={"dir": folder})

    @property
    def disk(self) -> DiskUse:
        return DiskUse("log", self.dir, self.min_free_gb, self.quota_gb, self.sync)


class EvidenceConfig(OutputConfig):
    """Pictures of frames, as a recording that ``edge replay`` reads, with overlays of fails."""

    dir: Path
    """Folder of the pictures; made if it isn't there; relative to the config file."""
    keep: Annotated[tuple[Literal["pass", "fail", "invalid", "near_threshold"], ...], Field(min_length=1)] = (
        "fail",
        "invalid",
    )
    """Verdicts whose frames are kept; ``near_threshold``: passes that ``near_margin`` tells."""
    near_margin: Annotated[float, Field(gt=0, le=1)] = 0.1
    """A pass is near the threshold where ``map_max`` is at least ``high - near_margin * |high|``: 0.1 takes all from 90 %
    of the threshold on, and those that only smoothing or a filter of ``regions`` let pass."""
    pass_every: Annotated[int, Field(ge=1)] | None = None
    """Also one frame of this many passes. null: none."""
    before_fail: Annotated[int, Field(ge=0, le=100)] = 0
    """Also this many frames before each fail, whatever their verdict; needs ``fail`` in ``keep``. They wait in memory: this
    many frames twice over."""
    after_fail: Annotated[int, Field(ge=0)] = 0
    """Also this many frames after each fail; needs ``fail`` in ``keep``."""
    overlays: bool = True
    """Also a picture with boxes, scores and ROI drawn, for each fail."""
    quota_gb: Annotated[float, Field(gt=0)] = 20.0
    """Size of the folder, in GB. The oldest frames are deleted first, and fails only when nothing else is left."""
    quota_percent: Annotated[float, Field(gt=0, le=100)] | None = None
    """The same as a share of the disk, in %; the smaller one counts. null: ``quota_gb`` alone."""
    min_free_gb: Annotated[float, Field(ge=0)] = 1.0
    """No picture is written while less is free on the disk, in GB: a fault, and each frame that was to be kept counts as
    lost."""

    @property
    def disk(self) -> DiskUse:
        return DiskUse("evidence", self.dir, self.min_free_gb, self.quota_gb)

    @model_validator(mode="after")
    def _around_fails(self) -> EvidenceConfig:
        for key, frames in (("before_fail", self.before_fail), ("after_fail", self.after_fail)):
            if frames and "fail" not in self.keep:
                raise ValueError(
                    f"{key}: {frames} frames around each fail, which keep leaves out; expected fail in keep, or 0"
                )
        return self


class OutputsConfig(Section):
    """Where records go. Each output may be left out; none can slow inspection down."""

    zmq: ZmqConfig | None = ZmqConfig()
    """The ZeroMQ publisher. null: off."""
    jsonl: JsonlConfig | None = None
    """The log of records. null: off."""
    evidence: EvidenceConfig | None = None
    """Pictures of what was found. null: off."""

    @property
    def sections(self) -> dict[str, OutputConfig]:
        """The sections that are on, by key."""
        sections = {key: getattr(self, key) for key in type(self).model_fields}
        return {key: section for key, section in sections.items() if isinstance(section, OutputConfig)}

    def elsewhere(self, folder: Path) -> OutputsConfig:
        """The outputs of a trial, which may run beside the daemon: those alone that say where else they go."""
        off: dict[str, OutputConfig | None] = dict.fromkeys(type(self).model_fields)
        return self.model_copy(update=off | {key: section.elsewhere(folder) for key, section in self.sections.items()})

    @model_validator(mode="after")
    def _logs_last(self) -> OutputsConfig:
        if self.jsonl is None:
            return self
        least, copies = self.jsonl.min_free_gb, self.jsonl.compress_min_free_gb
        if copies < least:
            raise ValueError(
                f"jsonl.compress_min_free_gb ({copies:g}) must not be below jsonl.min_free_gb ({least:g}): "
                "the log stops last"
            )
        if self.evidence is not None and self.evidence.min_free_gb < copies:
            raise ValueError(
                f"evidence.min_free_gb ({self.evidence.min_free_gb:g}) must not be below jsonl.compress_min_free_gb "
                f"({copies:g}): pictures stop first"
            )
        return self
