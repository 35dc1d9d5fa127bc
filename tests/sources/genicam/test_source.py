"""The genicam source against a real GenTL producer: viky.cti, the simulated camera of the genicam package."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs

from edge.config.sources import GenicamConfig as Config
from edge.errors import UserError
from edge.frames import Payload, Skip
from edge.line.ring import Ring
from edge.preprocess.pixel_formats import decode_payload
from edge.sources.genicam.camera_info import CameraChoice
from edge.sources.genicam.cameras import list_cameras, read_camera
from edge.sources.genicam.producers import producer_files
from edge.sources.genicam.source import GenicamSource
from edge.sources.open import check_source, device_findings

genapi = pytest.importorskip("genicam.genapi", reason="the extra 'camera' is not installed")
from edge.sources.genicam.buffer import chunks_of  # noqa: E402

MONO = (("PixelFormat", "Mono8"), ("Width", 200), ("Height", 100), ("AcquisitionFrameRate", 200.0))


def make(features: Any = MONO, **keys: Any) -> GenicamSource:
    return GenicamSource(
        Config(**{"kind": "genicam", "producer": "simulated", "serial": "0", "buffers": 4, "features": features, **keys}),
        "cam1",
    )


@contextlib.contextmanager
def opened(features: Any = MONO, **keys: Any) -> Iterator[GenicamSource]:
    source = make(features, **keys)
    try:
        source.open()
        yield source
    finally:
        source.close()


def take(source: GenicamSource, count: int) -> list[Payload | Skip]:
    """``count`` items; fails after 5 s without one. Payload data are copied, for they die with the next read."""
    items: list[Payload | Skip] = []
    while len(items) < count:
        item = source.read(5.0)
        assert item is not None, source.status()
        items.append(Payload(item.meta, item.data.copy()) if isinstance(item, Payload) else item)
    return items


def refusal(features: Any = (), **keys: Any) -> str:
    with pytest.raises(UserError) as error, opened(features, **keys):
        pass
    return str(error.value)


def test_frames_arrive_whole_and_numbered_by_the_camera():
    before = time.time_ns(), time.monotonic_ns()  # the first frame may come before it is asked for
    with opened(buffers=64) as source:
        frames = take(source, 10)
        after = time.time_ns(), time.monotonic_ns()
        status = source.status()
    assert [f.meta.frame_id for f in frames] == list(range(1, 11))
    assert {(f.meta.width, f.meta.height, f.meta.pixel_format, f.data.size) for f in frames} == {
        (200, 100, "Mono8", 20_000)
    }
    assert {(f.meta.frame_id_source, f.meta.timestamp_source, f.meta.camera_ns) for f in frames} == {
        ("device", "host", None)
    }
    assert [f.meta.received_ns for f in frames] == sorted(f.meta.received_ns for f in frames)
    # those that waited while the thread was held up are as old as each other
    assert before[1] < frames[0].meta.received_mono_ns <= frames[-1].meta.received_mono_ns < after[1]
    assert before[0] <= frames[0].meta.received_ns <= after[0]
    assert (status.state, status.announced, status.counters["frames"]) == ("streaming", 10, 10)


@pytest.mark.parametrize("size", [1, 30])
def test_the_ball_is_in_the_picture(size):
    """A dark square of the size asked for on a white scene, and no trace of what the same buffer held before."""
    features = (*MONO[:1], ("Width", 400), ("Height", 400), ("BouncingBallSize", size), MONO[3])
    with opened(features, buffers=4) as source:
        frames = [item for item in take(source, 16) if isinstance(item, Payload)]
    pictures = [decode_payload(frame.meta, frame.data).pixels for frame in frames]
    assert {picture.shape for picture in pictures} == {(400, 400)}
    assert {int((picture < 200).sum()) for picture in pictures} == {size * size}
    assert len({picture.tobytes() for picture in pictures}) > len(pictures) // 2, "the ball moves"


def test_colour_arrives_as_rgb():
    with opened((("PixelFormat", "RGBa8"), ("Width", 120), ("Height", 110))) as source:
        (payload,) = take(source, 1)
    assert (payload.meta.pixel_format, payload.data.size) == ("RGBa8", 4 * 120 * 110)
    assert decode_payload(payload.meta, payload.data).pixels.shape == (110, 120, 3)


def test_a_stalled_reader_gets_its_loss_in_place_and_the_sum_holds():
    """Frames announced by the camera's ids = frames + losses, in the camera's order."""
    with opened(buffers=3) as source:
        items = take(source, 20)
        time.sleep(0.3)
        items += take(source, 20)
        time.sleep(0.2)
        items += take(source, 20)
        status = source.status()
    skips = [item for item in items if isinstance(item, Skip)]
    assert {skip.reason for skip in skips} == {"frame_id_gap"}
    assert sum(skip.count > 5 for skip in skips) >= 2  # a machine that is busy elsewhere loses a few more
    expected = 1
    for item in items:
        first, last = (item.frame_id_first, item.frame_id_last) if isinstance(item, Skip) else (item.meta.frame_id,) * 2
        assert first == expected
        expected = last + 1
        assert not isinstance(item, Skip) or item.count == last - first + 1
    lost = sum(skip.count for skip in skips)
    assert status.counters["frame_id_gap"] == lost
    assert status.announced == expected - 1 == len(items) - len(skips) + lost


def test_a_payload_lives_until_the_next_read():
    """Zero-copy: the bytes stay as they are while the producer goes on filling other buffers."""
    with opened() as source:
        payload = source.read(5.0)
        first = payload.data.copy()
        time.sleep(0.1)
        np.testing.assert_array_equal(payload.data, first)
        assert not payload.data.flags.owndata


def test_the_frame_size_may_change_in_mid_stream():
    with opened() as source:
        take(source, 5)
        node_map = source._link.node_map
        node_map.Width.value, node_map.Height.value = 320, 240
        sizes = [(f.meta.width, f.meta.height, f.data.size) for f in take(source, 20) if isinstance(f, Payload)]
        assert source.status().counters.get("reconnects", 0) == 0
    assert sizes[-1] == (320, 240, 76_800)
    assert all(width * height == size for width, height, size in sizes)


def test_the_part_id_is_an_integer_chunk():
    """ChunkNrBounces counts the ball's bounces: it never falls, and rises while the ball flies."""
    features = (*MONO[:1], ("Width", 100), ("Height", 100), ("AcquisitionFrameRate", 200.0), ("ChunkModeActive", True))
    with opened(features, part_id="ChunkNrBounces") as source:
        parts = [f.meta.part_id for f in take(source, 300) if isinstance(f, Payload)]
    assert parts == sorted(parts)
    assert parts[0] < parts[-1] <= 300


