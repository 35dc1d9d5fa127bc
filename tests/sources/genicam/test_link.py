"""Connecting to a GenICam camera: which one, what is a person's mistake and what only the camera's bad moment."""

from __future__ import annotations

import dataclasses
import shutil
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

genapi = pytest.importorskip("genicam.genapi", reason="the extra 'camera' is not installed")

# ruff: noqa: E402
from support.genapi_camera import Camera
from support.gentl_proxy import FEATURES, Proxy, brief, drain, opened, take
from support.graphs import write_identity_bundle
from support.lines import make_line

from edge.config.load import load_config
from edge.config.sources import GenicamConfig as Config
from edge.errors import UserError
from edge.line.run import run_line
from edge.sources.genicam import link as genicam_link
from edge.sources.genicam.camera_info import ANY_CAMERA, CameraChoice, CameraInfo
from edge.sources.genicam.cameras import read_camera
from edge.sources.genicam.finder import Finder
from edge.sources.genicam.link import Link
from edge.sources.genicam.producers import producer_files
from edge.sources.genicam.source import GenicamSource

VIKY = "Machine Vision Games Ltd. Viky"


@pytest.fixture
def two(tmp_path, monkeypatch) -> list[Path]:
    """The same cameras through two producers of the environment."""
    (viky,) = producer_files("simulated")
    copies = [tmp_path / "a" / "one.cti", tmp_path / "b" / "two.cti"]
    for copy in copies:
        copy.parent.mkdir()
        shutil.copy(viky, copy)
    monkeypatch.setenv("GENICAM_GENTL64_PATH", ":".join(str(copy.parent) for copy in copies))
    return copies


def refusal(**keys: Any) -> str:
    source = GenicamSource(Config(kind="genicam", buffers=3, **keys), "cam1")
    with pytest.raises(UserError) as error:
        source.open()
    source.close()
    return str(error.value)


def test_a_communication_error_while_features_are_written_is_waited_out(proxy, hasty):
    """Nothing is wrong with the config: to end here would be for good, for a service isn't restarted after a 2."""
    proxy.set(write_errors=1)
    with opened(proxy) as source:
        status = source.status()
        assert status.state == "backoff"
        assert status.detail.startswith("the camera did not answer: source.features[0]: PixelFormat: GenTL exception: ")
        assert brief(take(source, 2)) == [1, 2]


def test_what_a_lost_camera_seems_to_lack_is_not_blamed_on_the_config(proxy, hasty, monkeypatch):
    """A node that can't be read looks like one that isn't there."""

    def lost_meanwhile(*_arguments: object) -> None:
        proxy.set(lost=1)
        raise UserError("source.part_id: no such integer chunk")

    with monkeypatch.context() as patched:
        patched.setattr(genicam_link, "check_chunks", lost_meanwhile)
        source = GenicamSource(
            Config(kind="genicam", producer=proxy.path, serial="1", buffers=3, features=FEATURES), "cam1"
        )
        source.open()
    try:
        status = source.status()
        assert (status.state, status.detail) == (
            "backoff",
            "the camera does not answer: source.part_id: no such integer chunk",
        )
        proxy.set(lost=0)
        assert brief(take(source, 2)) == [1, 2]
    finally:
        source.close()


def test_a_write_that_is_not_answered_is_no_mistake(proxy):
    with opened(proxy) as source:
        take(source, 1)
        proxy.set(write_errors=1)
        assert source.write(("Width", 120)) is False
        assert source.write(("Width", 120)) is True
        with pytest.raises(UserError):
            source.write(("Width", 5000))


@pytest.mark.parametrize("fault", ["start", "features"])
def test_an_opening_that_leads_to_no_frame_counts_as_a_reconnection(proxy, hasty, fault):
    """Each costs memory that no library gives back: after ``max_reconnects`` a new process is due all the same."""
    features = (*FEATURES, ("Width", 5000)) if fault == "features" else FEATURES
    proxy.set(lost=1, start_errors=fault == "start")
    with opened(proxy, features=features) as source:
        assert source.status().counters["reconnects"] == 0, "it was not there"
        proxy.set(lost=0)
        drain(source, lambda: source.status().counters["reconnects"] == 3)
        assert source.status().state == "backoff"
        if fault == "start":
            proxy.set(start_errors=0)
            take(source, 1)
            assert source.status().counters["reconnects"] == 4


def test_a_camera_that_two_producers_find(two):
    where = ", ".join(f"0 ({VIKY}) through {copy}" for copy in two)
    assert refusal(producer=None, serial="0") == (
        "source.producer: more than one finds a camera with serial 0\n"
        f"  received: {where}\n"
        "  expected: one producer\n"
        f"  fix: for example producer: {two[0]}"
    )
    with pytest.raises(UserError) as error:
        read_camera(None, CameraChoice("serial", "0"))
    assert str(error.value) == (
        "--producer: more than one finds a camera with serial 0\n"
        f"  received: {where}\n"
        "  expected: one producer\n"
        f"  fix: for example --producer {two[0]}"
    )


