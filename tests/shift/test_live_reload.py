"""A live line takes an adapted version between two frames, and the old one again, and no frame is lost on either way."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import numpy as np
from support.lines import frame_ids, loaded, records
from support.reloads import Driven

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