def test_chunks_go_with_their_frame_and_one_that_does_not_come_is_none():
    features = (*MONO, ("ChunkModeActive", True), ("ChunkSelector", "NrBounces"), ("ChunkEnable", True))
    with capture_logs() as logs, opened(features, chunks=("ChunkNrBounces", "ChunkScan3dCoordinateScale")) as source:
        frames = take(source, 5)
        assert source.status().counters["chunk_errors"] == 5
    for frame in frames:
        (name, bounces), other = frame.meta.chunks
        assert (name, type(bounces), other) == ("ChunkNrBounces", int, ("ChunkScan3dCoordinateScale", None))
        assert frame.meta.part_id is None
    problems = [log["problem"] for log in logs if log["event"] == "chunk_missing"]
    assert problems == ["no ChunkScan3dCoordinateScale in the frame: its record lacks it"]


class FakeChunks:
    """Stands for a camera with exposure, gain and temperature chunks, for the simulated one has no such numbers."""

    tl_type = "U3V"
    raw_buffer = b"pixels and chunks"
    delivered_chunk_payload_size = 6

    def __init__(self, **values: float) -> None:
        self.values = values
        self.calls: list[Any] = []

    def is_containing_chunk_data(self) -> bool:
        return True

    def attach_buffer(self, *arguments: object) -> None:
        self.calls.append(arguments)
        if not self.values:
            raise RuntimeError("Invalid layout of buffer attached to chunk parser")

    def detach_buffer(self) -> None:
        self.calls.append("detached")

    def get_node(self, name: str) -> Any:
        if name not in self.values:
            raise genapi.LogicalErrorException("no such node")
        return SimpleNamespace(value=self.values[name])


