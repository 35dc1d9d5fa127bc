"""With ``maps: true`` each kept frame's anomaly map lies beside its picture, bit for bit as it was judged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import orjson
import pytest
from support.evidence import frame, inspected, sink_in

from edge.frames import AnomalyMap, Found, Judged
from edge.outputs.evidence.sink import EvidenceSink
from edge.storage.recording import open_recording
from edge.storage.recording_index import RecordedFrame


def judged(k: int, shape: tuple[int, int] = (12, 16)) -> Judged:
    values = np.random.default_rng(k).normal(size=shape).astype(np.float32)
    return Judged(AnomalyMap(values, (2.5, 2.0, 0.0, 1.0), 0.25 * k), Found(np.zeros(shape, np.uint8), (), {}))


def kept_in(folder: Path, count: int, **keys: object) -> EvidenceSink:
    sink = sink_in(folder, maps=True, **keys)
    sink.open()
    for k in range(count):
        record = inspected(frame(k), "fail")
        of = judged(k)
        kept = sink.keep(record, frame(k), of)
        of.amap.values.fill(np.nan)  # the engine takes its buffer again
        sink.write(record, kept)
    return sink


def entries(folder: Path) -> list[RecordedFrame]:
    return [entry for entry in open_recording(folder).entries if isinstance(entry, RecordedFrame)]


def test_a_kept_map_is_bit_for_bit_the_judges_with_its_place_and_score(tmp_path: Path) -> None:
    kept_in(tmp_path, 3).close()
    assert [line["map"] for line in map(orjson.loads, (tmp_path / "frames.jsonl").read_bytes().splitlines())][1] == {
        "file": "maps/00000001.f32",
        "shape": [12, 16],
        "map_to_image": [2.5, 2.0, 0.0, 1.0],
        "score": 0.25,
    }
    assert (tmp_path / "maps/00000001.f32").stat().st_size == 12 * 16 * 4
    for k, entry in enumerate(entries(tmp_path)):
        assert entry.map is not None
        amap = entry.map.load(tmp_path)
        assert amap.values.tobytes() == judged(k).amap.values.tobytes()
        assert (amap.map_to_image, amap.score) == ((2.5, 2.0, 0.0, 1.0), 0.25 * k)


def test_a_frame_without_a_map_is_kept_without_one_and_off_is_the_default(tmp_path: Path) -> None:
    sink = sink_in(tmp_path / "on", maps=True)
    sink.open()
    record = inspected(frame(0), "invalid", "engine_error")
    sink.write(record, sink.keep(record, frame(0), None))
    sink.close()
    off = sink_in(tmp_path / "off")
    off.open()
    off.write(inspected(frame(0), "fail"), off.keep(inspected(frame(0), "fail"), frame(0), judged(0)))
    off.close()
    assert [entry.map for entry in entries(tmp_path / "on") + entries(tmp_path / "off")] == [None, None]
    assert not (tmp_path / "off/maps").exists()


def test_maps_count_in_the_quota_and_go_with_their_pictures(tmp_path: Path) -> None:
    kept_in(tmp_path, 1, overlays=False).close()
    one = sum((tmp_path / name).stat().st_size for name in ("frames/00000000.png", "maps/00000000.f32"))
    quota = 4.5 * one / 1e9
    for _ in range(2):  # the second time they are counted as they lie there
        kept_in(tmp_path, 6, overlays=False, quota_gb=quota).close()
        pictures = sorted(path.stem for path in (tmp_path / "frames").glob("*.png"))
        assert sorted(path.stem for path in (tmp_path / "maps").iterdir()) == pictures
        assert 1 <= len(pictures) <= 4
    assert [entry.number for entry in entries(tmp_path)] == [int(stem) for stem in pictures]


def test_a_map_that_cannot_be_written_leaves_no_half_frame(tmp_path: Path) -> None:
    sink = kept_in(tmp_path, 1)
    (tmp_path / "maps/00000000.f32").unlink()
    (tmp_path / "maps").rmdir()
    (tmp_path / "maps").write_bytes(b"")  # no folder any more
    record = inspected(frame(1), "fail")
    sink.write(record, sink.keep(record, frame(1), judged(1)))
    assert sink.lost == 1
    assert sink.trouble is not None
    assert sorted(path.name for path in (tmp_path / "frames").iterdir()) == ["00000000.png"]
    sink.close()


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (lambda path: path.write_bytes(b"1234"), "not 768 bytes, as 16 x 12 values take"),
        (lambda path: path.unlink(), "No such file or directory"),
    ],
)
def test_a_torn_or_missing_map_says_what_it_lacks(tmp_path: Path, damage: object, text: str) -> None:
    kept_in(tmp_path, 1).close()
    damage(tmp_path / "maps/00000000.f32")  # type: ignore[operator]
    [entry] = entries(tmp_path)
    assert entry.map is not None
    with pytest.raises((OSError, ValueError), match=text):
        entry.map.load(tmp_path)


def test_a_map_outside_its_recording_is_not_read(tmp_path: Path) -> None:
    folder = tmp_path / "e"
    kept_in(folder, 1).close()
    (tmp_path / "other.f32").write_bytes(bytes(768))
    index = folder / "frames.jsonl"
    index.write_bytes(index.read_bytes().replace(b"maps/00000000.f32", b"../other.f32"))
    [entry] = entries(folder)
    assert entry.map is not None
    with pytest.raises(ValueError, match="leads out of"):
        entry.map.load(folder)


def test_a_line_whose_map_makes_no_sense_counts_as_damaged(tmp_path: Path) -> None:
    kept_in(tmp_path, 2).close()
    index = tmp_path / "frames.jsonl"
    first, second = index.read_bytes().splitlines(keepends=True)
    index.write_bytes(first.replace(b'"shape":[12,16]', b'"shape":[12,-16]') + second)
    recording = open_recording(tmp_path)
    assert (len(recording.entries), recording.missing) == (1, 1)
