"""The ``outputs:`` section of the line's YAML declares where records go."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, model_validator

from edge.config.yaml_reader import Section


class DiskUse(NamedTuple):
    """An output tells with this what it keeps on a disk; the machine is checked for it before the line starts."""

    what: str
    """Name of the kept files, for people."""
    dir: Path
    """Folder, relative to the config file."""
    min_free_gb: float
    quota_gb: float | None
    sync: str | None = None
    """How often the output waits for the disk; None if it never does."""


class OutputConfig(Section):
    """Every output has a section of this kind; `edge doctor` and `edge check` ask all of them the same questions."""

    def elsewhere(self, _folder: Path) -> OutputConfig | None:
        """**Optional.** Return the same output redirected for a trial: all that it writes or binds lies in ``folder``, and
        it reaches nobody.

        The default is None: the output can't be redirected, and a trial runs without it.
        """
        return None

    @property
    def disk(self) -> DiskUse | None:
        """**Optional.** Return what the output keeps on a disk; None if it keeps nothing."""
        return None


class CurveConfig(Section):
    """With CURVE keys every connection is encrypted, and only keys on the list get in. ``edge keys`` makes and lists
    them.
    """

    server_key: Path
    """The daemon's own secret key: a ``.key_secret`` file that other users can't read; relative to the config file."""
    clients: Path
    """Folder of the public keys that may connect, one ``NAME.key`` each; relative to the config file. It is read twice a
    second: a client whose key is added gets in, and one whose key is removed is cut off."""


def _check_path(key: str, endpoint: str, path: str) -> None:
    if path.startswith("@"):  # an abstract socket: any user of the machine may connect
        raise ValueError(f"{key}: {endpoint!r} has no file whose owner and mode keep others out; expected ipc://PATH")
    if path in ("", "*") or "\0" in path:  # libzmq would choose a name of its own
        raise ValueError(f"{key}: {endpoint!r} names no file; expected ipc://PATH")


class ZmqConfig(OutputConfig):
    """The ZeroMQ publisher sends each record to all subscribers."""

    bind: str | None = None
    """Endpoint of the records: ``ipc://PATH`` or ``tcp://127.0.0.1:PORT``; with ``curve`` any address of this machine. Port
    0 takes any free port; the actual one stands in endpoints.json. null: an ``ipc://`` socket in the runtime folder."""
    preview: str | None = None
    """Endpoint of JPEG previews, which are encoded only while someone subscribes. null: none."""
    curve: CurveConfig | None = None
    """Keys for both endpoints. null: none, and only this machine can connect."""

    def elsewhere(self, folder: Path) -> ZmqConfig:
        """Return a publisher on a socket of its own in ``folder``, without previews and keys."""
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
    """The log holds one line of JSON per record."""

    dir: Path
    """Folder of the log, which is made if it isn't there; relative to the config file."""
    rotate_mb: Annotated[int, Field(ge=1)] = 256
    """A new file begins when the current one reaches this size, in MB, and with each UTC day."""
    keep_days: Annotated[int, Field(ge=1)] | None = 30
    """Closed files are deleted after this many days. null: they are kept. Because a clock may be wrong, nothing is deleted
    by age in the first hour of a run or on the day after the clock was set, and at most two days of the log go for each day
    that the daemon runs."""
    quota_gb: Annotated[float, Field(gt=0)] | None = None
    """Most that all files of the log may take, in GB; the oldest closed files are deleted first. null: no limit."""
    quota_percent: Annotated[float, Field(gt=0, le=100)] | None = None
    """The same limit as a share of the disk, in %; if both are set, the smaller one counts. null: no limit."""
    compress: bool = True
    """Whether closed files are compressed to ``.jsonl.zst``, by a thread of the lowest priority."""
    compress_min_free_gb: Annotated[float, Field(ge=0)] = 0.5
    """Files are compressed only while at least this much is free on the disk, in GB: the copy needs room until the original
    is deleted."""
    min_free_gb: Annotated[float, Field(ge=0)] = 0.1
    """The log stops while less than this is free on its disk, in GB. That is a fault, and each record that is not written
    counts as lost."""
    audit_required: bool = False
    """Whether every record must be in the log. If so, a record is published only after it was written, and while the log
    fails every verdict is ``invalid: log_lost``."""
    sync: Literal["none", "interval", "each"] = "interval"
    """What survives a power loss. ``none``: what the kernel had written by then. ``interval``: all but the last
    ``sync_interval_s``. ``each``: every line, because it is synced before it is published; while the log fails, records are
    published without it unless ``audit_required`` is set."""
    sync_interval_s: Annotated[float, Field(gt=0, le=60)] = 1.0
    """Time between two syncs with ``sync: interval``, in s."""

    def elsewhere(self, folder: Path) -> JsonlConfig:
        """Return the same log in another folder."""
        return self.model_copy(update={"dir": folder})

    @property
    def disk(self) -> DiskUse:
        return DiskUse("log", self.dir, self.min_free_gb, self.quota_gb, self.sync)


