"""Evidence is a recording of the chosen verdicts that never holds up the judge and never outgrows its quota."""

from __future__ import annotations

import errno
import os
import re
import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import orjson
import pytest
from structlog.testing import capture_logs
from support import lines
from support.disks import REMOTE
from support.evidence import IDENTITY, deliver, frame, inspected, lost, sink_in
from support.records import DRIFT
from support.waits import PATIENCE_S, until

from edge.config.outputs import EvidenceConfig
from edge.config.regions import RoiConfig
from edge.errors import UserError
from edge.frames import Frame, Inspection, Record, Skip, Verdict
from edge.models.sets.open import open_set
from edge.outputs.evidence.sink import EvidenceSink
from edge.outputs.queued import Queued
from edge.sources.recorded import RecordedSource
from edge.storage import disk, recording_index, recording_writer
from edge.storage.pictures import encode_png
from edge.storage.recording import open_recording, read_recording


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("name", ["recording.json", "frames.jsonl", "lock"])
def test_a_folder_in_a_files_place_is_a_fault_and_evidence_goes_on_when_it_is_gone(tmp_path: Path, name: str) -> None:
    """Nothing that an output's folder holds may end the daemon."""
    (tmp_path / "e" / name).mkdir(parents=True)
    sink = sink_in(tmp_path / "e")
    sink.open()
    assert name in (sink.trouble or "")
    (tmp_path / "e" / name).rmdir()
    until(lambda: (sink.idle(), sink.trouble is None)[1])
    picture = frame(0)
    deliver(sink, inspected(picture, "fail"), picture)
    sink.close()
    assert len(list(read_recording(tmp_path / "e"))) == 1


@pytest.mark.parametrize("name", ["frames.jsonl", "lock"])
def test_a_pipe_in_a_files_place_is_a_fault_and_nobody_waits_at_it(tmp_path: Path, name: str) -> None:
    (tmp_path / "e").mkdir()
    os.mkfifo(tmp_path / "e" / name)
    sink = sink_in(tmp_path / "e")
    sink.open()
    assert f"/{name}: " in (sink.trouble or "")
    assert "a pipe or a device, not a file" in (sink.trouble or "")
    (tmp_path / "e" / name).unlink()
    until(lambda: (sink.idle(), sink.trouble is None)[1])
    picture = frame(0)
    deliver(sink, inspected(picture, "fail"), picture)
    sink.close()
    assert len(list(read_recording(tmp_path / "e"))) == 1


def test_chosen_verdicts_and_losses_are_kept_in_order_as_a_recording(tmp_path: Path) -> None:
    sink = sink_in(tmp_path / "e")
    sink.open()
    frames = [frame(k, bits=12) for k in range(4)]
    deliver(sink, inspected(frames[0], "pass"), frames[0])
    deliver(sink, inspected(frames[1], "fail"), frames[1])
    deliver(sink, replace(lost(10), seq=1))
    deliver(sink, inspected(frames[2], "invalid", "engine_error"), frames[2])
    deliver(sink, inspected(frames[3], "pass"), frames[3])
    sink.close()
    first, gap, second = read_recording(tmp_path / "e")
    assert gap == Skip("frame_id_gap", 2, 10, 11, 1_010)
    for read, original in ((first, frames[1]), (second, frames[2])):
        assert isinstance(read, Frame)
        assert (replace(read.meta, received_mono_ns=5), read.bits) == (original.meta, 12)
        np.testing.assert_array_equal(read.pixels, original.pixels)
    lines = [orjson.loads(line) for line in (tmp_path / "e/frames.jsonl").read_bytes().splitlines()]
    assert [(line.get("why"), line["record"]) for line in lines] == [
        ("fail", {"seq": 1, "verdict": "fail"}),
        (None, {}),
        ("invalid", {"seq": 2, "verdict": "invalid"}),
    ]
    replayed = RecordedSource(tmp_path / "e", "max")
    replayed.open()
    assert replayed.total == 4
    replayed.close()


