"""The anomaly map is found among a model's outputs by its name, and where names compete the user is asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.errors import UserError
from edge.models.build.foreign import find_map

MAP = np.zeros((1, 1, 8, 8), np.float32)
SCORE = np.zeros((1, 1), np.float32)


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        (["anomaly_map"], "anomaly_map"),
        (["Anomaly_Map", "map"], "Anomaly_Map"),
        (["features", "map"], "map"),
        (["heatmap", "features"], "heatmap"),
        (["anything"], "anything"),
    ],
)
def test_a_map_is_taken_by_its_name_or_where_there_is_no_other(names: list[str], taken: str) -> None:
    outputs = dict.fromkeys(names, MAP) | {"pred_score": SCORE}
    assert find_map(outputs, 1, Path("m.onnx"), None) == taken


@pytest.mark.parametrize("names", [["map", "anomaly_map_raw"], ["heatmap", "raw_anomaly"], ["score_map", "Anomalies"]])
def test_an_output_called_map_does_not_win_over_one_that_speaks_of_anomalies(names: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        find_map(dict.fromkeys(names, MAP), 1, Path("m.onnx"), None)
    assert str(caught.value).startswith("m.onnx: several outputs may be the anomaly map\n")
    assert all(name in str(caught.value) for name in names)
    assert str(caught.value).endswith("fix: say which: --map NAME")
    assert find_map(dict.fromkeys(names, MAP), 1, Path("m.onnx"), names[1]) == names[1]


def test_what_speaks_of_anomalies_but_is_no_map_does_not_compete() -> None:
    assert find_map({"map": MAP, "anomaly_score": SCORE}, 1, Path("m.onnx"), None) == "map"
