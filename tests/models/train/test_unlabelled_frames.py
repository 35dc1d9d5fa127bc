"""Unlabelled frames leak nothing: none is validated on, and features are drawn towards no known defect."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed: scripts/test --all installs it")

from support.trainings import bad_frame, good_frame, network_request, surfaces

from edge.errors import UserError
from edge.models.sets.frame_set import FrameSet
from edge.models.train.encoder_training import trained_encoder
from edge.models.train.epochs import Learned
from edge.models.train.frame_roles import roles_of
from edge.models.train.train import TrainRun, train
from edge.models.train.unlabelled_frames import ids_of_frames, without_judges


def line_frames(root: Path, good: int = 10) -> FrameSet:
    """Good frames of a line, and two that show a defect."""
    frames = [good_frame(root, 400 + number, number) for number in range(good)]
    return FrameSet(root, root, (*frames, bad_frame(root, 90, 90), bad_frame(root, 91, 91)))


def test_frames_that_are_validated_on_and_known_defects_are_left_out_and_counted(tmp_path: Path) -> None:
    line = line_frames(tmp_path)
    judges = frozenset(ids_of_frames(line, (line.frames[2], line.frames[10])))
    learned = without_judges(line, judges)
    assert [frame for frame in line.frames if frame not in learned.frames] == [line.frames[2], line.frames[10]]
    assert learned.left_out == "2 frames that this training is validated on"
    drawn = without_judges(line, judges, good=True)
    assert [frame for frame in line.frames if frame not in drawn.frames] == [line.frames[k] for k in (2, 10, 11)]
    assert drawn.left_out == "2 frames labelled as defective or disputed; 1 frame that this training is validated on"
    assert without_judges(line, ()) == line


def test_a_training_learns_from_none_of_its_judges_though_the_same_set_is_given(tmp_path: Path) -> None:
    source = surfaces(tmp_path / "set", bad=2)
    roles = roles_of(source, 0, labels=True)
    judges = len(roles.validated_good) + len(roles.validated_defects)
    asked = replace(network_request(ssl="masked", align="coral", epochs=1, steps=1), frames=source, factory=source)
    done = train(source, asked, tmp_path / "t", TrainRun(test=False))
    assert done.notes[:2] == (
        f"left out of {source.path}: {judges} frames that this training is validated on",
        f"left out of {source.path}: 2 frames labelled as defective or disputed; {len(roles.validated_good)} frames that "
        "this training is validated on",
    )


@pytest.mark.parametrize("good", [0, 3])
def test_too_few_usable_unlabelled_frames_are_said_and_what_was_left_out(tmp_path: Path, good: int) -> None:
    line = line_frames(tmp_path / "line", good)
    asked = replace(network_request(align="coral", epochs=1, steps=1), factory=line)
    begun: list[str] = []
    with pytest.raises(UserError) as caught:
        train(surfaces(tmp_path / "set"), asked, tmp_path / "t", TrainRun(progress=lambda what, _: begun.append(what)))
    assert not begun, "refused before anything is computed"
    assert str(caught.value) == (
        f"{tmp_path / 'line'}: too few unlabelled frames\n"
        f"  received: {good} that can be used; left out: 2 frames labelled as defective or disputed\n"
        "  expected: at least 8; some hundreds are worth it"
    )


def test_an_encoder_that_stopped_learning_alone_is_said_and_makes_the_training_incomplete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*arguments: Any, **more: Any) -> Learned:
        return replace(trained_encoder(*arguments, **more), stopped="the loss became NaN", not_a_number=True)

    monkeypatch.setattr("edge.models.train.encoder_training.trained_encoder", stopped)
    asked = replace(network_request(ssl="masked", epochs=1, steps=1), frames=line_frames(tmp_path / "line"))
    done = train(surfaces(tmp_path / "set"), asked, tmp_path / "t", TrainRun(test=False))
    assert done.incomplete == ("while the encoder learned alone the loss became NaN",)
    assert done.incomplete[0] in done.notes
