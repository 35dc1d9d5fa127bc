"""A record's picture is found where evidence or a replay kept it."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.lines import loaded, make_line, records, run

from edge.config.regions import RegionsConfig
from edge.outputs.queued import Queued
from edge.outputs.replay_pictures import PictureSink, WantedPictures
from edge.regions.criteria import Criteria
from edge.storage.pictures import read_picture
from edge.storage.record_pictures import RecordPictures


@pytest.fixture(scope="module")
def line_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A line that kept evidence of its three frames, all fails, and a replay's folder beside it."""
    folder = tmp_path_factory.mktemp("line")
    config = loaded(
        folder,
        "regions.threshold={high: 0.1}",
        "source.frames=3",
        "outputs.evidence={dir: kept}",
    )
    replayed = folder / "again"
    sink = PictureSink(replayed, Criteria(RegionsConfig(), 0.1), WantedPictures(overlays=True), "cam1")
    assert run(make_line(config, more_outputs=[Queued(sink, 8, "wait")])) == 0
    log = next((folder / "log").glob("*.jsonl"))
    (replayed / "records.jsonl").write_bytes(log.read_bytes())
    return folder


def test_evidence_names_the_overlay_of_a_record_and_the_name_says_which(line_folder: Path) -> None:
    told = records(line_folder / "log")
    kept = RecordPictures([line_folder / "kept", line_folder / "nothing"])
    assert kept.folders == [line_folder / "kept"]
    assert len(kept) == 3
    for record in told:
        picture = kept.of(record["instance_id"], record["seq"])
        assert picture is not None
        assert picture.parent.name == "overlays"
        assert f"-seq{record['seq']}-{record['camera']}-" in picture.name
        assert read_picture(picture).shape[2] == 3
    assert kept.of("another run", 0) is None
    assert kept.of(told[0]["instance_id"], 3) is None


def test_without_an_overlay_the_frame_itself_is_named(line_folder: Path) -> None:
    told = records(line_folder / "log")
    kept = RecordPictures([line_folder / "kept"])
    overlay = kept.of(told[1]["instance_id"], 1)
    assert overlay is not None
    held = overlay.read_bytes()
    overlay.unlink()
    try:
        assert kept.of(told[1]["instance_id"], 1) is None  # gone since the folder was read
        again = RecordPictures([line_folder / "kept"]).of(told[1]["instance_id"], 1)
        assert again == line_folder / "kept" / "frames" / "00000001.png"
    finally:
        overlay.write_bytes(held)


def test_a_replays_pictures_belong_to_its_records(line_folder: Path) -> None:
    told = records(line_folder / "log")
    kept = RecordPictures([line_folder / "again"])
    pictures = [kept.of(record["instance_id"], record["seq"]) for record in told]
    assert [None if path is None else path.name[:14] for path in pictures] == [f"{k:08d}-cam1-" for k in range(3)]


def test_an_overlay_that_an_emptied_folder_left_is_of_no_later_frame(line_folder: Path) -> None:
    told = records(line_folder / "log")
    stale = [
        line_folder / "kept" / "overlays" / name
        for name in ("00000001-seq77-cam1-frame1.jpg", "00000001-seq1-cam1-20010203T040506+0000-frame1.jpg")
    ]
    for path in stale:
        path.write_bytes(b"another frame's")
    try:
        pictures = [RecordPictures([line_folder / "kept"]).of(record["instance_id"], record["seq"]) for record in told]
        assert [picture is not None and picture.parent.name == "overlays" for picture in pictures] == [True] * 3
        assert set(pictures).isdisjoint(stale)
    finally:
        for path in stale:
            path.unlink()
