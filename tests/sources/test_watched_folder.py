"""A folder into which a camera puts pictures: each is taken once, whole, in natural order, and nothing old is a pass."""

from __future__ import annotations

import errno
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.lines import frame_ids, loaded, make_line, records
from support.takes import take
from support.waits import until

from edge.config.sources import WatchedFolderConfig
from edge.errors import UserError
from edge.frames import Payload, Skip
from edge.line.run import run_line
from edge.sources.folder_watch import FolderWatch, file_identity
from edge.sources.open import check_source, device_findings, open_source
from edge.sources.taken_files import TakenFiles
from edge.sources.watched_folder import WatchedFolderSource
from edge.storage.pictures import encode_jpeg, encode_png


def picture(level: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(level).integers(0, 255, (24, 32), np.uint8)


def put(path: Path, data: bytes | None = None, *, level: int | None = None) -> Path:
    """As a camera does: under another name first, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.part")
    half.write_bytes(encode_png(picture(abs(hash(path.name)) if level is None else level)) if data is None else data)
    half.rename(path)
    return path


@contextmanager
def watching(folder: Path, *, there: bool = True, **keys: Any) -> Iterator[WatchedFolderSource]:
    """A source that has had its first look, if there is something to look at."""
    config = WatchedFolderConfig(kind="watched_folder", path=folder, **{"settle_s": 0.0, **keys})
    source = WatchedFolderSource(config, folder.parent, look_s=0.005)
    source.open()
    try:
        if there:
            until(lambda: source.status().state == "waiting_for_trigger")
        yield source
    finally:
        source.close()


def brief(items: list[Payload | Skip]) -> list[Any]:
    return [i.meta.frame_ref if isinstance(i, Payload) else (i.reason, i.frame_ref) for i in items]


def nothing(source: WatchedFolderSource, looks: int = 20) -> None:
    assert [source.read(0.01) for _ in range(looks)] == [None] * looks


def test_pictures_come_once_in_natural_order_and_what_lay_there_is_left_alone(tmp_path: Path) -> None:
    put(tmp_path / "in" / "old.png")
    with watching(tmp_path / "in") as source:
        assert not source.simulated
        nothing(source)
        stage = tmp_path / "stage"
        for n in (10, 9, 2):
            put(stage / f"part_{n}.png", level=n)
        shutil.copy(stage / "part_9.png", stage / "notes.txt")
        stage.rename(tmp_path / "in" / "2026-11-30")  # all at one moment
        items = take(source, 3)
        assert brief(items) == [f"2026-11-30/part_{n}.png" for n in (2, 9, 10)]
        first = items[0]
        assert isinstance(first, Payload)
        meta = first.meta
        assert (meta.frame_id, meta.frame_id_source, meta.width, meta.height, meta.pixel_format, meta.late) == (
            *(0, "counted", 32, 24),
            *("Mono8", False),
        )
        np.testing.assert_array_equal(first.data.reshape(24, 32), picture(2))
        nothing(source)
        status = source.status()
        assert (status.announced, status.counters["frames"], status.counters["passed_over"]) == (3, 3, 1)


def test_a_new_folder_per_day_is_found_and_so_are_pictures_in_those_that_were_there(tmp_path: Path) -> None:
    put(tmp_path / "mon" / "a.png")
    with watching(tmp_path) as source:
        put(tmp_path / "tue" / "cam" / "b.png")
        put(tmp_path / "mon" / "c.png")
        assert sorted(map(str, brief(take(source, 2)))) == ["mon/c.png", "tue/cam/b.png"]


def test_a_picture_that_is_written_in_place_is_taken_when_it_is_whole(tmp_path: Path) -> None:
    data = encode_jpeg(np.dstack([picture(1)] * 3))
    with watching(tmp_path) as source:
        path = tmp_path / "a.jpg"
        path.write_bytes(data[: len(data) // 2])
        nothing(source)
        with path.open("ab") as file:
            file.write(data[len(data) // 2 :])
        (item,) = take(source, 1)
        assert isinstance(item, Payload)
        assert (item.meta.frame_ref, item.meta.pixel_format) == ("a.jpg", "RGB8")
        assert source.status().announced == 1


def test_zeros_up_to_the_full_size_are_no_picture_yet(tmp_path: Path) -> None:
    """A server that was told the size makes room first."""
    data = encode_png(picture(1))
    with watching(tmp_path) as source:
        with (tmp_path / "a.png").open("wb") as file:
            file.truncate(len(data))
            file.flush()
            nothing(source)
            file.write(data)
        assert brief(take(source, 1)) == ["a.png"]


def test_a_half_picture_holds_up_those_after_it_and_is_lost_when_it_stays_half(tmp_path: Path) -> None:
    with watching(tmp_path, incomplete_after_s=0.3) as source:
        (tmp_path / "part_1.png").write_bytes(encode_png(picture(1))[:200])
        put(tmp_path / "part_2.png")
        assert brief(take(source, 2)) == [("incomplete", "part_1.png"), "part_2.png"]
        nothing(source)
        assert source.status().counters["incomplete"] == 1


def test_an_upload_that_takes_long_holds_up_the_others_only_for_a_while(tmp_path: Path) -> None:
    stop = threading.Event()
    with watching(tmp_path, incomplete_after_s=0.3, settle_s=0.05) as source:

        def slow() -> None:
            with (tmp_path / "a.png").open("wb") as file:
                while not stop.wait(0.01):
                    file.write(b"\x89")
                    file.flush()

        writer = threading.Thread(target=slow)
        writer.start()
        try:
            until(lambda: (tmp_path / "a.png").exists())
            put(tmp_path / "b.png")
            assert brief(take(source, 1)) == ["b.png"]
        finally:
            stop.set()
            writer.join()
        assert brief(take(source, 1)) == [("incomplete", "a.png")]


def test_a_picture_that_is_deleted_before_it_was_read_is_a_loss(tmp_path: Path) -> None:
    with watching(tmp_path) as source:
        (tmp_path / "a.png").write_bytes(b"\x89PNG")
        until(lambda: (source.read(0.01), source.status().counters["waiting"])[1] == 1)
        (tmp_path / "a.png").unlink()
        assert brief(take(source, 1)) == [("unreadable", "a.png")]
        nothing(source)


def test_a_file_that_is_renamed_is_one_picture_before_it_is_taken_and_after(tmp_path: Path) -> None:
    data = encode_png(picture(3))
    with watching(tmp_path) as source:
        (tmp_path / "upload.png").write_bytes(data[:-8])
        until(lambda: (source.read(0.01), source.status().counters["waiting"])[1] == 1)
        (tmp_path / "upload.png").rename(tmp_path / "part.png")
        nothing(source, 5)
        with (tmp_path / "part.png").open("ab") as file:
            file.write(data[-8:])
        assert brief(take(source, 1)) == ["part.png"]
        (tmp_path / "kept").mkdir()
        (tmp_path / "part.png").rename(tmp_path / "kept" / "part_1.png")
        nothing(source)
        assert source.status().announced == 1


@pytest.mark.parametrize("names", [1, 3])
def test_a_camera_that_writes_to_the_same_names_again_is_heard_each_time(tmp_path: Path, names: int) -> None:
    with watching(tmp_path) as source:
        for n in range(7):
            (tmp_path / f"snap{n % names}.png").write_bytes(encode_png(picture(n)))
            (item,) = take(source, 1)
            assert isinstance(item, Payload)
            np.testing.assert_array_equal(item.data.reshape(24, 32), picture(n))


def test_a_picture_that_repeats_the_last_one_is_a_loss(tmp_path: Path) -> None:
    """It would get the last part's verdict."""
    with watching(tmp_path) as source:
        put(tmp_path / "a.png", level=1)
        assert brief(take(source, 1)) == ["a.png"]
        put(tmp_path / "b.png", level=1)
        put(tmp_path / "c.png", level=2)
        assert brief(take(source, 2)) == [("bad_payload", "b.png"), "c.png"]


@pytest.mark.parametrize("taken", ["delete", "move"])
def test_what_was_taken_goes_away_when_the_line_has_its_pixels(tmp_path: Path, taken: str) -> None:
    folder, kept = tmp_path / "in", tmp_path / "kept"
    put(kept / "day" / "a.png")
    folder.mkdir()
    with watching(folder, taken=taken, **({"move_to": kept} if taken == "move" else {})) as source:
        put(folder / "day" / "a.png", level=5)
        take(source, 1)
        assert (folder / "day" / "a.png").exists()
        nothing(source, 5)
        until(lambda: (source.read(0.01), not (folder / "day" / "a.png").exists())[1])
        put(folder / "day" / "b.png", level=6)
        take(source, 1)
    assert not (folder / "day" / "b.png").exists(), "closed: nothing waits any more"
    moved = {"a.png", "a-1.png", "b.png"} if taken == "move" else {"a.png"}
    assert {path.name for path in (kept / "day").iterdir()} == moved


def test_a_picture_that_overwrites_a_taken_one_is_not_deleted_unseen(tmp_path: Path) -> None:
    with watching(tmp_path, taken="delete") as source:
        (tmp_path / "snap.png").write_bytes(encode_png(picture(1)))
        take(source, 1)
        (tmp_path / "snap.png").write_bytes(encode_png(picture(2)))
        (item,) = take(source, 1)
        assert isinstance(item, Payload)
        np.testing.assert_array_equal(item.data.reshape(24, 32), picture(2))


def test_at_a_restart_what_was_left_is_inspected_but_is_no_pass(tmp_path: Path) -> None:
    put(tmp_path / "part_10.png")
    put(tmp_path / "part_9.png")
    with watching(tmp_path, at_start="take", taken="delete") as source:
        items = take(source, 2)
        put(tmp_path / "part_11.png")
        items += take(source, 1)
    assert brief(items) == ["part_9.png", "part_10.png", "part_11.png"]
    assert [isinstance(item, Payload) and item.meta.late for item in items] == [True, True, False]


def test_a_file_that_says_it_was_written_long_ago_is_late(tmp_path: Path) -> None:
    """Copied in, or held up on the way: it is not of now, whenever it appeared."""
    for late_after_s in (10.0, None):
        folder = tmp_path / str(late_after_s)
        folder.mkdir()
        with watching(folder, late_after_s=late_after_s) as source:
            aside = put(tmp_path / "a.png")
            os.utime(aside, (time.time() - 60, time.time() - 60))
            aside.rename(folder / "a.png")
            (item,) = take(source, 1)
            assert isinstance(item, Payload)
            assert item.meta.late == (late_after_s is not None)


def test_a_frame_s_age_counts_from_when_its_file_can_first_have_been_there(tmp_path: Path) -> None:
    with watching(tmp_path) as source:
        before_ns = time.monotonic_ns()
        put(tmp_path / "a.png")
        put(tmp_path / "b.png")
        after_ns = time.monotonic_ns()
        time.sleep(0.05)  # nobody reads: b waits
        items = take(source, 2)
    for item in items:
        assert isinstance(item, Payload)
        assert item.meta.received_mono_ns <= after_ns
        assert item.meta.received_mono_ns > before_ns - 5_000_000_000, "since the look before"


def test_a_folder_that_is_not_there_is_waited_for_and_one_that_goes_is_lost(tmp_path: Path) -> None:
    folder = tmp_path / "share"
    with watching(folder, there=False) as source:
        until(lambda: (source.read(0.01), source.status().state)[1] == "backoff")
        assert source.status().detail == f"{folder}: No such file or directory"
        put(tmp_path / "mounted" / "a.png")
        (tmp_path / "mounted").rename(folder)
        until(lambda: (source.read(0.01), source.status().state)[1] == "waiting_for_trigger")
        assert source.status().counters["passed_over"] == 1, "it may have lain there for years"
        put(folder / "b.png")
        take(source, 1)
        shutil.rmtree(folder)
        until(lambda: (source.read(0.01), source.status().state)[1] == "lost")
        folder.mkdir()
        put(folder / "c.png")
        assert brief(take(source, 1)) == ["c.png"]
        assert source.status().counters["reconnects"] == 1


def test_another_file_system_in_the_folder_s_place_is_full_of_old_pictures(tmp_path: Path) -> None:
    """A share that is mounted after the start."""
    watch = FolderWatch(tmp_path, settle_s=0.0, incomplete_after_s=1.0, take_old=False)

    def new(name: str, now: float) -> str | None:
        put(tmp_path / name)
        watch.look(now)
        file = watch.ready(now)
        if file is None:
            return None
        watch.took(file)
        return file.name

    watch.look(0.0)
    assert new("a.png", 1.0) == "a.png"
    watch._device = -1
    assert new("b.png", 2.0) is None
    assert watch.passed_over == 1
    assert new("c.png", 3.0) == "c.png"


def test_silence_is_a_fault_only_where_the_config_says_so(tmp_path: Path) -> None:
    with watching(tmp_path) as source:
        nothing(source)
        assert source.status().state == "waiting_for_trigger"
    with watching(tmp_path, silent_after_s=0.05) as source:
        until(lambda: (source.read(0.01), source.status().state)[1] == "silent")
        assert source.status().detail == f"{tmp_path}: no new picture for 0.05 s"
        assert source.status().counters["timeouts"] >= 1


def test_pictures_that_come_faster_than_they_are_inspected_are_a_problem_and_none_is_lost(tmp_path: Path) -> None:
    with watching(tmp_path, late_after_s=0.05) as source:
        for n in range(120):
            put(tmp_path / f"{n}.png", level=n)
        first = take(source, 1)
        until(lambda: source.status().problem is not None)
        problem = source.status().problem
        assert problem is not None
        assert problem.endswith(" pictures wait: they come faster than the line inspects")
        assert brief(first + take(source, 119)) == [f"{n}.png" for n in range(120)]
        assert source.status().problem is None


def test_more_pictures_than_the_ring_takes_all_get_their_record_in_order(tmp_path: Path) -> None:
    """The whole line, with four slots and a slow model."""
    folder = tmp_path / "in"
    folder.mkdir()
    config = loaded(tmp_path, f"source={{kind: watched_folder, path: {folder}, settle_s: 0}}", "ring.slots=4")
    source = open_source(config.config.source, "cam1", tmp_path)
    line = make_line(config, before=lambda _index: time.sleep(0.002), source=source)
    stop = threading.Event()
    line.start(stop)

    def turn(line: Any, _health: object) -> None:
        if source.status().state == "waiting_for_trigger" and not (folder / "0.png").exists():
            stage = tmp_path / "stage"
            for n in range(60):
                put(stage / f"{n}.png", level=n)
            for n in range(60):
                (stage / f"{n}.png").rename(folder / f"{n}.png")
        if line.tally.accounted == 60:
            stop.set()

    assert run_line(line, stop, turn) == 0
    found = records(tmp_path / "log")
    assert frame_ids(found) == list(range(60))
    assert [record["frame_ref"] for record in found] == [f"{n}.png" for n in range(60)]
    assert {(record["kind"], record["simulated"]) for record in found} == {("inspection", False)}


def test_links_that_lead_back_and_files_that_are_none_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe.png")
    with watching(tmp_path) as source:
        put(tmp_path / ".hidden.png")
        put(tmp_path / "a.png")
        assert brief(take(source, 1)) == ["a.png"]
        nothing(source)


def refused(folder: Path, **keys: Any) -> str:
    config = WatchedFolderConfig(kind="watched_folder", **keys)
    told = []
    for refusing in (lambda: check_source(config, folder), lambda: WatchedFolderSource(config, folder).open()):
        with pytest.raises(UserError) as caught:
            refusing()
        told.append(str(caught.value))
    assert told[0] == told[1]
    return told[0]


def test_a_file_in_the_folder_s_place_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "a.png")
    assert refused(tmp_path, path=Path("a.png")) == (
        f"source.path: a file, not a folder\n  received: {tmp_path}/a.png\n"
        f"  expected: the folder into which the camera puts its pictures\n  fix: name its folder: {tmp_path}"
    )


