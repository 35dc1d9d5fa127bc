"""A Python program inspects single pictures here, with the very halves of an inspection that the daemon's stages call."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypeAlias

import numpy as np
import orjson
from numpy.typing import NDArray

from edge.config.bundle import load_bundle
from edge.config.line import Config
from edge.config.load import Loaded, load_config
from edge.config.validate import validate
from edge.config.yaml_reader import dump_yaml
from edge.engines.protocol import Engine
from edge.engines.registration import ready_workspace
from edge.engines.to_map import to_map
from edge.errors import UserError
from edge.frames import AnomalyMap, Found, Frame, Inspection, Region, Rejected, RunIdentity, Skip, Unmapped, Verdict
from edge.line.model_view import ModelViews
from edge.line.recipe import open_model
from edge.preprocess.pixel_formats import to_depth
from edge.regions.criteria import Criteria
from edge.regions.to_inspection import to_inspection
from edge.report.colour_scale import Scale
from edge.report.explain import Basis, draw_explanation
from edge.report.inspected_part import InspectedPart
from edge.report.marks import MaskOnFrame
from edge.report.overlay import draw_overlay
from edge.report.picture_names import PictureOf
from edge.report.shown import ShownPicture
from edge.storage.find_pictures import SUFFIXES
from edge.storage.frames_on_disk import counted_frame, read_frames
from edge.storage.pictures import PictureError, decode_with_bits, decoded_format, picture_bytes
from edge.wire.encode import Wire

_Path: TypeAlias = "str | PathLike[str]"
_Threshold: TypeAlias = "float | tuple[float, float]"
_PYTHON = "python"


@dataclass(frozen=True, slots=True)
class InspectionResult:
    """A result holds what was decided about one picture, and what it rests on. It is the caller's own: the next call
    changes nothing in it.

    ``map``: float32 (h, w), the model's raw values. ``mask``: uint8 (h, w), 255 on the pixels of regions. Both are in map
    pixels: an edge at x in them lies at ``x * sx + ox`` in the picture, with ``sx, sy, ox, oy = map_to_image``. They are
    None if there is no map, as with ``invalid: frame_size``. ``dropped``: the candidates that filters dropped, their boxes
    in map pixels.
    """

    verdict: Verdict
    reason: str | None
    regions: tuple[Region, ...]
    dropped: tuple[Rejected, ...]
    map: NDArray[np.float32] | None
    mask: NDArray[np.uint8] | None
    score: float | None
    map_max: float | None
    threshold: float
    map_to_image: tuple[float, float, float, float] | None
    record: dict[str, Any]
    """The record that a replay of this picture writes; docs/record.md names its fields."""
    _frame: Frame
    _inspection: Inspection
    _judged: tuple[AnomalyMap, Found] | None
    _line: OpenedLine

    def overlay(self) -> ShownPicture:
        """Draw the picture with the regions' boxes and the verdict: (H, W, 3) RGB uint8, which notebooks show."""
        mask = None if self._judged is None else MaskOnFrame(self._judged[1].mask, self._judged[0].map_to_image)
        part, of = InspectedPart.of(self._line.criteria), PictureOf(self._line.loaded.config.camera)
        return ShownPicture.of(draw_overlay(self._frame, self._inspection, part, of, mask=mask))

    def explain(self) -> ShownPicture:
        """Draw picture, what the model saw, map and candidates side by side, with what each filter
        dropped: (H, W, 3) RGB uint8.
        """
        line = self._line
        basis = None if self._judged is None else Basis(*self._judged)
        part, of = InspectedPart.of(line.criteria), PictureOf(line.loaded.config.camera)
        scale, seen = Scale.of(line.criteria), line.views.of(self._frame)
        return ShownPicture.of(draw_explanation(self._frame, self._inspection, basis, scale, part, of, seen=seen))

    def __repr__(self) -> str:
        why = "" if self.reason is None else f": {self.reason}"
        highest = "" if self.map_max is None else f", highest {self.map_max:.4g}"
        return f"<{self.verdict}{why}, {len(self.regions)} regions{highest}, threshold {self.threshold:.4g}>"