def test_records_that_were_lost_on_the_way_are_counted_in_the_recording_and_told_by_its_replay(tmp_path: Path) -> None:
    sink = sink_in(tmp_path)
    sink.open()
    for k in (0, 1, 5, 6, 8):
        deliver(sink, inspected(frame(k), "fail"), frame(k))
    sink.keep(inspected(frame(9), "fail"), frame(9), None)  # the queue is closed before it gets there
    sink.close()
    lines = [orjson.loads(line) for line in (tmp_path / "frames.jsonl").read_bytes().splitlines()]
    assert [line.get("records", line.get("frame_id")) for line in lines] == [0, 1, 3, 5, 6, 1, 8, 1]
    assert lines[2] == {"kind": "missing", "records": 3}
    assert open_recording(tmp_path).missing == 5
    replayed = RecordedSource(tmp_path, "max")
    with capture_logs() as logs:
        replayed.open()
    replayed.close()
    assert logs[0] == {
        "event": "recording_incomplete",
        "log_level": "warning",
        "folder": str(tmp_path),
        "records_missing": 5,
    }


def test_frames_that_a_failing_disk_took_are_counted_in_the_recording_once_it_is_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = sink_in(tmp_path)
    sink.open()
    deliver(sink, inspected(frame(0), "fail"), frame(0))
    with monkeypatch.context() as full:
        full.setattr(recording_writer, "whole_file", lambda *_: _no_space(*_, b""))
        for k in (1, 2):
            deliver(sink, inspected(frame(k), "fail"), frame(k))
    sink.close()
    assert (open_recording(tmp_path).missing, sink.lost) == (2, 2)


