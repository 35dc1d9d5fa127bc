"""A word on a frame comes from a browser or a program as JSON, and is checked here before a worker hears of it."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import AfterValidator, Field, ValidationError

from edge.config.yaml_reader import Section
from edge.errors import UserError
from edge.models.sets.class_words import GROUND_TRUTH, is_bad_folder, is_good_folder

INVALID_WORD: Final = "invalid_word"
"""Code of an answer that says that this word is none, however often it is sent; no other answer says so."""
_KIND: Final = re.compile(r"\w(?:[\w .-]{0,46}[\w)-])?")
_TAKEN: Final = frozenset({GROUND_TRUTH, "train", "test", "validation", "unsure", "withdrawn", "unlabelled", "disputed"})
_MOST_PX: Final = 1 << 20

FramePx: TypeAlias = Annotated[float, Field(ge=0, le=_MOST_PX, allow_inf_nan=False)]
DrawnBox: TypeAlias = Annotated[list[FramePx], Field(min_length=4, max_length=4)]
Outline: TypeAlias = Annotated[
    list[Annotated[list[FramePx], Field(min_length=2, max_length=2)]], Field(min_length=3, max_length=200)
]


def checked_kind(kind: str) -> str:
    """Return the name of a kind of defect. Raises ValueError for one that can't be a folder of an export."""
    name = kind.strip()
    if not _KIND.fullmatch(name):
        raise ValueError("up to 48 letters, digits, spaces, dots and dashes: it names a folder of the export")
    if is_good_folder(name) or is_bad_folder(name) or name.casefold() in _TAKEN:
        raise ValueError(f"a kind of defect; {name!r} means something else in the folders of data sets")
    return name


class SaidWord(Section):
    """What one person says about one frame."""

    label: Literal["good", "defect", "unsure"]
    """``unsure``: this person looked and can't tell."""
    kinds: Annotated[tuple[Annotated[str, AfterValidator(checked_kind)], ...], Field(max_length=9)] = ()
    """Kinds of defect that the frame shows."""
    shapes: Annotated[tuple[DrawnBox | Outline, ...], Field(max_length=20)] | None = None
    """Where the defect is: boxes ``[x0, y0, x1, y1]`` and polygons ``[[x, y], ...]``, in pixels of the frame.
    null: what this person drew before."""
    decides: bool | None = None
    """true: this word ends a disagreement, so that earlier words of others don't count until it is taken back. false: it
    ends none, and what your word before ended is open again. null: as your word before."""
    at: str | None = None
    """The frame's time in ns, as details of frames have it; refused where its id means another frame now. null: not
    compared."""
    kept: str | None = None
    """The frame's name, as details of frames have it: with ``at`` the word finds its frame where the frame's id is another
    one now. null: not compared."""
    who: str | None = None
    """Whose word it is meant to be; refused where somebody else is logged in now. null: whoever is."""


def said_word(body: bytes) -> SaidWord:
    """Return the word that a body of JSON is.

    Raises:
        UserError: names the key, what was received and what was expected.
    """
    try:
        word = SaidWord.model_validate_json(body)
    except ValidationError as error:
        raise _not_a_word(error.errors()[0]) from None
    if word.label != "defect" and (word.kinds or word.shapes):
        what = "kinds" if word.kinds else "shapes"
        raise UserError(
            what, received=f"{what} of a frame that is {word.label}", expected="none, or label: defect", code=INVALID_WORD
        )
    return word


def _not_a_word(first: Any) -> UserError:
    place = first["loc"]
    why = str(first.get("ctx", {}).get("error", first["msg"]))
    if len(place) > 1 and place[0] == "shapes":
        place, why = (
            place[:2],
            "a box [x0, y0, x1, y1] or a polygon [[x, y], ...] of 3 to 200 corners, in pixels of the frame",
        )
    return UserError(
        ".".join(map(str, place)) or "body", received=str(first.get("input"))[:80], expected=why, code=INVALID_WORD
    )