class OpenedLine:
    """A line is open in this program: its model is loaded and warm. One thread at a time may call it; close it, or use
    ``with``.
    """

    def __init__(self, loaded: Loaded) -> None:
        """Load the model and the criteria of a config.

        Raises:
            UserError: a bundle, calibration or ROI that can't be used.
        """
        self.loaded = loaded
        self._engine: Engine | None
        self._engine, self.criteria = _opened(loaded)
        self.views = ModelViews(self._engine.bundle)
        self._workspace = ready_workspace(self._engine.bundle)
        self._wire = Wire(_identity(loaded, self._engine, self.criteria))
        self._count = 0

    def inspect(self, picture: NDArray[Any] | _Path, *, bits: int | None = None) -> InspectionResult:
        """Inspect one picture as the line would.

        Args:
            picture: the path of a PNG, JPEG, TIFF or BMP file, or an array: (H, W) grey or (H, W, 3) in the order **RGB**
                (``cv2.imread`` gives BGR: turn it round), uint8, or uint16 with its values at the low end.
            bits: how many low bits of 16 count; None: as the file says, all of an array's.

        Raises:
            UserError: no such file, no picture, damaged, or an array of another shape or type. Whatever the runtime
                raises passes through.
        """
        if self._engine is None:
            raise UserError("the line was closed", fix="open it again: edge.open(...)")
        number = self._count
        frame = _from_array(picture, bits, number) if isinstance(picture, np.ndarray) else _from_file(picture, bits, number)
        self._count += 1
        frame = to_depth(frame, *self.loaded.config.source.levels)
        amap = self.criteria.frames.doubt(frame) or to_map(frame, self._engine, self._workspace)
        inspection, found = to_inspection(frame, amap, self.criteria)
        record = orjson.loads(self._wire.inspection(number, inspection, time.time_ns()).line)
        judged = None if found is None or isinstance(amap, Unmapped) else _kept(amap, found)
        return InspectionResult(
            verdict=inspection.verdict,
            reason=inspection.reason,
            regions=inspection.regions,
            dropped=judged[1].rejected if judged else (),
            map=judged[0].values if judged else None,
            mask=judged[1].mask if judged else None,
            score=inspection.score,
            map_max=inspection.map_max,
            threshold=inspection.threshold,
            map_to_image=judged[0].map_to_image if judged else None,
            record=record,
            _frame=frame,
            _inspection=inspection,
            _judged=judged,
            _line=self,
        )

    def close(self) -> None:
        """Free the model."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def __enter__(self) -> OpenedLine:  # noqa: PYI034  (Self is of Python 3.11)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def open_line(
    what: _Path,
    *,
    threshold: _Threshold | None = None,
    regions: Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
    engine: Literal["auto", "tensorrt", "openvino", "onnx"] | None = None,
) -> OpenedLine:
    """Open a line's config or a bundle, to inspect pictures with it: ``edge.open("line1.yaml").inspect("part.png")``.

    Args:
        what: a line's YAML, or the folder of a bundle.
        threshold: for a bundle, ``high`` or ``(high, low)`` in the map's own values; for a config it overrides
            ``regions.threshold``.
        regions: keys of the config's section ``regions`` that override it: ``{"min_area_px": 16}``.
        overrides: as ``--set`` takes them: ``["model.precision=fp16"]``.
        engine: the runtime; None: the config's, or ``auto``.

    Raises:
        UserError: says what is missing, wrong or not there.
    """
    path = Path(what)
    keys = dict(regions or {})
    if threshold is not None:
        high, low = threshold if isinstance(threshold, tuple) else (threshold, None)
        keys["threshold"] = {"high": float(high), "low": None if low is None else float(low)}
    if path.is_dir():
        return OpenedLine(_of_bundle(path, keys, overrides, engine))
    if not path.exists():
        raise UserError(f"{path}: no such file or folder", expected="a line's config (YAML) or the folder of a bundle")
    words = [f"regions.{key}={orjson.dumps(value).decode()}" for key, value in keys.items()]
    words += [*overrides, *([] if engine is None else [f"model.engine={engine}"])]
    return OpenedLine(load_config(path, words))


def _of_bundle(path: Path, regions: Mapping[str, Any], overrides: Sequence[str], engine: str | None) -> Loaded:
    """Make the config that a bundle alone needs. It is written nowhere."""
    if overrides:
        raise UserError(
            f"{path}: a bundle has no config that could be overridden",
            received=", ".join(overrides),
            fix="use regions= and engine=, or open a line's config",
        )
    if "threshold" not in regions:
        shown = load_bundle(path).spec.display.threshold
        hint = "" if shown is None else f" (its maker's is {shown:g})"
        raise UserError(
            f"{path}: a bundle says nothing about what is a defect",
            expected="threshold=HIGH or threshold=(HIGH, LOW), in the map's own values" + hint,
            fix="measure one on good frames with edge calibrate, or open a line's config",
        )
    data = {
        "camera": _PYTHON,
        "source": {"kind": "recorded", "path": "."},
        "model": {"bundle": str(path.absolute()), "engine": engine or "auto"},
        "regions": dict(regions),
    }
    return Loaded(validate(Config, data, "edge.open", whole="config"), Path("edge.open").absolute(), dump_yaml(data))


def _opened(loaded: Loaded) -> tuple[Engine, Criteria]:
    try:
        engine, criteria = open_model(loaded, replayed=True)
    except UserError as error:
        raise loaded.located(error) from None
    return engine, replace(criteria, deadline_ms=None, explain=True)


def _identity(loaded: Loaded, engine: Engine, criteria: Criteria) -> RunIdentity:
    return RunIdentity(
        instance_id=_PYTHON,
        camera=loaded.config.camera,
        recipe_id=loaded.config.recipe_id,
        simulated=True,
        config_sha256=loaded.sha256,
        model_name=engine.bundle.spec.name,
        model_sha256=engine.bundle.sha256,
        calibration_sha256=criteria.calibration_sha256,
    )


def _kept(amap: AnomalyMap, found: Found) -> tuple[AnomalyMap, Found]:
    """Copy what the engine and the regions' plan will use again for the next picture."""
    candidates = None if found.candidates is None else found.candidates.copy()
    embedding = None if amap.embedding is None else amap.embedding.copy()
    return (
        replace(amap, values=amap.values.copy(), embedding=embedding),
        replace(found, mask=found.mask.copy(), candidates=candidates),
    )