def _no_space(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_losses_are_kept_only_where_invalid_is(tmp_path: Path) -> None:
    sink = sink_in(tmp_path, keep=("fail", "pass"))
    sink.open()
    deliver(sink, lost(3))
    deliver(sink, inspected(frame(0), "pass"), frame(0))
    sink.close()
    assert [e.meta.frame_id for e in open_recording(tmp_path).entries if not isinstance(e, Skip)] == [0]
    assert len(open_recording(tmp_path).entries) == 1


def test_a_late_frame_is_recorded_as_late(tmp_path: Path) -> None:
    sink = sink_in(tmp_path)
    sink.open()
    deliver(sink, inspected(frame(0), "invalid", "late"), frame(0))
    deliver(sink, inspected(frame(1), "invalid", "engine_error"), frame(1))
    sink.close()
    assert [f.meta.late for f in read_recording(tmp_path) if isinstance(f, Frame)] == [True, False]


def test_each_fail_has_an_overlay_with_its_box_and_roi_beside_it(tmp_path: Path) -> None:
    sink = sink_in(tmp_path, RoiConfig(include=((0.0, 0.0, 1.0, 0.5),)))
    sink.open()
    grey = Frame(frame(0).meta, np.full((40, 40), 100, np.uint8))
    deliver(sink, inspected(grey, "invalid", "engine_error"), grey)
    deliver(sink, inspected(grey, "fail"), grey)
    sink.close()
    assert names(tmp_path / "frames") == ["00000000.png", "00000001.png"]
    (overlay,) = (tmp_path / "overlays").iterdir()
    assert re.fullmatch(r"00000001-seq0-cam1-\d{8}T\d{6}[+-]\d{4}-frame0\.jpg", overlay.name)
    drawn = cv2.imread(str(overlay))[..., ::-1]
    zoom = drawn.shape[1] // 40
    assert zoom == 12
    part = drawn[-40 * zoom :].astype(int)
    red = (part[..., 0] - part[..., 1] > 100) & (part[..., 0] - part[..., 2] > 60)
    ys, xs = np.nonzero(red[6 * zoom - 4 : 16 * zoom + 4, 5 * zoom - 4 : 15 * zoom + 4])
    assert (xs.min(), xs.max()) == pytest.approx((0, 10 * zoom + 7), abs=3)
    assert (ys.min(), ys.max()) == pytest.approx((0, 10 * zoom + 7), abs=3)
    assert part[-3 * zoom :].mean() == pytest.approx(40, abs=2)  # outside the ROI
    off = sink_in(tmp_path / "off", overlays=False)
    off.open()
    deliver(off, inspected(grey, "fail"), grey)
    off.close()
    assert names(tmp_path / "off/overlays") == []


def test_what_the_rois_mask_picture_leaves_out_is_dimmed_in_a_lines_overlays(tmp_path: Path) -> None:
    mask = np.zeros((64, 64), np.uint8)
    mask[:32] = 255
    assert cv2.imwrite(str(tmp_path / "roi.png"), mask)
    regions = "regions={threshold: {high: 0.1}, roi: {mask: roi.png}}"
    config = lines.loaded(tmp_path, regions, "source.frames=1", "outputs.evidence={dir: kept}")
    assert lines.run(lines.make_line(config)) == 0
    drawn = cv2.imread(str(next((tmp_path / "kept" / "overlays").iterdir())))
    plain = cv2.imread(str(tmp_path / "kept" / "frames" / "00000000.png"))
    below = drawn[-31 * (drawn.shape[1] // 64) + 20 :]
    assert below.mean() == pytest.approx(0.4 * plain[35:].mean(), abs=3)


def test_pixels_are_copied_when_they_are_kept(tmp_path: Path) -> None:
    sink = sink_in(tmp_path)
    sink.open()
    slot = frame(0)
    original = slot.pixels.copy()
    kept = sink.keep(inspected(slot, "fail"), slot, None)
    slot.pixels[:] = 0
    sink.write(inspected(slot, "fail"), kept)
    sink.close()
    (read,) = read_recording(tmp_path)
    assert isinstance(read, Frame)
    np.testing.assert_array_equal(read.pixels, original)


def test_with_every_buffer_in_use_a_frame_is_refused_at_once_and_a_freed_buffer_is_used_again(tmp_path: Path) -> None:
    sink = sink_in(tmp_path)
    sink.open()
    f = frame(0)
    record = inspected(f, "fail")
    kept = [sink.keep(record, f, None) for _ in range(8)]
    assert all(k is not None for k in kept)
    with pytest.raises(OSError, match=r"frames come faster than they are written: 8 wait already") as caught:
        sink.keep(record, f, None)
    assert caught.value.errno == errno.ENOBUFS
    assert sink.keep(inspected(f, "pass"), f, None) is None
    assert kept[0] is not None
    sink.discard(kept[0])
    again = sink.keep(record, f, None)
    assert again is not None
    assert np.shares_memory(again.frame.pixels, kept[0].frame.pixels)
    sink.discard(kept[0])  # given back before: no matter
    with pytest.raises(OSError, match="8 wait already"):
        sink.keep(record, f, None)
    assert kept[1] is not None
    sink.write(record, kept[1])
    third = sink.keep(record, f, None)
    assert third is not None
    assert np.shares_memory(third.frame.pixels, kept[1].frame.pixels)
    sink.close()


def test_behind_a_queue_what_a_slow_disk_cannot_take_is_counted_and_the_judge_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = sink_in(tmp_path)
    gate = threading.Event()
    write = sink.write

    def slow(record: Record, kept: object) -> None:
        gate.wait(PATIENCE_S)
        write(record, kept)  # type: ignore[arg-type]

    monkeypatch.setattr(sink, "write", slow)
    output = Queued(sink, 64, "drop")
    output.start()
    for k in range(20):
        output.accept(inspected(frame(k), "fail"), frame(k), None)
    assert output.status().lost == 12
    assert output.status().fault == "frames come faster than they are written: 8 wait already"
    gate.set()
    output.close(10.0)
    assert [f.meta.frame_id for f in read_recording(tmp_path) if isinstance(f, Frame)] == list(range(8))


def test_a_full_disk_costs_frames_not_the_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = sink_in(tmp_path)
    output = Queued(sink, 64, "drop")
    output.start()
    with monkeypatch.context() as full:
        full.setattr(recording_writer.os, "write", _no_space)
        output.accept(inspected(frame(0), "fail"), frame(0), None)
        while output.status().lost == 0:
            pass
        assert output.status().fault == "No space left on device"
    for k in range(1, 9):  # no buffer is lost with the frame
        output.accept(inspected(frame(k), "fail"), frame(k), None)
    output.close(10.0)
    assert output.status().lost == 1
    assert output.status().fault is None
    assert [f.meta.frame_id for f in read_recording(tmp_path) if isinstance(f, Frame)] == list(range(1, 9))


def _no_space(_fd: int, _data: bytes) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def used(folder: Path) -> int:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file() and p.name != "recording.json")


def cost_of_one(folder: Path) -> int:
    """Bytes of one fail with its overlay and its line; the pictures here differ by few."""
    sink = sink_in(folder)
    sink.open()
    deliver(sink, inspected(frame(0), "fail"), frame(0))
    sink.close()
    return used(folder)


def test_the_oldest_pictures_go_first_when_the_quota_is_reached(tmp_path: Path) -> None:
    quota = int(4.5 * cost_of_one(tmp_path / "one"))
    folder = tmp_path / "e"
    sink = sink_in(folder, quota_gb=quota / 1e9)
    sink.open()
    for k in range(12):
        deliver(sink, inspected(frame(k), "fail"), frame(k))
        assert used(folder) <= quota
    sink.close()
    kept = [e.number for e in open_recording(folder).entries if not isinstance(e, Skip)]
    assert kept == list(range(kept[0], 12))
    assert 3 <= len(kept) <= 4
    assert open_recording(folder).deleted == kept[0]
    assert names(folder / "frames") == [f"{k:08d}.png" for k in kept]
    assert [name[:8] for name in names(folder / "overlays")] == [f"{k:08d}" for k in kept]
    read = list(read_recording(folder))
    assert [f.meta.frame_id for f in read if isinstance(f, Frame)] == kept
    assert len(read) == len(kept)


def test_evidence_goes_on_over_restarts_within_one_quota(tmp_path: Path) -> None:
    one, folder = cost_of_one(tmp_path / "one"), tmp_path / "e"
    for run in range(3):
        sink = sink_in(folder, quota_gb=4.5 * one / 1e9)
        sink.open()
        for k in range(3):
            deliver(sink, inspected(frame(10 * run + k), "fail"), frame(10 * run + k))
        sink.close()
        assert used(folder) <= 4.5 * one
    smaller = sink_in(folder, quota_gb=2.5 * one / 1e9)
    smaller.open()
    smaller.close()
    assert used(folder) <= 2.5 * one
    left = [f.meta.frame_id for f in read_recording(folder) if isinstance(f, Frame)]
    assert left in ([22], [21, 22])


def test_a_flood_of_losses_alone_keeps_within_the_quota(tmp_path: Path) -> None:
    sink = sink_in(tmp_path, quota_gb=20e-6)
    sink.open()
    for k in range(500):
        deliver(sink, lost(2 * k))
    assert used(tmp_path) <= 20_000
    deliver(sink, inspected(frame(1), "invalid", "engine_error"), frame(1))
    sink.close()
    last = list(read_recording(tmp_path))[-1]
    assert isinstance(last, Frame)


def test_a_folder_that_cannot_be_written_and_one_of_another_camera_are_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError) as caught:
        sink_in(tmp_path / "file" / "e").open()
    assert str(caught.value) == (
        f"outputs.evidence.dir: {tmp_path}/file/e: cannot be written: {tmp_path}/file is a file, not a folder\n"
        "  fix: choose another folder, or give the user of this process the right to write there"
    )
    sink = sink_in(tmp_path / "e")
    sink.open()
    sink.close()
    other = EvidenceSink(EvidenceConfig(dir=tmp_path / "e"), tmp_path / "e", replace(IDENTITY, camera="cam2"), None)
    with pytest.raises(UserError) as caught:
        other.open()
    assert str(caught.value) == (
        f"outputs.evidence.dir: {tmp_path}/e: holds a recording of another camera\n"
        "  received: cam1\n"
        "  expected: cam2\n"
        "  fix: give each camera a folder of its own"
    )
    other.close()


def reasons(folder: Path) -> list[tuple[int, str | None]]:
    return [(e.meta.frame_id, e.why) for e in open_recording(folder).entries if not isinstance(e, Skip)]


def test_a_folder_has_one_writer(tmp_path: Path) -> None:
    """Two would give the same number to two pictures. What the first has written is left alone, its torn tail included."""
    first, second = sink_in(tmp_path / "e"), sink_in(tmp_path / "e")
    first.open()
    deliver(first, inspected(frame(0), "fail"), frame(0))
    with (tmp_path / "e/frames.jsonl").open("ab") as index:
        index.write(b'{"kind": "fra')
    (tmp_path / "e/frames/00000001.png.tmp").touch()
    before = names(tmp_path / "e/frames"), (tmp_path / "e/frames.jsonl").read_bytes()
    with pytest.raises(UserError) as told:
        second.open()
    second.close()
    assert told.value.exit_code == 6
    assert str(told.value) == (
        f"outputs.evidence.dir: {tmp_path}/e/lock: another process writes evidence there\n"
        "  fix: stop that one first, or give this one another folder"
    )
    assert (names(tmp_path / "e/frames"), (tmp_path / "e/frames.jsonl").read_bytes()) == before
    first.close()
    third = sink_in(tmp_path / "e")
    third.open()
    deliver(third, inspected(frame(1), "fail"), frame(1))
    third.close()
    assert [e.meta.frame_id for e in open_recording(tmp_path / "e").entries if not isinstance(e, Skip)] == [0, 1]


def test_passes_near_the_threshold_are_kept_and_one_in_n_of_all_passes(tmp_path: Path) -> None:
    """The threshold is 0.6: with the margin 0.1 passes from 0.54 on are near it."""
    sink = sink_in(tmp_path, keep=("near_threshold",), pass_every=4)
    sink.open()
    for k, highest in enumerate([0.1, 0.53, 0.54, 0.61, 0.2, 0.3, 0.5, 0.2, 0.59, 0.1]):
        record = inspected(frame(k), "pass")
        assert isinstance(record.body, Inspection)
        deliver(sink, replace(record, body=replace(record.body, map_max=highest)), frame(k))
    deliver(sink, inspected(frame(10), "fail"), frame(10))
    sink.close()
    assert reasons(tmp_path) == [
        (0, "pass_sample"),
        (2, "near_threshold"),
        (3, "near_threshold"),
        (4, "pass_sample"),
        (8, "near_threshold"),
    ]


def test_frames_before_and_after_a_fail_are_kept_in_the_order_they_came(tmp_path: Path) -> None:
    sink = sink_in(tmp_path, keep=("fail", "invalid"), before_fail=2, after_fail=1)
    sink.open()
    for k in range(4):
        deliver(sink, inspected(frame(k), "pass"), frame(k))
    deliver(sink, lost(100))  # a loss between them keeps its place
    deliver(sink, inspected(frame(4), "fail"), frame(4))
    assert reasons(tmp_path) == [(2, "before_fail"), (3, "before_fail"), (4, "fail")]  # at once
    deliver(sink, inspected(frame(5), "pass"), frame(5))
    deliver(sink, inspected(frame(6), "invalid", "late"), frame(6))
    deliver(sink, inspected(frame(7), "pass"), frame(7))
    deliver(sink, inspected(frame(8), "fail"), frame(8))
    for k in range(9, 15):
        deliver(sink, inspected(frame(k), "pass"), frame(k))
    deliver(sink, inspected(frame(15), "invalid", "late"), frame(15))  # waits for what follows, until the end
    sink.close()
    assert reasons(tmp_path) == [
        (2, "before_fail"),
        (3, "before_fail"),
        (4, "fail"),
        (5, "after_fail"),
        (6, "invalid"),
        (7, "before_fail"),
        (8, "fail"),
        (9, "after_fail"),
        (15, "invalid"),
    ]
    kinds = [type(e).__name__ for e in open_recording(tmp_path).entries]
    assert kinds[:4] == ["RecordedFrame", "RecordedFrame", "Skip", "RecordedFrame"]
    read = [f for f in read_recording(tmp_path) if isinstance(f, Frame)]
    for got in read:
        np.testing.assert_array_equal(got.pixels, frame(got.meta.frame_id).pixels)


def test_frames_that_wait_for_a_fail_take_no_buffer_from_those_that_are_wanted(tmp_path: Path) -> None:
    sink = sink_in(tmp_path, before_fail=3)
    sink.open()
    passed = [sink.keep(inspected(frame(k), "pass"), frame(k), None) for k in range(10)]
    assert [k is not None for k in passed] == [True] * 6 + [False] * 4  # twice before_fail, however slow the disk
    failed = [sink.keep(inspected(frame(k), "fail"), frame(k), None) for k in range(8)]
    assert all(k is not None for k in failed)
    for k, kept in enumerate(passed):
        sink.write(inspected(frame(k), "pass"), kept)
    sink.write(inspected(frame(20), "fail"), failed[0])
    sink.close()
    assert reasons(tmp_path) == [(0, "fail")]
    assert sink.counters["before_fail_missing"] == 3
    assert sink.counters["pictures"] == 1


def test_losses_alone_do_not_pile_up_before_a_fail(tmp_path: Path) -> None:
    sink = sink_in(tmp_path, before_fail=3)
    sink.open()
    for k in range(300):
        deliver(sink, lost(2 * k))
    assert len(sink._waiting) <= 3 + 64
    sink.close()
    assert len(open_recording(tmp_path).entries) == 300


def test_fails_are_deleted_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording_writer, "_SHORTEN_FROM", 8)
    quota = 20_000  # eight pictures with their lines, and some losses
    folder = tmp_path / "e"
    for run in range(3):  # what a picture was kept for outlives a restart
        sink = sink_in(folder, quota_gb=quota / 1e9, overlays=False)
        sink.open()
        for k in range(10 * run, 10 * run + 10):
            verdict: Verdict = "fail" if k in (0, 11) else "invalid"
            deliver(sink, inspected(frame(k), verdict, None if verdict == "fail" else "engine_error"), frame(k))
            deliver(sink, lost(k))
            assert used(folder) <= quota
        sink.close()
    kept = reasons(folder)
    assert kept[:2] == [(0, "fail"), (11, "fail")]
    assert [k for k, _ in kept[2:]] == list(range(kept[2][0], 30))
    assert len(kept) >= 5
    assert not any(isinstance(f, Skip) and f.reason == "unreadable" for f in read_recording(folder))
    sink = sink_in(folder, quota_gb=quota / 1e9, overlays=False)
    sink.open()
    for k in range(30, 42):
        deliver(sink, inspected(frame(k), "fail"), frame(k))
        assert used(folder) <= quota
    sink.close()
    left = reasons(folder)
    assert {why for _, why in left} == {"fail"}
    assert [k for k, _ in left] == list(range(left[0][0], 42))