def test_several_cameras_on_the_command_line():
    with pytest.raises(UserError) as error:
        read_camera("simulated")
    assert str(error.value) == (
        "--serial: more than one camera matches\n"
        f"  received: {', '.join(f'{n} ({VIKY})' for n in range(3))}\n"
        "  expected: the serial number of one camera\n"
        "  fix: for example --serial 0"
    )


def camera(serial: str, producer: str, access: str = "free") -> CameraInfo:
    return CameraInfo(serial, "V", "M", "", f"{producer} {serial}", "GEV", access, producer)


def test_one_camera_seen_through_two_interfaces_is_one_camera():
    """Its producer lists it once for each network interface that reaches it; one of them may be shut."""
    finder = Finder([], CameraChoice("serial", "7"), simulated=False)
    assert finder._choose([camera("7", "/a.cti", "in use"), camera("8", "/a.cti"), camera("7", "/a.cti")]) == 2
    assert Finder([], ANY_CAMERA, simulated=False)._choose([camera("7", "/a.cti"), camera("7", "/a.cti")]) == 0


def test_a_camera_that_a_second_producer_finds_later_is_still_the_first_one():
    finder = Finder([], ANY_CAMERA, simulated=False)
    assert finder._choose([camera("7", "/b.cti")]) == 0
    assert finder._choose([camera("7", "/a.cti"), camera("8", "/a.cti"), camera("7", "/b.cti")]) == 2
    assert finder._choose([camera("8", "/b.cti"), camera("7", "/a.cti")]) == 1, "but better through the other than not"


def test_two_cameras_with_one_serial_number():
    finder = Finder([], ANY_CAMERA, simulated=False)
    other = dataclasses.replace(camera("7", "/a.cti"), model="N")
    with pytest.raises(UserError) as error:
        finder._choose([camera("7", "/a.cti"), other])
    assert str(error.value) == (
        "source.serial: more than one camera has the serial number 7\n"
        "  received: 7 (V M), 7 (V N)\n"
        "  expected: one such camera\n"
        "  fix: disconnect the others"
    )


@pytest.mark.parametrize("present", [True, False])
def test_a_producer_that_cannot_be_loaded_is_named_where_the_camera_is_missed(proxy, tmp_path, monkeypatch, present):
    """But it is no error: another producer works, and its camera may yet come."""
    broken = tmp_path / "broken.cti"
    broken.write_bytes(b"\x7fELF")
    monkeypatch.setenv("GENICAM_GENTL64_PATH", f"{Path(proxy.path).parent}:{tmp_path}")
    proxy.set(lost=not present)
    source = GenicamSource(Config(kind="genicam", serial="4711", buffers=3), "cam1")
    try:
        source.open()
        status = source.status()
    finally:
        source.close()
    there = f"present: {', '.join(f'{n} ({VIKY})' for n in range(3))}" if present else "no camera is present"
    assert (status.state, status.detail) == (
        "backoff",
        f"no camera with serial 4711; {there}; {broken} cannot be loaded ({broken}: file too short)",
    )


def simulated(producer: str | None) -> bool:
    return GenicamSource(Config(kind="genicam", producer=producer), "cam1").simulated


def test_records_say_simulated_however_the_simulated_camera_was_named(proxy, tmp_path, monkeypatch):
    (viky,) = producer_files("simulated")
    link = tmp_path / "camera.cti"
    link.symlink_to(viky)
    monkeypatch.setenv("GENICAM_GENTL64_PATH", str(tmp_path))
    assert [simulated(name) for name in ("simulated", str(viky), str(link), None)] == [True] * 4
    assert [simulated(name) for name in (proxy.path, "/opt/none.cti")] == [False] * 2
    monkeypatch.setenv("GENICAM_GENTL64_PATH", "")
    assert simulated(None) is False


def test_a_simulated_camera_beside_real_ones_is_not_taken_for_one(proxy, tmp_path, monkeypatch):
    viky = Path(shutil.copy(producer_files("simulated")[0], tmp_path))  # the proxy has the other one open
    monkeypatch.setenv("GENICAM_GENTL64_PATH", f"{Path(proxy.path).parent}:{viky.parent}")
    assert simulated(None) is False
    proxy.set(lost=1)
    assert refusal(producer=None, serial="1") == (
        "source.producer: only a simulated camera matches, found beside the producers of real ones\n"
        f"  received: 1 ({VIKY}) through {viky}\n"
        "  expected: a real camera, or producer: simulated, which every record then says\n"
        "  fix: producer: simulated, or the camera's own producer"
    )