def _from_array(picture: NDArray[Any], bits: int | None, number: int) -> Frame:
    given = f"shape {picture.shape}, {picture.dtype}"
    if picture.dtype not in (np.uint8, np.uint16):
        raise UserError(
            "inspect: an array of another type",
            received=given,
            expected="uint8, or uint16 with its values at the low end",
            fix="convert it as the frames were that the model was made from: nothing is scaled here",
        )
    if not (picture.ndim == 2 or (picture.ndim == 3 and picture.shape[2] == 3)) or picture.size == 0:
        raise UserError("inspect: an array of another shape", received=given, expected="(H, W) grey or (H, W, 3) RGB")
    most = 8 * picture.itemsize
    depth = most if bits is None else bits
    pixels = np.array(picture, order="C")  # the result keeps it: the caller may draw on his
    if decoded_format(pixels, depth) is None:
        raise UserError(
            f"inspect: bits={bits} doesn't go with the array",
            received=given,
            expected="8 for uint8; 10, 12, 14 or 16 for uint16",
        )
    if depth < most and int(pixels.max()) >> depth:
        raise UserError(
            f"inspect: a value is above what {depth} bits hold",
            received=f"{int(pixels.max())}",
            expected=f"at most {(1 << depth) - 1}",
            fix="leave bits out, or shift the values down",
        )
    return counted_frame(pixels, depth, number, None)


def _from_file(picture: _Path, bits: int | None, number: int) -> Frame:
    path = Path(picture)
    if not path.is_file() or not path.name.lower().endswith(SUFFIXES):
        raise UserError(
            f"{path}: {'no picture' if path.exists() else 'no such file'}",
            expected="a PNG, JPEG, TIFF or BMP file, or an array",
            fix=f"for folders, videos and recordings: edge replay {path} -c CONFIG" if path.exists() else None,
        )
    (frame,) = read_frames(path, bits)
    if isinstance(frame, Skip):
        raise UserError(f"{path}: {_why(path, bits)}")
    return replace(frame, meta=replace(frame.meta, frame_id=number))


def _why(path: Path, bits: int | None) -> str:
    try:
        decode_with_bits(picture_bytes(path))
    except (OSError, PictureError) as error:
        return f"cannot be read: {error}"
    return f"a value is above what {bits} bits hold"