def test_the_quota_may_be_a_share_of_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = cost_of_one(tmp_path / "one")
    monkeypatch.setattr(disk, "space", lambda _: (10**12, 100 * one))
    sink = sink_in(tmp_path / "e", quota_percent=3.5)
    sink.open()
    for k in range(6):
        deliver(sink, inspected(frame(k), "fail"), frame(k))
    sink.close()
    assert [k for k, _ in reasons(tmp_path / "e")] in ([3, 4, 5], [4, 5])


def test_with_too_little_room_pictures_stop_and_go_on_when_there_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = [900_000_000]
    monkeypatch.setattr(disk, "space", lambda _: (free[0], 10**12))
    monkeypatch.setattr("edge.outputs.evidence.sink.LOOK_S", 0.02)
    sink = sink_in(tmp_path, min_free_gb=1.0)
    output = Queued(sink, 64, "drop")
    output.start()  # no reason not to inspect
    assert output.status().fault == "less than 1 GB free on the disk"
    output.accept(inspected(frame(0), "fail"), frame(0), None)
    until(lambda: output.status().lost == 1)
    free[0] = 2_000_000_000
    until(lambda: output.status().fault is None)
    assert output.status().free_bytes == 2_000_000_000
    output.accept(inspected(frame(1), "fail"), frame(1), None)
    until(lambda: sink.counters["pictures"] == 1)
    free[0] = 900_000_000
    output.accept(inspected(frame(2), "fail"), frame(2), None)
    until(lambda: output.status().fault is not None)
    free[0] = 2_000_000_000
    until(lambda: output.status().fault is None)
    output.close(5)
    assert output.status().lost == 2
    assert [k for k, _ in reasons(tmp_path)] == [1]


