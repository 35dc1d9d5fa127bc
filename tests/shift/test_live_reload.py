"""A live line takes an adapted version between two frames, and the old one again, and no frame is lost on either way."""

from __future__ import annotations

import signal
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
from support.daemons import Manager, daemon
from support.lines import frame_ids, loaded, records
from support.reloads import Driven
from support.waits import PATIENCE_S, until
from typer.testing import CliRunner

from edge.cli import app
from edge.config.bundle import Bundle, load_bundle
from edge.models.graphs import load_model
from edge.models.sets.frame_set import FrameSet
from edge.shift.adaptation import Adaptation
from edge.shift.answers.normalise import put_in_front
from edge.shift.answers.protocol import AnswerRow, Proposal
from edge.shift.bundle_trial import Trial
from edge.shift.factory_frames import FactoryFrames
from edge.shift.rank import AnswerChoice, Tried
from edge.shift.subject import open_subject
from edge.shift.version import undo, write_version


def adapted(old: Bundle, folder: Path) -> Bundle:
    """The version that ``edge adapt`` would write for frames that are a tenth too dark."""
    model = load_model(old.model_path)
    put_in_front(model, np.full(1, 1.1, np.float32), np.zeros(1, np.float32), 8)
    taken = Tried(
        AnswerRow("normalise", "", "normalise"), Proposal("gain 1.1", model, old.spec), Trial(2.0, 0, 20, 0.9, 1.0)
    )
    nothing = FactoryFrames(FrameSet(folder, folder, ()), (16, None), (), (), (), {})
    done = Adaptation(
        subject=open_subject(old.folder, 2.0),
        factory=nothing,
        suspects={},
        frozen=Trial(2.0, 9, 20, 0.9, 1.0),
        lab_recall=None,
        tried=(taken,),
        choice=AnswerChoice(taken, "normalise"),
        limit=0.05,
    )
    return write_version(folder, done)


def test_a_live_line_goes_to_the_new_version_and_back_without_a_lost_frame(tmp_path: Path) -> None:
    config = loaded(tmp_path, "source.fps=null", "source.frames=null")
    old = load_bundle(tmp_path / "bundle")
    new = adapted(old, tmp_path / "v2")
    text = config.path.read_text()
    driven = Driven(config)
    try:
        driven.inspected(15)
        config.path.write_text(text.replace("bundle: bundle", "bundle: v2"))
        driven.reloader.ask()
        driven.wait(lambda: driven.line.recipes.judging.engine.bundle.sha256 == new.sha256)
        driven.inspected(15)
        back = undo(new)
        config.path.write_text(text.replace("bundle: bundle", f"bundle: {back.folder.relative_to(tmp_path.resolve())}"))
        driven.reloader.ask()
        driven.wait(lambda: driven.line.recipes.judging.engine.bundle.sha256 == old.sha256)
        driven.inspected(15)
    finally:
        driven.stop()
    found = records(tmp_path / "log")
    assert frame_ids(found) == list(range(1, len(found) + 1))
    assert {record["kind"] for record in found} == {"inspection"}
    assert [sha for sha, _ in groupby(record["model"]["sha256"] for record in found)] == [
        old.sha256,
        new.sha256,
        old.sha256,
    ]
    assert [record["seq"] for record in found] == list(range(len(found)))


def edge(*words: object) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_a_daemon_is_reloaded_to_the_new_version_and_back_by_undo_without_a_lost_frame(
    tmp_path: Path, manager: Manager
) -> None:
    log, path = tmp_path / "log", tmp_path / "cam1.yaml"

    def judged_by(bundle: Bundle) -> int:
        return sum(file.read_bytes().count(bundle.sha256.encode()) for file in log.glob("*.jsonl"))

    with daemon(tmp_path, manager=manager, sets=["source.fps=null", "source.frames=null", "outputs.zmq={}"]) as process:
        manager.wait_for("READY=1")
        old = load_bundle(tmp_path / "bundle")
        until(lambda: judged_by(old) > 5)
        new = adapted(old, tmp_path / "v2")
        path.write_text(path.read_text().replace("bundle: bundle", "bundle: v2"))
        assert "camera cam1: reloaded" in edge("reload", path)
        until(lambda: judged_by(new) > 5)
        assert f"model {old.sha256[:12]}" in edge("adapt", "--undo", "-m", new.folder, "-o", tmp_path / "v1-again")
        assert load_bundle(tmp_path / "v1-again").sha256 == old.sha256
        path.write_text(path.read_text().replace("bundle: v2", "bundle: v1-again"))
        before = judged_by(old)
        assert "camera cam1: reloaded" in edge("reload", path)
        until(lambda: judged_by(old) > before + 5)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
    found = records(log)
    assert {record["kind"] for record in found} == {"inspection"}
    assert frame_ids(found) == list(range(1, len(found) + 1))
    assert [record["seq"] for record in found] == list(range(len(found)))
    hashes = [sha for sha, _ in groupby(record["model"]["sha256"] for record in found)]
    assert hashes == [old.sha256, new.sha256, old.sha256]