class EvidenceConfig(OutputConfig):
    """Evidence is kept as pictures of frames, in a recording that ``edge replay`` reads, with overlays of fails."""

    dir: Path
    """Folder of the pictures, which is made if it isn't there; relative to the config file."""
    keep: Annotated[
        tuple[Literal["pass", "fail", "invalid", "near_threshold", "sample", "novel"], ...], Field(min_length=1)
    ] = ("fail", "invalid")
    """Verdicts whose frames are kept. ``near_threshold`` keeps passes that come as close to the threshold as
    ``near_margin`` says. ``sample`` keeps one frame of ``sample_every``, whatever its verdict. ``novel`` keeps frames that
    look unlike those before, by ``novel_limit``. ``edge gather`` makes a set of them."""
    sample_every: Annotated[int, Field(ge=1)] = 500
    """Frames to each one that ``sample`` keeps."""
    novel_limit: Annotated[float, Field(gt=0)] = 8.0
    """How much further a frame must lie from all that is known than frames usually do, in robust deviations, to be kept as
    ``novel``. The first 64 frames are only looked at."""
    near_margin: Annotated[float, Field(gt=0, le=1)] = 0.1
    """A pass is near the threshold if ``map_max`` is at least ``high - near_margin * |high|``. With 0.1 these are all
    passes from 90 % of the threshold on, and those that passed only because of smoothing or a filter of ``regions``."""
    pass_every: Annotated[int, Field(ge=1)] | None = None
    """Also keep one frame out of this many passes. null: none."""
    before_fail: Annotated[int, Field(ge=0, le=100)] = 0
    """Also keep this many frames before each fail, whatever their verdict; ``keep`` must hold ``fail``. They wait in
    memory, which takes twice this many frames."""
    after_fail: Annotated[int, Field(ge=0)] = 0
    """Also keep this many frames after each fail; ``keep`` must hold ``fail``."""
    overlays: bool = True
    """Also write a picture of each fail with boxes, scores and ROI drawn in."""
    maps: bool = False
    """Also write each frame's anomaly map, raw float32, for tuning by the line's own numbers: 262 KB at 256 x 256, 4.2 MB
    at 1024 x 1024, which count in the quota. Each frame that waits to be written takes as much memory more."""
    quota_gb: Annotated[float, Field(gt=0)] = 20.0
    """Most that the folder may take, in GB. The oldest frames are deleted first, and fails only when nothing else is
    left."""
    quota_percent: Annotated[float, Field(gt=0, le=100)] | None = None
    """The same limit as a share of the disk, in %; the smaller one counts. null: ``quota_gb`` alone."""
    quota_by_cause_gb: Annotated[float, Field(gt=0)] | None = None
    """Size of what was kept for any one cause but ``fail``, in GB; the oldest of that cause are deleted first, so that one
    cause can't push out the others. null: no such limit."""
    min_free_gb: Annotated[float, Field(ge=0)] = 1.0
    """No picture is written while less than this is free on the disk, in GB. That is a fault, and each frame that should
    have been kept counts as lost."""

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
    """Each output gets every record. Each may be left out, and none can slow inspection down."""

    zmq: ZmqConfig | None = ZmqConfig()
    """The ZeroMQ publisher. null: off."""
    jsonl: JsonlConfig | None = None
    """The log of records. null: off."""
    evidence: EvidenceConfig | None = None
    """Pictures of fails and other chosen frames. null: off."""

    @property
    def sections(self) -> dict[str, OutputConfig]:
        """Return the sections that are on, by key."""
        sections = {key: getattr(self, key) for key in type(self).model_fields}
        return {key: section for key, section in sections.items() if isinstance(section, OutputConfig)}

    def elsewhere(self, folder: Path) -> OutputsConfig:
        """Return the outputs for a trial, which may run beside the daemon: only those that say how they are redirected."""
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