@pytest.mark.parametrize("number", REMOTE, ids=errno.errorcode.get)
def test_a_disk_that_is_not_well_at_the_start_is_a_fault_that_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr("edge.outputs.evidence.sink.LOOK_S", 0.02)
    output = Queued(sink_in(tmp_path / "e"), 64, "drop")
    with monkeypatch.context() as ill:
        ill.setattr(recording_writer.os, "open", _raising(number))
        output.start()
        assert output.status().fault == os.strerror(number)
    until(lambda: output.status().fault is None)
    output.accept(inspected(frame(1), "fail"), frame(1), None)
    output.close(5)
    assert (output.status().lost, reasons(tmp_path / "e")) == (0, [(1, "fail")])


def _raising(number: int) -> Any:
    def call(*_args: object) -> int:
        raise OSError(number, os.strerror(number))

    return call


def test_a_folder_that_was_deleted_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.outputs.evidence.sink.LOOK_S", 0.02)
    output = Queued(sink_in(tmp_path / "e"), 64, "drop")
    output.start()
    shutil.rmtree(tmp_path / "e")
    output.accept(inspected(frame(0), "fail"), frame(0), None)
    until(lambda: output.status().lost == 1)
    until(lambda: output.status().fault is None)
    output.accept(inspected(frame(1), "fail"), frame(1), None)
    output.close(5)
    assert reasons(tmp_path / "e") == [(1, "fail")]