def test_exposure_gain_and_temperature_are_read_before_the_buffer_goes_back():
    fake = FakeChunks(ChunkExposureTime=800.5, ChunkGain=3.0, ChunkCounterValue=17)
    wanted = ("ChunkExposureTime", "ChunkGain", "ChunkDeviceTemperature")
    part, chunks = chunks_of(fake, fake, fake, "ChunkCounterValue", wanted)
    assert part == 17
    assert chunks == (("ChunkExposureTime", 800.5), ("ChunkGain", 3.0), ("ChunkDeviceTemperature", None))
    assert fake.calls == [(b"pixels and chunks", 6), "detached"]


def test_chunks_that_cannot_be_parsed_do_not_answer_with_an_earlier_frame_s_values():
    fake = FakeChunks()
    assert chunks_of(fake, fake, fake, "ChunkCounterValue", ("ChunkGain",)) == (None, (("ChunkGain", None),))


def test_a_chunk_that_the_camera_has_not():
    assert refusal(chunks=("ChunkNrBounces", "ChunkGain")) == (
        "source.chunks[1]: no such number chunk\n"
        "  received: ChunkGain\n"
        "  expected: a number chunk; this camera has ChunkComponentIDValue, ChunkNrBounces, ChunkScan3dCoordinateOffset, "
        "ChunkScan3dCoordinateReferenceValue, ChunkScan3dCoordinateScale"
    )


def test_a_frame_without_the_chunk_has_no_part_id():
    with opened((*MONO, ("ChunkModeActive", False)), part_id="ChunkNrBounces") as source:
        frames = take(source, 3)
        assert source.status().counters["chunk_errors"] == 3
    assert [f.meta.part_id for f in frames] == [None, None, None]


@pytest.mark.parametrize(
    ("features", "problem"),
    [
        ((("ComponentSelector", "Range"), ("ComponentEnable", True)), "payload type multi-part"),
        ((("GenDCStreamingMode", "On"),), "payload type GenDC"),
    ],
)
def test_a_payload_that_is_no_picture_is_counted_and_named_once(features, problem):
    with capture_logs() as logs, opened(features) as source:
        items = take(source, 12)  # three times the buffers: each was queued again
        status = source.status()
    assert [(i.reason, i.count, i.frame_id_first, i.frame_id_last) for i in items] == [
        ("bad_payload", 1, n, n) for n in range(1, 13)
    ]
    assert (status.announced, status.counters["bad_payload"]) == (12, 12)
    assert [log["problem"] for log in logs if log["event"] == "bad_payload"] == [problem]


def test_a_serial_that_is_not_there_is_waited_for_and_those_present_are_listed():
    with capture_logs() as logs, opened(serial="40012345") as source:
        began = time.monotonic()
        assert source.read(0.1) is None
        assert time.monotonic() - began >= 0.1
        status = source.status()
        for _ in range(12):  # at least one more attempt
            source.read(0.1)
    present = [f"{n} (Machine Vision Games Ltd. Viky)" for n in range(3)]
    text = f"no camera with serial 40012345; present: {', '.join(present)}"
    assert (status.state, status.detail, status.announced) == ("backoff", text, 0)
    (event,) = [log for log in logs if log["event"] == "camera_not_found"]
    assert (event["serial"], event["present"], event["log_level"]) == ("40012345", present, "warning")


