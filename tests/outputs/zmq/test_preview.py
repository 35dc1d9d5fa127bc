"""Previews cost nothing while nobody looks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import zmq
from support.records import FRAME, IDENTITY, META, record
from support.waits import PATIENCE_S

from edge.errors import UserError
from edge.frames import Frame, Verdict
from edge.outputs.queued import Queued
from edge.outputs.zmq import preview
from edge.outputs.zmq.preview import PreviewSink

RED = Frame(META, np.full((1000, 1500, 3), (200, 10, 30), np.uint8))
DEEP = Frame(replace(META, pixel_format="Mono12"), np.full((40, 60), 1600, np.uint16), bits=12)


@pytest.fixture
def output(tmp_path: Path) -> Iterator[tuple[Queued, PreviewSink]]:
    sink = PreviewSink(f"ipc://{tmp_path}/preview", IDENTITY)
    output = Queued(sink, 1000, "drop")
    output.start()
    yield output, sink
    output.close(2.0)


@pytest.fixture
def viewer(output: tuple[Queued, PreviewSink]) -> Iterator[zmq.Socket[bytes]]:
    with zmq.Context() as context, context.socket(zmq.SUB) as socket:
        socket.set(zmq.LINGER, 0)
        socket.set(zmq.RCVTIMEO, int(PATIENCE_S * 1000))
        socket.subscribe(b"preview/")
        socket.connect(str(output[1].endpoint))
        end = time.monotonic() + PATIENCE_S
        while not output[1].subscribers:
            assert time.monotonic() < end
            time.sleep(0.002)
        yield socket


def test_without_a_viewer_no_pixel_is_copied(output: tuple[Queued, PreviewSink]) -> None:
    assert output[1].keep(record(0), RED, None) is None


@pytest.mark.parametrize(
    ("frame", "shape", "values"),
    [(RED, (500, 750, 3), (30, 10, 200)), (DEEP, (40, 60), 100)],
)
def test_a_viewer_gets_the_record_and_a_small_picture(
    output: tuple[Queued, PreviewSink],
    viewer: zmq.Socket[bytes],
    frame: Frame,
    shape: tuple[int, ...],
    values: tuple[int, int, int] | int,
) -> None:
    output[0].accept(record(3), frame, None)
    topic, line, jpeg = viewer.recv_multipart()
    assert (topic, line) == (b"preview/1/cam1/", record(3).line)
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_UNCHANGED)
    assert picture is not None
    assert picture.shape == shape
    assert np.abs(picture.astype(int) - values).max() <= 4


def test_pictures_come_at_most_five_times_a_second(
    output: tuple[Queued, PreviewSink], viewer: zmq.Socket[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preview, "PERIOD_S", 3600)
    for seq in range(20):
        output[0].accept(record(seq), FRAME, None)
    assert viewer.recv_multipart()[1] == record(0).line
    assert not viewer.poll(100)
    assert output[0].status().lost == 0


def test_a_fail_takes_a_slot_of_its_own_twice_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """By time alone one picture in 20 would be sent at 100 parts a second, and a rare fail most likely never."""
    now = 100.0
    monkeypatch.setattr(preview.time, "monotonic", lambda: now)
    sink = PreviewSink("ipc:///unused", IDENTITY)
    sink.subscribers = 1
    kept = []
    for seq in range(400):  # 4 s: each 50th part fails, and later a burst of four
        now = 100.0 + seq / 100
        verdict: Verdict = "fail" if seq in (7, 57, 107, 157, 207, 257, 381, 382, 383, 384) else "pass"
        if sink.keep(replace(record(seq), body=replace(record(seq).body, verdict=verdict)), FRAME, None) is not None:
            sink.discard(None)  # type: ignore[arg-type]
            kept.append((seq, verdict))
    fails = [seq for seq, verdict in kept if verdict == "fail"]
    assert fails == [7, 57, 107, 157, 207, 257, 381, 382]
    assert len(kept) - len(fails) == 20


def test_pictures_that_wait_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preview, "PERIOD_S", 0)
    sink = PreviewSink("ipc:///unused", IDENTITY)
    sink.subscribers = 1
    kept = [sink.keep(record(seq), FRAME, None) for seq in range(5)]
    assert [k is not None for k in kept] == [True, True, False, False, False]
    sink.discard(kept[0])  # type: ignore[arg-type]
    assert sink.keep(record(5), FRAME, None) is not None


def test_a_picture_that_could_not_be_sent_is_done_with_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """However often it was tried: else more and more of them would be let in."""

    def broken(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(preview, "PERIOD_S", 0)
    monkeypatch.setattr(preview.cv2, "imencode", broken)
    sink = PreviewSink(f"ipc://{tmp_path}/preview", IDENTITY)
    sink.open()
    sink.subscribers = 1
    kept = sink.keep(record(0), FRAME, None)
    assert kept is not None
    for _ in range(2):
        with pytest.raises(OSError, match="Input/output error"):
            sink.write(record(0), kept)
    sink.discard(kept)
    sink.close()
    assert (sink._taken, sink._done) == (1, 1)


def test_a_bad_endpoint_names_its_key(tmp_path: Path) -> None:
    output = Queued(PreviewSink(f"ipc://{tmp_path}/{'x' * 120}", IDENTITY), 10, "drop")
    with pytest.raises(UserError, match=r"^outputs\.zmq\.preview: ipc://"):
        output.start()