@pytest.mark.parametrize("constant_width", [True, False])
def test_a_camera_is_alive_while_a_register_of_its_own_answers(proxy, constant_width):
    """Width may be a constant of the description, or missing: it answers when nobody else does."""
    camera = Camera(constant_width=constant_width)
    link = Link(Config(kind="genicam", producer=proxy.path), [Path(proxy.path)])
    link._camera = SimpleNamespace(remote_device=SimpleNamespace(node_map=camera.node_map))
    assert camera.node_map.Width.value == 640
    assert link.alive()
    camera.dead = True
    assert not constant_width or camera.node_map.Width.value == 640, "whatever the camera says"
    assert not link.alive()
    camera.dead = False
    assert link.alive()


class NoFeatures:
    nodes = ()

    def get_node(self, name: str) -> Any:
        raise genapi.LogicalErrorException(f"no {name}")


def test_a_camera_with_no_register_to_ask_counts_as_alive():
    link = Link(Config(kind="genicam"), [])
    assert not link.alive(), "not open"
    link._camera = SimpleNamespace(remote_device=SimpleNamespace(node_map=NoFeatures()))
    assert link.alive()


def test_connecting_tells_that_it_is_at_work(proxy, hasty, monkeypatch):
    """A user set takes seconds, a search on many interfaces too: no hang of the stage that calls."""
    seen = []
    monkeypatch.setattr(
        "genicam.genapi.ICommand.is_done",
        lambda *_: seen.append(source.status().busy_until_ns - time.monotonic_ns()) or True,
    )
    config = Config(
        kind="genicam", producer=proxy.path, serial="1", buffers=3, features=(("DeviceRegistersStreamingEnd", "execute"),)
    )
    source = GenicamSource(config, "cam1")
    try:
        source.open()
        assert 0 < source.status().busy_until_ns <= time.monotonic_ns(), "progress, and no more"
        proxy.set(lost=1)
        drain(source, lambda: source.status().state == "backoff")
        proxy.set(lost=0)
        drain(source, lambda: source.status().counters["reconnects"] == 1)
        assert source.status().busy_until_ns <= time.monotonic_ns()
    finally:
        source.close()
    assert len(seen) == 2
    assert min(seen) > 0


def test_a_search_that_takes_longer_than_the_limit_of_a_stage_is_no_hang(proxy: Proxy, hasty, tmp_path):
    """The library holds the interpreter lock meanwhile: every stage stands still, and so does who looks after them."""
    write_identity_bundle(tmp_path / "bundle")
    path = tmp_path / "cam1.yaml"
    path.write_text(
        "camera: cam1\nruntime_dir: run\nmodel: {bundle: bundle}\nregions: {threshold: {high: 2.0}}\n"
        f"source: {{kind: genicam, producer: {proxy.path}, serial: '999', buffers: 3}}\n"
        "supervise: {limit_s: 2}\noutputs: {zmq: null, jsonl: {dir: log}}\n"
    )
    (tmp_path / "run").mkdir()
    line = make_line(load_config(path))
    stop = threading.Event()
    line.start(stop)
    proxy.set(slow_update=3500)
    before = proxy.get("updates")

    def each_turn(_line: object, _health: object) -> None:
        if proxy.get("updates") > before:
            proxy.set(slow_update=0)
            stop.set()

    assert run_line(line, stop, each_turn) == 0


def test_the_memory_of_the_buffers_is_told_at_the_start_and_warned_of_where_it_is_much() -> None:
    """32 buffers of a simulated camera were 270 of a daemon's 394 MB, and nothing said so."""
    for buffers, level in ((4, "info"), (40, "warning")):
        config = Config(kind="genicam", producer="simulated", serial="0", buffers=buffers)
        link = Link(config, producer_files("simulated"))
        try:
            link.connect()
            with capture_logs() as told:
                link.start()
        finally:
            link.close()
        (entry,) = [entry for entry in told if entry["event"] == "camera_buffers"]
        assert (entry["log_level"], entry["buffers"]) == (level, buffers)
        assert entry["total_mb"] == round(buffers * entry["payload_bytes"] / 1e6)


def test_where_the_config_names_no_number_there_are_as_many_buffers_as_64_mb_hold() -> None:
    """32 of the simulated camera's, which are as large as its largest frame, were 270 MB in each of eight daemons."""
    link = Link(Config(kind="genicam", producer="simulated", serial="0"), producer_files("simulated"))
    try:
        link.connect()
        with capture_logs() as told:
            link.start()
        announced = len(link._camera._announced_buffers)
    finally:
        link.close()
    (entry,) = [entry for entry in told if entry["event"] == "camera_buffers"]
    assert entry["buffers"] == announced == 64_000_000 // entry["payload_bytes"]
    assert 4 <= announced < 32
    assert entry["total_mb"] <= 64