def test_two_cameras_and_no_serial_is_an_error_that_lists_them():
    assert refusal(serial=None) == (
        "source.serial: more than one camera matches\n"
        "  received: 0 (Machine Vision Games Ltd. Viky), 1 (Machine Vision Games Ltd. Viky), "
        "2 (Machine Vision Games Ltd. Viky)\n"
        "  expected: the serial number of one camera\n"
        '  fix: for example serial: "0"'
    )


def test_a_producer_path_that_does_not_exist():
    assert refusal(producer="/opt/vendor/producer.cti") == (
        "source.producer: no such file\n"
        "  received: /opt/vendor/producer.cti\n"
        "  expected: the path of a GenTL producer (.cti), or simulated\n"
        "  fix: install the camera vendor's GenTL producer, or correct the path"
    )


def test_a_producer_that_cannot_be_loaded(tmp_path):
    producer = tmp_path / "broken.cti"
    producer.write_bytes(b"\x7fELF")
    lines = refusal(producer=str(producer)).splitlines()
    assert lines[0] == "source.producer: the GenTL producer cannot be loaded"
    assert lines[1] == f"  received: {producer}: file too short"
    assert lines[3] == "  fix: leave the .cti file in the folder where its installer put it; install what is missing"


OTHER = (62, "x86_64") if platform.machine() == "aarch64" else (183, "aarch64")


@pytest.mark.parametrize(("machine", "name"), [OTHER, (40, "armv7l"), (243, "ELF machine 243"), (None, "Windows")])
def test_a_producer_of_another_architecture_is_named(tmp_path, machine, name):
    """The system's loader would say "cannot open shared object file: No such file or directory"."""
    (viky,) = producer_files("simulated")
    data = bytearray(viky.read_bytes()[:4096])
    if machine is None:
        data[:2] = b"MZ"
    else:
        data[18:20] = machine.to_bytes(2, "little")
    producer = tmp_path / "other.cti"
    producer.write_bytes(data)
    here = platform.machine()
    assert refusal(producer=str(producer)) == (
        "source.producer: the GenTL producer is for another kind of machine\n"
        f"  received: {producer}, made for {name}\n"
        f"  expected: a producer for {here}\n"
        "  fix: install the camera vendor's package for this machine"
    )


def test_a_camera_without_the_camera_packages(monkeypatch):
    monkeypatch.delitem(sys.modules, "edge.sources.genicam.link", raising=False)
    monkeypatch.delattr("edge.sources.genicam.link", raising=False)
    monkeypatch.setitem(sys.modules, "harvesters.core", None)
    assert refusal() == (
        "source: the camera library is not installed\n"
        "  received: import of harvesters.core halted; None in sys.modules\n"
        "  fix: pip install 'edge-inspect[camera]'"
    )


@pytest.mark.parametrize("version", ["3.11", "3.12"])
def test_a_python_without_its_shared_library_names_the_package_that_has_it(tmp_path, monkeypatch, version):
    """Debian's and Ubuntu's don't bring it, and the camera library's wheel needs it: not installed, it was said to be."""
    text = f"libpython{version}.so.1.0: cannot open shared object file: No such file or directory"

    class Debian:
        def find_spec(self, name, _path=None, _target=None):
            if name == "edge.sources.genicam.link":
                raise ImportError(text)

    monkeypatch.delitem(sys.modules, "edge.sources.genicam.link", raising=False)
    monkeypatch.delattr("edge.sources.genicam.link", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Debian(), *sys.meta_path])
    told = f"source: the camera library cannot be loaded\n  received: {text}\n  fix: apt install libpython{version}"
    assert refusal() == told
    config = Config(kind="genicam", producer="simulated")
    with pytest.raises(UserError) as checked:
        check_source(config, tmp_path)
    assert str(checked.value) == told
    finding = next(iter(device_findings(config)))
    assert (finding.level, finding.fix) == ("fail", f"apt install libpython{version}")
    assert text in finding.text


