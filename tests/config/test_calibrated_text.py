"""A config that is changed to use a calibration keeps everything else, comments included."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.config.calibrated_text import calibrated_text, lines_to_paste
from edge.config.load import load_config, parse_config

HEAD = "camera: cam1\nsource: {kind: synthetic}\nmodel: {bundle: m}\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (HEAD, HEAD + "regions:\n  threshold: calibrated\n"),
        (HEAD + "regions: {}\n", HEAD + "regions: {threshold: calibrated}\n"),
        (
            HEAD + "regions: {threshold: {high: 2.0, low: 1.0}, border_px: 3}  # why\noutputs: {}\n",
            HEAD + "regions: {threshold: calibrated, border_px: 3}  # why\noutputs: {}\n",
        ),
        (HEAD + "regions: {border_px: 3, threshold: calibrated}\n", None),
        (
            HEAD
            + "regions:\n  # first\n  border_px: 3\n  threshold:     # measured by hand\n    high: 2.0\n\n    low: 1.0\n"
            "  min_area_px: 4\noutputs: {}\n",
            HEAD + "regions:\n  # first\n  border_px: 3\n  threshold: calibrated     # measured by hand\n"
            "  min_area_px: 4\noutputs: {}\n",
        ),
        (HEAD + "regions:\n    border_px: 3\n", HEAD + "regions:\n    threshold: calibrated\n    border_px: 3\n"),
        (
            HEAD
            + "regions:\n  zones:\n    - shape: [0, 0, 1, 1]\n      threshold: {high: 3.0}\n  threshold: {high: 2.0}\n",
            HEAD + "regions:\n  zones:\n    - shape: [0, 0, 1, 1]\n      threshold: {high: 3.0}\n  threshold: calibrated\n",
        ),
    ],
)
def test_the_text_says_what_it_said_and_the_two_keys(before: str, after: str | None) -> None:
    text = calibrated_text(before, "c.yaml")
    without = "".join(line for line in text.splitlines(keepends=True) if line != "calibration: c.yaml\n")
    assert without == (before if after is None else after)
    config = parse_config(text, Path("cam1.yaml"))
    assert (str(config.calibration), config.regions.threshold) == ("c.yaml", "calibrated")
    assert calibrated_text(text, "c.yaml") == text


def test_a_calibration_that_is_named_already_is_replaced_in_its_place() -> None:
    text = HEAD + "calibration: old.yaml   # of March\nregions: {threshold: calibrated}\n"
    assert calibrated_text(text, "new.yaml") == text.replace("old.yaml", "new.yaml")


def test_every_shipped_config_can_be_changed() -> None:
    for path in sorted((Path(__file__).parents[2] / "configs").glob("*.yaml")):
        before = load_config(path)
        after = parse_config(calibrated_text(before.text, "c.yaml"), path)
        regions = before.config.regions.model_copy(update={"threshold": "calibrated"})
        assert after == before.config.model_copy(update={"calibration": Path("c.yaml"), "regions": regions})


def test_the_lines_to_paste_are_yaml() -> None:
    pasted = parse_config(HEAD + lines_to_paste("c.yaml") + "\n", Path("cam1.yaml"))
    assert (str(pasted.calibration), pasted.regions.threshold) == ("c.yaml", "calibrated")
