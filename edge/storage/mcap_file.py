"""Recordings become MCAP files for Foxglove and Lichtblick, and back: pictures, identities and records on one time line.

Three topics: ``/CAMERA/image`` (``foxglove.CompressedImage``, Protobuf: JSON would carry pictures as base64, a third
larger), ``/CAMERA/frame`` (a frame's or a loss's line of the recording's index) and ``/CAMERA/record`` (the record as it
was published). Pictures are the recording's own PNGs, byte for byte, so the file isn't compressed once more: with frames
of 3 MB the library's zstd took 31 ms each. https://mcap.dev/spec
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, BinaryIO, Final

import orjson

from edge.errors import UserError
from edge.frames import Frame, Skip
from edge.storage.disk import whole_file
from edge.storage.pictures import PictureError, decode_picture, picture_bytes, picture_inside
from edge.storage.recording import framed, open_recording
from edge.storage.recording_index import RecordedFrame, read_entry, read_index
from edge.wire.schema import SCHEMA

MAGIC: Final = b"\x89MCAP0\r\n"
_NAME: Final = "edge.recording"
_LINE: Final = {"type": "object", "properties": {"kind": {"enum": ["frame", "skip"]}}, "required": ["kind"]}
_LARGEST_RECORD: Final = 1 << 30


@dataclass(frozen=True, slots=True)
class Exported:
    """An exported file says how many entries it has, and how many frames are in them, lost ones included."""

    camera: str
    entries: int
    frames: int


def write_mcap(folder: Path, out: Path, progress: Callable[[int, int], None]) -> tuple[int, int]:
    """Write the recording in ``folder`` to ``out``. Returns how many pictures and how many records it then holds.

    ``progress`` is called with how many of how many entries are done. A picture that is missing is a loss in the file, too.

    Raises:
        UserError: no recording, ``out`` is there already or can't be written, or the package mcap is missing.
    """
    _package()
    recording = open_recording(folder)
    if out.exists():
        raise UserError(f"{out}: is there already", fix="choose another -o, or delete that file")
    numbers = {entry.number for entry in recording.entries if isinstance(entry, RecordedFrame)}
    frames = sum(entry.count if isinstance(entry, Skip) else 1 for entry in recording.entries)
    head = {"camera": recording.camera, "entries": str(len(recording.entries)), "frames": str(frames)}
    pictures = records = done = 0
    try:
        with whole_file(out) as file:
            tape = _Tape(file, recording.camera, head)
            for entry, line in read_index(folder):
                if isinstance(entry, Skip) or (isinstance(entry, RecordedFrame) and entry.number in numbers):
                    pictures += tape.entry(entry, line, folder)
                    records += tape.record(entry, line)
                    done += 1
                    progress(done, len(recording.entries))
            tape.finish()
    except OSError as error:
        raise UserError(f"{out}: cannot be written: {error.strerror}") from None
    return pictures, records


def is_mcap(path: Path) -> bool:
    """Return True if the file begins as an MCAP file does; False if it can't be read."""
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def open_mcap(path: Path) -> Exported:
    """Look who recorded the file, and how much.

    Raises:
        UserError: an MCAP file that ``edge export`` didn't make, or the package mcap is missing.
    """
    from_mcap = _package()
    for record in _records(path):
        if isinstance(record, from_mcap.Metadata) and record.name == _NAME:
            facts = record.metadata
            if "camera" in facts and all(facts.get(name, "").isdecimal() for name in ("entries", "frames")):
                return Exported(facts["camera"], int(facts["entries"]), int(facts["frames"]))
        if isinstance(record, (from_mcap.Chunk, from_mcap.Message)):
            break
    raise UserError(f"{path}: not a recording", expected="an MCAP file that edge export made")


def read_mcap(path: Path) -> Iterator[tuple[int, Callable[[], Frame | Skip]]]:
    """Yield frames and losses in order: ``received_ns``, and what decodes the picture. Ends where a file is cut off."""
    from_mcap = _package()
    topics: dict[int, str] = {}
    waiting: RecordedFrame | None = None
    for record in _records(path):
        if isinstance(record, from_mcap.Channel):
            topics[record.id] = record.topic.rpartition("/")[2]
        elif isinstance(record, from_mcap.Message):
            topic = topics.get(record.channel_id)
            if topic == "frame":
                waiting = None
                try:
                    entry = read_entry(record.data)
                except ValueError:
                    continue
                if isinstance(entry, Skip):
                    yield entry.received_ns, partial(_same, entry)
                elif isinstance(entry, RecordedFrame):
                    waiting = entry
            elif topic == "image" and waiting is not None:
                yield waiting.meta.received_ns, partial(_decoded, waiting, record.data)
                waiting = None