def test_producers_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv("GENICAM_GENTL64_PATH", raising=False)
    assert refusal(producer=None) == (
        "source.producer: no producer given, and none in the folders of GENICAM_GENTL64_PATH\n"
        "  received: GENICAM_GENTL64_PATH is not set\n"
        "  expected: the path of a GenTL producer (.cti), or simulated\n"
        "  fix: install the camera vendor's GenTL producer, or write its path under source.producer"
    )
    (viky,) = producer_files("simulated")
    monkeypatch.setenv("GENICAM_GENTL64_PATH", f"{tmp_path}:{viky.parent}")
    assert [path.resolve() for path in producer_files(None)] == [viky.resolve()]
    with opened(producer=None) as source:
        assert isinstance(source.read(5.0), Payload)


FEATURE_ERRORS = {
    "nonexistent": (
        ("ExposureTim", 800.0),
        "source.features[1]: ExposureTim: the camera has no such feature\n"
        "  received: ExposureTim\n"
        "  expected: a feature of this camera\n"
        "  fix: edge cameras --producer PRODUCER --serial SERIAL lists them",
    ),
    "misspelt": (
        ("AcquisitionFrameRat", 20.0),
        "source.features[1]: AcquisitionFrameRat: the camera has no such feature\n"
        "  received: AcquisitionFrameRat\n"
        "  expected: a feature of this camera; did you mean AcquisitionFrameRate?\n"
        "  fix: edge cameras --producer PRODUCER --serial SERIAL lists them",
    ),
    "integer out of range": (
        ("Width", 2048),
        "source.features[1]: Width: wrong value\n  received: 2048\n  expected: an integer from 100 to 800",
    ),
    "float out of range": (
        ("AcquisitionFrameRate", 1000.0),
        "source.features[1]: AcquisitionFrameRate: wrong value\n  received: 1000.0\n  expected: a number from 1 to 200 Hz",
    ),
    "no such choice": (
        ("PixelFormat", "Mono16"),
        "source.features[1]: PixelFormat: wrong value\n  received: Mono16\n  expected: one of RGBa8, Mono8",
    ),
    "text for a boolean": (
        ("ChunkModeActive", "On"),
        "source.features[1]: ChunkModeActive: wrong value\n  received: On\n  expected: true or false",
    ),
    "boolean for a choice": (
        ("GenDCStreamingMode", True),
        "source.features[1]: GenDCStreamingMode: wrong value\n  received: true\n  expected: one of Off, On",
    ),
    "text for a number": (
        ("Width", "400"),
        'source.features[1]: Width: wrong value\n  received: "400"\n  expected: an integer from 100 to 800',
    ),
    "float for an integer": (
        ("Width", 400.5),
        "source.features[1]: Width: wrong value\n  received: 400.5\n  expected: an integer from 100 to 800",
    ),
    "read-only": (
        ("PayloadSize", 5),
        "source.features[1]: PayloadSize: cannot be written\n"
        "  received: 5\n"
        "  expected: a writable feature; this one is read-only in the camera's present state; its value is 10240080\n"
        "  fix: write the selector or mode that unlocks it first",
    ),
    "a value for a command": (
        ("FancyBallOperation", 1),
        "source.features[1]: FancyBallOperation: is a command\n  received: 1\n  expected: execute",
    ),
    "a category": (
        ("DeviceControl", 1),
        "source.features[1]: DeviceControl: not a feature that takes a value\n"
        "  received: 1\n"
        "  expected: an integer, float, boolean, enumeration, string or command feature",
    ),
}


@pytest.mark.parametrize("case", FEATURE_ERRORS)
def test_a_feature_that_the_camera_refuses_is_told_with_its_limits(case):
    feature, text = FEATURE_ERRORS[case]
    assert refusal((("PixelFormat", "Mono8"), feature)) == text