def test_a_target_inside_the_folder_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path, path=Path("in"), taken="move", move_to=Path("in/done")) == (
        f"source.move_to: inside of source.path\n  received: {tmp_path}/in/done\n"
        "  expected: a folder outside, or moved pictures would be taken again"
    )


def test_a_target_on_another_file_system_gets_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sandbox that binds two folders makes two of one file system."""

    def rename(_path: object, _target: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    put(tmp_path / "in" / "day" / "a.png", level=3)
    data = (tmp_path / "in" / "day" / "a.png").read_bytes()
    os.utime(tmp_path / "in" / "day" / "a.png", (1e9, 1e9))
    monkeypatch.setattr("edge.sources.taken_files.os.rename", rename)
    identity = file_identity(tmp_path / "in" / "day" / "a.png")
    assert identity is not None
    taken = TakenFiles(tmp_path / "in", delete=False, move_to=tmp_path / "done")
    taken.add("day/a.png", identity)
    taken.settle()
    assert taken.problem is None
    assert (tmp_path / "done" / "day" / "a.png").read_bytes() == data
    assert (tmp_path / "done" / "day" / "a.png").stat().st_mtime == 1e9
    assert [path.name for path in (tmp_path / "in" / "day").iterdir()] == []
    assert [path.name for path in (tmp_path / "done" / "day").iterdir()] == ["a.png"]


def test_rights_that_are_missing_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in").mkdir()
    lacking: list[int] = []
    monkeypatch.setattr(os, "access", lambda _path, mode, **_: not any(mode & bit for bit in lacking))
    lacking.append(os.W_OK)
    assert refused(tmp_path, path=Path("in"), taken="delete") == (
        f"source.taken: delete: this user may not take files out of the folder\n  received: {tmp_path}/in\n"
        "  fix: give the group edge w on the folder, or taken: keep"
    )
    lacking.append(os.R_OK)
    assert refused(tmp_path, path=Path("in")) == (
        f"source.path: this user may not read the folder\n  received: {tmp_path}/in\n  fix: give the group edge r and x"
    )


def test_pictures_that_cannot_be_taken_away_are_a_problem_until_they_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unlink(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    with watching(tmp_path, taken="delete") as source:
        with monkeypatch.context() as patched:
            patched.setattr(os, "unlink", unlink)
            put(tmp_path / "a.png")
            take(source, 1)
            until(lambda: (source.read(0.01), source.status().problem)[1] is not None)
        assert source.status().problem == f"taken pictures stay where they are: {tmp_path}/a.png: Permission denied"
        put(tmp_path / "b.png")
        take(source, 1)
        until(lambda: (source.read(0.01), source.status().problem)[1] is None)
        nothing(source)
        assert (tmp_path / "a.png").exists()


def test_doctor_says_what_it_would_find(tmp_path: Path) -> None:
    def findings(path: str) -> list[tuple[str, str]]:
        config = WatchedFolderConfig(kind="watched_folder", path=Path(path))
        return [(found.level, found.text) for found in device_findings(config, tmp_path)]

    put(tmp_path / "in" / "day" / "a.png")
    assert findings("in") == [("ok", f"{tmp_path}/in: 1 pictures there now, at a start left alone")]
    (tmp_path / "in" / "b.webp").write_bytes(b"RIFF")
    assert findings("in")[1] == ("warn", f"{tmp_path}/in: files of kinds that are not read: .webp")
    assert findings("none") == [("warn", f"{tmp_path}/none is not there; the daemon waits for it")]
    assert findings("in/day/a.png")[0][0] == "fail"


def test_a_hanging_file_system_is_lost_and_read_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hold = threading.Event()
    with watching(tmp_path) as source:
        look: Callable[[float], None] = source._watch.look
        monkeypatch.setattr(source._watch, "look", lambda now: (hold.wait(20), look(now))[1])
        monkeypatch.setattr("edge.sources.watched_folder.HELD_S", 0.05)
        until(lambda: (source.read(0.01), source.status().state)[1] == "lost")
        assert source.status().detail == f"{tmp_path}: the file system does not answer"
        hold.set()
        put(tmp_path / "a.png")
        assert brief(take(source, 1)) == ["a.png"]