def test_samples_keep_within_their_cause_s_quota_over_restarts_and_fails_stay(tmp_path: Path) -> None:
    one = len(encode_png(frame(0).pixels))
    keys = {"keep": ("fail", "sample"), "sample_every": 1, "quota_by_cause_gb": 2.5 * one / 1e9}
    folder = tmp_path / "evidence"
    for start in (0, 10):
        sink = sink_in(folder, **keys)
        sink.open()
        for k in range(start, start + 5):
            deliver(sink, inspected(frame(k), "pass"), frame(k))
        deliver(sink, inspected(frame(start + 5), "fail"), frame(start + 5))
        sink.close()
    entries = open_recording(folder).entries
    assert [entry.why for entry in entries if isinstance(entry, recording_index.RecordedFrame)] == [
        "fail",
        "sample",
        "sample",
        "fail",
    ]


def drifting(of: Frame, drift: dict[str, Any] | None, **changes: Any) -> Record:
    told = inspected(of, "pass")
    return replace(told, body=replace(told.body, drift=drift, **changes))


def test_a_sample_is_tagged_with_the_drift_and_each_cause_has_a_quota_of_its_own(tmp_path: Path) -> None:
    one = len(encode_png(frame(0).pixels))
    keys = {"keep": ("fail", "sample"), "sample_every": 1, "quota_by_cause_gb": 2.5 * one / 1e9, "overlays": False}
    folder = tmp_path / "evidence"
    info = DRIFT | {"level": "info", "cause": "defocus"}
    for start in (0, 20):  # over restarts
        sink = sink_in(folder, **keys)
        sink.open()
        for k in range(start, start + 4):
            deliver(sink, drifting(frame(k), None), frame(k))
        for k in range(start + 4, start + 8):
            deliver(sink, drifting(frame(k), DRIFT), frame(k))
        deliver(sink, drifting(frame(start + 8), info), frame(start + 8))
        deliver(sink, drifting(frame(start + 9), DRIFT, verdict="fail"), frame(start + 9))
        sink.close()
    kept = [e for e in open_recording(folder).entries if isinstance(e, recording_index.RecordedFrame)]
    assert [(e.meta.frame_id, e.cause) for e in kept] == [
        (9, "fail"),
        (23, "sample"),
        (26, "sample gradient"),
        (27, "sample gradient"),
        (28, "sample"),
        (29, "fail"),
    ]
    assert kept[2].meta.drift == DRIFT
    assert [f.meta.drift for f in read_recording(folder) if isinstance(f, Frame)][3] == DRIFT
    tags = [f.tags for f in open_set(folder).frames]
    assert (tags[2]["cause"], tags[2]["drift"]) == ("sample gradient", "gradient")
    assert "drift" not in tags[1]


def test_a_frame_without_drift_has_none_and_one_that_is_no_object_is_damage(tmp_path: Path) -> None:
    sink = sink_in(tmp_path)
    sink.open()
    for k in range(2):
        deliver(sink, inspected(frame(k), "fail"), frame(k))
    sink.close()
    index = tmp_path / "frames.jsonl"
    assert b"drift" not in index.read_bytes()
    entry, _ = open_recording(tmp_path).entries
    assert isinstance(entry, recording_index.RecordedFrame)
    assert (entry.meta.drift, entry.cause) == (None, "fail")
    index.write_bytes(index.read_bytes().replace(b'"late":', b'"drift":[1],"late":', 1))
    assert (len(open_recording(tmp_path).entries), open_recording(tmp_path).missing) == (1, 1)