def test_features_are_written_in_order_and_read_back():
    """A selector decides what the next entry means; a read-only feature that has the value already is accepted."""
    features = (
        ("GenDCStreamingMode", "Off"),
        ("AcquisitionMode", "Continuous"),
        ("ChunkSelector", "NrBounces"),
        ("ChunkEnable", False),
        ("ChunkSelector", "Scan3dData"),
        ("AcquisitionFrameRate", 50),
        ("DeviceRegistersStreamingStart", "execute"),
        ("DeviceRegistersStreamingEnd", "execute"),
    )
    with opened(features) as source:
        node_map = source._link.node_map
        assert (node_map.GenDCStreamingMode.value, node_map.ChunkSelector.value) == ("Off", "Scan3dData")
        assert node_map.AcquisitionFrameRate.value == 50.0
        node_map.ChunkSelector.value = "NrBounces"
        assert node_map.ChunkEnable.value is False


def test_a_command_that_does_not_end(monkeypatch):
    monkeypatch.setattr("edge.sources.genicam.features.COMMAND_TIMEOUT_S", 0.05)
    monkeypatch.setattr("genicam.genapi.ICommand.is_done", lambda *_args: False)
    assert refusal((("DeviceRegistersStreamingEnd", "execute"),)) == (
        "source.features[0]: DeviceRegistersStreamingEnd: the command was not done after 0.05 s"
    )


@pytest.mark.parametrize("name", ["ChunkCounterValue", "PixelFormat", "Width"])
def test_a_part_id_that_is_no_integer_chunk(name):
    assert refusal(part_id=name) == (
        "source.part_id: no such integer chunk\n"
        f"  received: {name}\n"
        "  expected: an integer chunk; this camera has ChunkComponentIDValue, ChunkNrBounces"
    )


ONE_CAMERA = """
import json, sys
from edge.config.sources import GenicamConfig as Config
from edge.frames import Payload
from edge.sources.genicam.source import GenicamSource
from edge.sources.open import check_source, device_findings

features = (("PixelFormat", "Mono8"), ("Width", 200), ("Height", 100), ("AcquisitionFrameRate", 100.0))
source = GenicamSource(Config(kind="genicam", producer="simulated", serial=sys.argv[1], buffers=16, features=features), "c")
source.open()
ids = []
while len(ids) < int(sys.argv[2]):
    item = source.read(5.0)
    ids += [item.meta.frame_id] if isinstance(item, Payload) else range(item.frame_id_first, item.frame_id_last + 1)
status = source.status()
source.close()
print(json.dumps([sys.argv[1], ids == list(range(ids[0], ids[0] + len(ids))), status.announced == len(ids), status.state]))
"""


@pytest.mark.parametrize("count", [100, pytest.param(6000, marks=[pytest.mark.soak, pytest.mark.timeout(300)])])
def test_three_cameras_at_once_each_in_a_process_of_its_own(count):
    """The binding holds the interpreter lock and one failing producer takes its process with it: one process each."""
    command = [sys.executable, "-c", ONE_CAMERA]
    children = [subprocess.Popen([*command, str(n), str(count)], stdout=subprocess.PIPE) for n in range(3)]
    told = [json.loads(child.communicate()[0].splitlines()[-1]) for child in children]
    assert told == [[str(n), True, True, "streaming"] for n in range(3)]


@pytest.mark.parametrize("times", [20, pytest.param(100, marks=pytest.mark.soak)])
def test_a_stream_may_be_stopped_and_started_many_times(times):
    """Frames come after each, ids begin anew, and the sum holds over all."""
    with opened() as source:
        frames = take(source, 1)
        for _ in range(times):
            source._restart()
            frames += take(source, 1)
        status = source.status()
    assert [f.meta.frame_id for f in frames] == [1] * (times + 1)
    assert (status.announced, status.counters["stream_restarts"], status.counters["reconnects"]) == (times + 1, times, 0)


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="Linux tells the resident size")
@pytest.mark.parametrize("count", [300, pytest.param(20_000, marks=[pytest.mark.soak, pytest.mark.timeout(600)])])
def test_memory_stays_flat_frame_after_frame(count):
    """One frame of 80 kB kept each time would show as 24 MB in the short form already."""
    with opened((*MONO[:1], ("Width", 400), ("Height", 200), ("AcquisitionFrameRate", 200.0)), buffers=16) as source:
        ring = Ring(4, drops=True)
        before = 0.0
        for number in range(100 + count):
            item = source.read(5.0)
            if isinstance(item, Payload):
                slot = ring.acquire(item.data.nbytes, item.meta, lambda: True)
                slot.view[:] = item.data
                ring.commit(slot)
            before = before if number != 100 else resident_mb()
        grown = resident_mb() - before
        status = source.status()
    assert status.announced == status.counters["frames"] + status.counters["frame_id_gap"]
    print(f"{count} frames: resident size grew by {grown:.2f} MB")
    assert grown < 4.0


