"""Which shifts that were measured on the line the augmentation of the training covers, and the file that covers them all.

An augmentation file says for each corruption of ``edge.disturb`` the range of strengths that training pictures get, in the
corruption's unit. ``shift.json`` says what was measured: for each cause the range between its 5 % and 95 % quantiles.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import orjson
from pydantic import Field, model_validator

from edge.config.validate import validate
from edge.config.yaml_reader import Section, dump_yaml, read_yaml
from edge.disturb.corruptions import CORRUPTIONS
from edge.disturb.strengths import amount
from edge.errors import UserError

QUIET = 0.5
"""A range within this share of a corruption's weakest step is none: the line shows it no more than the lab did."""
_MARGIN = 0.1
"""Share of the range by which the mended file goes past what was measured."""
CoverState: TypeAlias = Literal["covered", "too narrow", "not there", "quiet", "no corruption"]


class AugmentRange(Section):
    """Strengths that one corruption takes in training, in its unit."""

    low: Annotated[float, Field(alias="from", allow_inf_nan=False)] = 0.0
    """Least strength; below 0 is the opposite direction, such as darker."""
    high: Annotated[float, Field(alias="to", allow_inf_nan=False)]
    """Largest strength."""
    share: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Share of the training pictures that get it."""

    @model_validator(mode="after")
    def _ordered(self) -> AugmentRange:
        if self.low > self.high:
            raise ValueError(f"from {self.low:g} must not lie above to {self.high:g}")
        return self


class AugmentSpec(Section):
    """An augmentation file: which corruptions training pictures get, and how strong."""

    schema_: Annotated[Literal[1], Field(alias="schema")] = 1
    """Version of the file format."""
    augment: dict[str, AugmentRange] = Field(default_factory=dict)
    """Range of each corruption, by its name in ``edge.disturb``."""

    @model_validator(mode="after")
    def _known(self) -> AugmentSpec:
        for name, given in self.augment.items():
            if name not in CORRUPTIONS:
                raise ValueError(f"augment.{name}: no such corruption; expected some of {', '.join(CORRUPTIONS)}")
            if given.low < 0 and not CORRUPTIONS[name].strengths.two_way:
                raise ValueError(f"augment.{name}: from must be at least 0: {name} has one direction only")
        return self


@dataclass(frozen=True, slots=True)
class MeasuredRange:
    """What ``edge shift`` measured of one cause: its 5 % and 95 % quantiles over the line's frames."""

    low: float
    high: float
    unit: str


@dataclass(frozen=True, slots=True)
class Covered:
    """One row of the coverage: what was measured, what training has, and which range would do."""

    cause: str
    measured: MeasuredRange
    given: AugmentRange | None
    state: CoverState
    mended: AugmentRange | None

    @property
    def is_gap(self) -> bool:
        return self.state in ("too narrow", "not there")

    @property
    def summary(self) -> str:
        """The row in words: ``too narrow: measured -12 to 5 %, trained with -8 to 8 %``."""
        unit = self.measured.unit
        span = f"measured {_span(self.measured.low, self.measured.high, unit)}"
        if self.given is None:
            return f"{self.state}: {span}"
        return f"{self.state}: {span}, trained with {_span(self.given.low, self.given.high, unit)}"


def read_augment(path: Path) -> AugmentSpec:
    """Read an augmentation file.

    Raises:
        UserError: it can't be read, or says what no corruption has.
    """
    data, lines, _ = read_yaml(path)
    if not isinstance(data, dict):
        raise UserError(f"{path}: not an augmentation file", received="no mapping of keys", expected="augment: {...}")
    return validate(AugmentSpec, data, path, lines=lines, whole="augmentation file")


def read_measured(path: Path) -> dict[str, MeasuredRange]:
    """The ranges of a ``shift.json`` that ``edge shift`` wrote.

    Raises:
        UserError: it can't be read, or is something else.
    """
    try:
        data: Any = orjson.loads(path.read_bytes())
        if data["kind"] != "edge.shift" or data["schema"] != 1:
            raise ValueError(f"{data['kind']}, schema {data['schema']}")
        found = {
            str(cause): MeasuredRange(float(row["p5"]), float(row["p95"]), str(row["unit"]))
            for cause, row in data["ranges"].items()
        }
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path}: not what edge shift writes",
            received=f"{type(error).__name__}: {error}",
            expected="a shift.json with schema, kind edge.shift and ranges",
            fix="make it: edge shift LAB FACTORY -o shift.html writes shift.json beside the page",
        ) from None
    odd = [cause for cause, row in found.items() if not (math.isfinite(row.low) and row.low <= row.high < math.inf)]
    if odd:
        raise UserError(f"{path}: ranges.{odd[0]}", received=f"{found[odd[0]]}", expected="p5 not above p95, both numbers")
    return found


def coverage(spec: AugmentSpec, measured: Mapping[str, MeasuredRange]) -> tuple[Covered, ...]:
    """Each measured cause against the augmentation, gaps first.

    Raises:
        UserError: a cause was measured in another unit than its corruption has.
    """
    rows = [_row(cause, row, spec.augment.get(cause)) for cause, row in measured.items()]
    return tuple(sorted(rows, key=lambda row: (not row.is_gap, row.cause)))


def mended(spec: AugmentSpec, rows: tuple[Covered, ...]) -> AugmentSpec:
    """The same file with every gap covered; what covers more than was measured stays as it is."""
    ranges = dict(spec.augment) | {row.cause: row.mended for row in rows if row.mended is not None}
    return spec.model_copy(update={"augment": {name: ranges[name] for name in CORRUPTIONS if name in ranges}})


def augment_text(spec: AugmentSpec) -> str:
    """The file as YAML."""
    return dump_yaml(spec.model_dump(mode="json", by_alias=True))


def _row(cause: str, measured: MeasuredRange, given: AugmentRange | None) -> Covered:
    row = CORRUPTIONS.get(cause)
    if row is None:
        return Covered(cause, measured, given, "no corruption", None)
    if measured.unit != row.unit:
        raise UserError(
            f"ranges.{cause}: measured in another unit than the augmentation has",
            received=measured.unit or "no unit",
            expected=row.unit,
            fix="measure again with this version: edge shift",
        )
    low = min(measured.low, 0.0) if row.strengths.two_way else 0.0
    high = max(measured.high, 0.0)
    quiet = QUIET * row.strengths.steps[0]
    if max(-low, high) <= quiet:
        return Covered(cause, measured, given, "quiet", None)
    if given is not None and given.low <= low and high <= given.high:
        return Covered(cause, measured, given, "covered", None)
    reach = _MARGIN * (high - low)
    wider = AugmentRange.model_validate(
        {
            "from": _outwards(low - reach, -1) if low < 0 else 0.0,
            "to": _outwards(high + reach, 1) if high > 0 else 0.0,
            "share": 0.5 if given is None else given.share,
        }
    )
    if given is not None:
        wider = wider.model_copy(update={"low": min(wider.low, given.low), "high": max(wider.high, given.high)})
    return Covered(cause, measured, given, "not there" if given is None else "too narrow", wider)


def _outwards(value: float, way: int) -> float:
    """Rounded to two digits, away from 0."""
    digits = 1 - math.floor(math.log10(abs(value)))
    step = 10.0**-digits
    return round(way * math.ceil(way * value / step - 1e-9) * step, max(digits, 0))


def _span(low: float, high: float, unit: str) -> str:
    return f"{amount(low, '')} to {amount(high, unit)}"