class _Tape:
    """A tape is the file being written."""

    def __init__(self, file: BinaryIO, camera: str, head: dict[str, str]) -> None:
        from mcap.writer import CompressionType, Writer

        self._writer: Any = Writer(file, compression=CompressionType.NONE)
        self._writer.start(profile="", library="edge-inspect")
        self._writer.add_metadata(_NAME, head)
        register = self._writer.register_schema
        image = register("foxglove.CompressedImage", "protobuf", _image_schema())
        line = register("edge.RecordingLine", "jsonschema", orjson.dumps(_LINE))
        record = register("edge.Record", "jsonschema", orjson.dumps({"type": "object", "$comment": SCHEMA["title"]}))
        channel = self._writer.register_channel
        self._image = channel(f"/{camera}/image", "protobuf", image)
        self._line = channel(f"/{camera}/frame", "json", line)
        self._record = channel(f"/{camera}/record", "json", record)
        self._camera = camera

    def entry(self, entry: RecordedFrame | Skip, line: bytes, folder: Path) -> bool:
        """Write a frame's or a loss's line, and the picture if there is one."""
        if isinstance(entry, Skip):
            self._say(self._line, entry.received_ns, _without_record(line))
            return False
        stamp_ns = entry.meta.received_ns
        try:
            png = picture_bytes(picture_inside(folder, entry.file))
        except (OSError, ValueError):  # of pictures: no file, or outside
            lost = framed(entry, None)
            assert isinstance(lost, Skip)
            self._say(self._line, stamp_ns, orjson.dumps({"kind": "skip"} | {n: getattr(lost, n) for n in lost.__slots__}))
            return False
        self._say(self._line, stamp_ns, _without_record(line))
        image = _image_class()(data=png, format="png", frame_id=self._camera)
        image.timestamp.FromNanoseconds(stamp_ns)
        self._say(self._image, stamp_ns, image.SerializeToString())
        return True

    def record(self, entry: RecordedFrame | Skip, line: bytes) -> bool:
        """Write the record beside a line, if there is one."""
        record = orjson.loads(line).get("record")
        if record is None:
            return False
        stamp_ns = entry.received_ns if isinstance(entry, Skip) else entry.meta.received_ns
        self._say(self._record, stamp_ns, orjson.dumps(record))
        return True

    def finish(self) -> None:
        self._writer.finish()

    def _say(self, channel: int, stamp_ns: int, data: bytes) -> None:
        self._writer.add_message(channel, log_time=stamp_ns, data=data, publish_time=stamp_ns)


def _package() -> Any:
    try:
        import mcap.records
        from google.protobuf import timestamp_pb2  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"MCAP files need the package {(error.name or 'mcap').partition('.')[0]}",
            fix="pip install 'edge-inspect[mcap]'",
        ) from None
    return mcap.records


def _records(path: Path) -> Iterator[Any]:
    """Yield everything in the file up to its end, or to where it is cut off or damaged."""
    from mcap.exceptions import McapError
    from mcap.stream_reader import StreamReader

    try:
        with path.open("rb") as file:
            yield from StreamReader(file, record_size_limit=_LARGEST_RECORD).records
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except (McapError, EOFError, struct.error, LookupError, ValueError):
        return


def _same(skip: Skip) -> Skip:
    return skip


def _decoded(entry: RecordedFrame, data: bytes) -> Frame | Skip:
    from google.protobuf.message import DecodeError

    try:
        return framed(entry, decode_picture(_image_class().FromString(data).data))
    except (PictureError, DecodeError):
        return framed(entry, None)


def _without_record(line: bytes) -> bytes:
    facts = orjson.loads(line)
    facts.pop("record", None)
    return orjson.dumps(facts)


@cache
def _image_class() -> Any:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(_image_schema()).file:
        pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("foxglove.CompressedImage"))


@cache
def _image_schema() -> bytes:
    """Make the schema of a picture. Field numbers:
    https://github.com/foxglove/foxglove-sdk/blob/main/schemas/proto/foxglove/CompressedImage.proto
    """
    from google.protobuf import descriptor_pb2, timestamp_pb2

    files = descriptor_pb2.FileDescriptorSet()
    timestamp_pb2.DESCRIPTOR.CopyToProto(files.file.add())
    file = files.file.add(name="foxglove/CompressedImage.proto", package="foxglove", syntax="proto3")
    file.dependency.append("google/protobuf/timestamp.proto")
    message = file.message_type.add(name="CompressedImage")
    kind = descriptor_pb2.FieldDescriptorProto
    for name, number, type_ in (
        ("timestamp", 1, kind.TYPE_MESSAGE),
        ("data", 2, kind.TYPE_BYTES),
        ("format", 3, kind.TYPE_STRING),
        ("frame_id", 4, kind.TYPE_STRING),
    ):
        message.field.add(name=name, number=number, type=type_, label=kind.LABEL_OPTIONAL)
    message.field[0].type_name = ".google.protobuf.Timestamp"
    return bytes(files.SerializeToString())