def test_closing_twice_and_opening_five_times():
    source = make()
    for _ in range(5):
        source.open()
        assert [f.meta.frame_id for f in take(source, 3)] == [1, 2, 3]
        source.close()
        source.close()
    status = source.status()
    assert (status.state, status.announced, status.counters["frames"]) == ("ended", 15, 15)


def test_closing_after_a_refused_open_leaves_the_camera_free():
    refusal((("Width", 5),))
    with opened() as source:
        assert isinstance(source.read(5.0), Payload)


def test_the_sigint_handler_is_kept():
    def handler(*_args: object) -> None: ...

    before = signal.signal(signal.SIGINT, handler)
    try:
        assert threading.current_thread() is threading.main_thread()
        with opened() as source:
            assert isinstance(source.read(5.0), Payload)
            assert signal.getsignal(signal.SIGINT) is handler
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_another_thread_runs_while_the_camera_is_waited_for():
    """The binding holds the interpreter lock in a wait; this loop never waits in it (a naive one: 1 tick in 600 ms)."""
    ticks = 0
    done = threading.Event()

    def tick() -> None:
        nonlocal ticks
        while not done.is_set():
            time.sleep(0.001)
            ticks += 1

    with opened((*MONO[:3], ("AcquisitionFrameRate", 2.0))) as source:
        take(source, 1)
        thread = threading.Thread(target=tick)
        thread.start()
        source.read(0.3)
        done.set()
        thread.join()
    assert ticks > 30


def test_listing_the_cameras():
    cameras = list_cameras("simulated")
    assert [(c.serial, c.vendor, c.model, c.transport, c.access) for c in cameras] == [
        (str(n), "Machine Vision Games Ltd.", "Viky", "Custom", "free") for n in range(3)
    ]


def test_describing_a_camera():
    info, features, settings = read_camera("simulated", CameraChoice("serial", "2"))
    by_name = {feature.name: feature for feature in features}
    assert info.serial == "2"
    assert by_name["AcquisitionFrameRate"].unit == "Hz"
    width = by_name["Width"]
    assert (width.kind, width.access, width.low, width.high, width.step) == ("integer", "RW", 100, 800, 1)
    assert by_name["PixelFormat"].choices == ("RGBa8", "Mono8")
    assert by_name["ChunkEnable"].selectors == ("ChunkSelector",)
    assert by_name["FancyBallOperation"].kind == "command"
    assert by_name["ChunkNrBounces"].value is None, "readable only while a frame is there"
    assert "TLParamsLocked" not in by_name, "invisible"
    assert "TLParamsLocked" not in dict(settings)


def test_a_camera_that_is_not_there_cannot_be_described():
    with pytest.raises(UserError) as error:
        read_camera("simulated", CameraChoice("serial", "77"))
    present = ", ".join(f"{n} (Machine Vision Games Ltd. Viky)" for n in range(3))
    assert str(error.value) == f"the camera cannot be read: no camera with serial 77; present: {present}"


def test_what_waited_in_the_producers_buffers_is_as_old_as_it_is():
    """The thread was held up: by a library that keeps the interpreter's lock, an overloaded box, a suspended machine."""
    with opened(buffers=16) as source:
        take(source, 3)
        source.read(0.0)
        time.sleep(0.5)
        looked_ns = time.monotonic_ns()
        (first,) = take(source, 1)
    assert isinstance(first, Payload)
    assert first.meta.received_mono_ns < looked_ns - 400_000_000
