"""Each row of the matrix has a model of its own condition, fitted on nothing else."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from support.judged import fitted, parts_folder
from support.sets import save

from edge.config.bundle import load_bundle
from edge.errors import UserError
from edge.models.evaluate.contest import EvaluateOptions
from edge.models.evaluate.evaluation import evaluate
from edge.models.evaluate.refit import refitted
from edge.models.sets.metadata import described
from edge.models.sets.open import open_set
from edge.models.sets.used import content_id, fitted_on
from edge.sources.synthetic.parts import part_scene
from edge.storage.pictures import read_picture

NAMES = r"part(?P<part>\w+)_day(?P<day>\d)"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A set whose second day is out of focus, with good frames to fit on for each day, and a bundle."""
    root = tmp_path_factory.mktemp("refit")
    parts_folder(root / "set", good=12, bad=8)
    scene, pixels = part_scene("easy", 0, 96, 96), np.empty((96, 96), np.uint8)
    for index in range(24):
        scene.render(9000 + index, 0.0, pixels)
        save(root / "set" / "train" / "good" / f"partf{index:03d}_day{1 + index % 2}.png", pixels)
    for path in (root / "set").rglob("*day2.png"):
        if "ground_truth" not in str(path):
            save(path, np.asarray(cv2.GaussianBlur(read_picture(path), (0, 0), 2.0)))
    return described(open_set(root / "set"), NAMES), fitted(root / "model")


def test_each_model_is_fitted_on_its_own_condition_alone(made, tmp_path):
    source, template = made
    contestants = refitted(source, template, "day", ["1", "2"], tmp_path)
    assert [one.name for one in contestants] == ["1", "2"]
    for one in contestants:
        own = [f for f in source.of("train") if f.tags["day"] == one.name]
        assert fitted_on(load_bundle(one.bundle)) == {content_id(source.read(f).pixels) for f in own}


def test_the_matrix_has_a_model_to_a_row_and_its_own_threshold_fails_elsewhere(made, tmp_path):
    source, template = made
    contestants = refitted(source, template, "day", ["1", "2"], tmp_path)
    told = evaluate(source, contestants, EvaluateOptions(tags=("day",), replicates=20, pixels=False, false_rejects=0.0))[0][
        "matrix"
    ]
    rejected = {(c["row"], c["column"]): c["false_rejects"]["value"] for c in told["cells"]}
    assert rejected["1", "1"] == rejected["2", "2"] == 0.0
    assert rejected["1", "2"] == 1.0


def test_a_set_without_frames_to_fit_on_is_refused(made, tmp_path):
    source, template = made
    alone = replace(source, frames=source.of("test"))
    with pytest.raises(UserError, match=r"has no good frames to fit on\n  received: the sides test"):
        refitted(alone, template, "day", ["1"], tmp_path)
    with pytest.raises(UserError, match=r"no good frame of the side fit has day 3\n  received: frames of day 1, 2 there"):
        refitted(source, template, "day", ["3"], tmp_path)
