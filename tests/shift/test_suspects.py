"""Defective frames among the confirmed ones hide each other, so the others are looked at again without those found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from support.factories import frames_in, lab_bundle, parts

from edge.errors import UserError
from edge.models.robust_outliers import Outlier
from edge.shift import suspects as room
from edge.shift.suspects import suspects


@pytest.fixture
def hiding(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of twelve frames, b0 stands out, b1 once b0 is left out, and so on up to b3."""

    def worst(_bundle: object, frames: Sequence[tuple[str, object]]) -> list[Outlier]:
        bad = sorted(name for name, _ in frames if name.startswith("b"))
        return [Outlier(bad[0], 9.0, 7.0)] if bad else []

    monkeypatch.setattr(room, "_seen", worst)
    monkeypatch.setattr(room, "_among_themselves", lambda *_: ())


def test_frames_that_a_worse_one_hid_are_left_out_too(hiding: None) -> None:
    frames: Any = [*((f"a{n}", None) for n in range(9)), *((f"b{n}", None) for n in range(3))]
    found = suspects(None, frames, "factory")  # type: ignore[arg-type]
    assert found == {f"b{n}": "highest value 9, 7 times the usual spread above the others'" for n in range(3)}


def test_frames_that_come_to_more_than_a_quarter_round_by_round_are_refused(hiding: None) -> None:
    frames: Any = [*((f"a{n}", None) for n in range(8)), *((f"b{n}", None) for n in range(4))]
    with pytest.raises(UserError, match=r"factory: contaminated: too many .*\n  received: 4 of 12: b0, b1, b2, b3"):
        suspects(None, frames, "factory")  # type: ignore[arg-type]


def test_real_defects_are_named_and_no_good_frame_is(tmp_path: Path) -> None:
    bundle = lab_bundle(tmp_path / "lab", frames=24, test=False)
    parts(tmp_path / "line", 14, 5000)
    parts(tmp_path / "line", 4, 7000, rate=1.0)
    frames = [(Path(frame.meta.frame_ref or "").name, frame) for frame in frames_in(tmp_path / "line")]
    assert sorted(suspects(bundle, frames, "factory")) == [f"0{number}.png" for number in range(7000, 7004)]
