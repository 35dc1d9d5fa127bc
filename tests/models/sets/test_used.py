"""Frames that were used before are refused by what they show, whatever they are called now."""

import io

import numpy as np
import orjson
import pytest
from support.sets import picture

from edge.errors import UserError
from edge.models.sets.used import STATISTICS, UsedFrames, _noted, content_id, ids_of, refuse_used


def test_the_same_pixels_have_one_id_and_others_another():
    assert content_id(picture(1)) == content_id(picture(1).copy(order="F"))
    assert content_id(picture(1)) != content_id(picture(2))
    assert len(content_id(picture(1))) == 16


def test_what_is_written_is_read_and_anything_else_says_nothing():
    used = UsedFrames()
    for seed in (3, 1, 2, 3):
        used.add(picture(seed))
    assert len(ids_of(used.text)) == 3
    assert ids_of(used.text) == used.ids
    assert ids_of(None) == ids_of(7) == frozenset()


def test_the_notes_of_a_fit_are_read(tmp_path):
    buffer = io.BytesIO()
    np.savez(buffer, notes=np.frombuffer(orjson.dumps({"contents": ["ab", "cd"]}), np.uint8))
    (tmp_path / STATISTICS).write_bytes(buffer.getvalue())
    assert _noted(tmp_path / STATISTICS) == {"ab", "cd"}
    (tmp_path / STATISTICS).write_bytes(b"something else")
    assert _noted(tmp_path / STATISTICS) == _noted(tmp_path / "none.npz") == frozenset()


def test_frames_that_were_used_are_named_and_counted():
    used = frozenset({"a", "b"})
    refuse_used(used, [("x.png", "c")], "the model was fitted on", "take others")
    refuse_used(frozenset(), [("x.png", "a")], "the model was fitted on", "take others")
    with pytest.raises(UserError) as caught:
        refuse_used(
            used, [(f"{n}.png", "a") for n in range(7)] + [("y.png", "z")], "the model was fitted on", "take others"
        )
    assert str(caught.value) == (
        "7 of 8 frames are among those that the model was fitted on, so figures on them say nothing\n"
        "  received: 0.png, 1.png, 2.png, 3.png, 4.png and 2 more\n"
        "  expected: frames that it has never seen\n"
        "  fix: take others; or say --seen-before to go on all the same"
    )
