"""A session in the worker: one line's config, one subject, the tables, and what the page asks of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.config.bundle import load_bundle
from edge.config.load import load_config
from edge.config.regions import RegionsConfig
from edge.config.yaml_reader import parse_yaml
from edge.engines.line_engine import scales_sha256
from edge.errors import UserError
from edge.frames import AnomalyMap, Skip, Unmapped
from edge.regions.criteria import load_criteria
from edge.regions.plan import RegionPlan
from edge.regions.plans import RegionPlans
from edge.regions.roi import ShapePixels
from edge.storage.mask_picture import read_mask
from edge.web.tuning.change import (
    check_export,
    export_of,
    levels_of,
    problem_of,
    problems_of,
    section_of,
    upstream_of,
    what_plans_depend_on,
    with_regions,
)
from edge.web.tuning.close_look import CloseLook, funnel_of, map_picture, not_looked_at, picture_of
from edge.web.tuning.maps import Distance, TunedMaps, distance_words
from edge.web.tuning.tables import UNJUDGED, Tables, against_labels, verdict_pairs
from edge.web.tuning.tuned_frames import open_tuned

_BINS: Final = 60


class TuningSession:
    """A session is opened once and asked many times. One thread uses it."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        """Open what ``request`` names: ``config``, ``overrides``, ``recording``, ``since_ns``, ``until_ns``, ``reviewed``,
        ``cache``.

        Raises:
            UserError: the config, the bundle or the recording can't be used.
        """
        self.loaded = load_config(Path(request["config"]), request.get("overrides") or ())
        config = self.loaded.resolved
        self.bundle = load_bundle(config.model.bundle)
        self._scales = scales_sha256(config.model, config.source, self.bundle)
        mask = read_mask(config.regions.roi)
        criteria = load_criteria(config, self.bundle, self._scales, mask, named=self.loaded.path)
        self.subject = open_tuned(
            Path(request["recording"]),
            self.bundle,
            since_ns=request.get("since_ns"),
            until_ns=request.get("until_ns"),
            reviewed=Path(request["reviewed"]) if request.get("reviewed") else None,
        )
        self.levels = levels_of(self.loaded, criteria)
        self._maps = TunedMaps(self.subject, self.loaded, self.bundle, criteria.frames, Path(request["cache"]))
        self._mask = self._base_mask = criteria.mask
        self.base = self.loaded.config.regions
        self.regions = self.base
        self._tables = Tables(self.subject, self._maps, criteria.score_high)
        self._tables.begin(self.base, criteria.high, criteria.low, self._mask)
        self._base_tables = Tables(self.subject, self._maps, criteria.score_high)
        self._base_tables.begin(self.base, criteria.high, criteria.low, self._base_mask)
        self._old = bytearray(bytes([UNJUDGED]) * len(self.subject.frames))
        self._upstream = upstream_of(self.base)
        self._shapes = ShapePixels(self._mask)
        self._base_shapes = ShapePixels(self._mask)
        self._build: Iterator[int] | None = None
        self.view = 0
        self._distance = Distance()
        self._kept_map: tuple[int, AnomalyMap | Unmapped] | None = None
        self._kept_plan: tuple[object, RegionPlan] | None = None
        self._kept_look: tuple[int, object, CloseLook] | None = None

    @property
    def opened(self) -> dict[str, Any]:
        """Return what the page begins with."""
        low, high = self.bundle.spec.display.range
        return {
            "camera": self.subject.camera,
            "config": self.loaded.path.name,
            "config_sha256": self.loaded.sha256,
            "frames": [frame.shown for frame in self.subject.frames],
            "regions": self.base.model_dump(mode="json"),
            "levels": {"high": self.levels.high, "low": self.levels.low, "calibrated": self.levels.calibrated},
            "display": [low, high],
            "notes": self._opening_notes(),
            "kept_maps": self._maps.kept,
        }

    def change(self, data: Any, view: int) -> str | None:
        """Put other regions in force; return ``filters``, ``maps`` or, where nothing changed, None.

        Raises:
            UserError: what is wrong with them; those before stay in force.
        """
        self._check_index(view)
        regions = section_of(data)
        high, low = self.levels.under(regions)
        self.view = view
        if regions == self.regions and self._build is not None:
            return None
        upstream = upstream_of(regions)
        kind = "filters" if upstream == self._upstream else "maps"
        if kind == "maps":
            self._begin(regions, high, low)
            self._upstream = upstream
        self.regions = regions
        self._build = self._tables.build(view)
        return kind

    def step(self) -> bool:
        """Make one more table; False if none is missing."""
        if self._build is None:
            self._build = self._tables.build(self.view)
        index = next(self._build, None)
        if index is None:
            return False
        self._note_old(index)
        self._measure(index)
        return True

    def look(self, index: int, *, old: bool = False) -> tuple[dict[str, Any], bytes]:
        """Look at one frame closely, under the regions in force or, with ``old``, under the line's own."""
        amap = self._map(index)
        frame = self.subject.frames[index]
        if isinstance(amap, Unmapped):
            return not_looked_at(amap), b""
        try:
            if old:
                plan = self._plan(self.base, amap, self._base_mask, self._base_shapes)
            else:
                plan = self._plan(self.regions, amap, self._mask, self._shapes)
        except UserError as error:
            return not_looked_at(error), b""
        head, layers = self._close_look(index, amap, plan, None if old else self._tables.known_max(index)).under(
            plan, frame.entry.meta
        )
        verdict = self._tables.reason(index) or head.get("invalid")
        head["verdict"] = "invalid" if verdict else "fail" if head["kept_count"] or self._score_fails(amap) else "pass"
        head["reason"] = verdict
        return head, layers

    def funnel(self, index: int) -> dict[str, Any]:
        """Return the funnel of one frame; without steps if there is none."""
        amap = self._map(index)
        if isinstance(amap, Unmapped) or not np.isfinite(amap.values).all():
            return {"steps": []}
        try:
            meta = self.subject.frames[index].entry.meta
            high, low = self.levels.under(self.regions)
            plans = RegionPlans(self.regions, self._mask, high, low, shapes=self._shapes, reachable=False)
            plan = plans.plan(amap, meta.width, meta.height)  # of its own: a funnel takes the plan's memory
            return funnel_of(amap, plan, meta)
        except UserError:
            return {"steps": []}

    def verdicts(self) -> dict[str, Any]:
        """Judge all frames whose tables are there."""
        new, old = self._tables.verdicts(self.regions), bytes(self._old)
        high, low = self.levels.under(self.regions)
        labels = [frame.label for frame in self.subject.frames]
        return {
            "old": old.decode(),
            "new": new.decode(),
            "left": self._tables.left,
            "matrix": verdict_pairs(old, new),
            "labels": against_labels(new, labels) if any(labels) else None,
            "labels_old": against_labels(old, labels) if any(labels) else None,
            "high": high,
            "low": low,
            "computed": self._maps.computed,
            "distance": self._distance_words(),
            "rows": self._tables.rows,
        }

    def maxima(self) -> list[float | None]:
        return self._tables.maxima()

    def histogram(self, key: str) -> dict[str, Any]:
        """Return counts of one measure over all candidates, in equal bins."""
        values = np.array(self._tables.values(key))
        if not len(values):
            return {"key": key, "counts": [], "edges": []}
        counts, edges = np.histogram(values, bins=_BINS)
        return {"key": key, "counts": counts.tolist(), "edges": edges.tolist()}

    def export(self) -> dict[str, Any]:
        """Return the change in the config's words, and what ``edge check`` says of it."""
        exported: dict[str, Any] = dict(export_of(self.loaded, self.regions, self.levels))
        exported["problems"] = []
        try:
            check_export(self.loaded, exported["yaml"])
            wanted = section_of(exported_regions(self.base, exported["yaml"]))
            exported["problems"] = problems_of(self.loaded, self.bundle, wanted, self._scales, self._size())
        except UserError as error:
            exported["problems"] = [problem_of(error)]
        exported["config_sha256"] = with_regions(self.loaded, self.regions).sha256
        return exported

    def problems(self) -> list[dict[str, str]]:
        """Return what ``edge check`` would refuse of the regions as they are."""
        return problems_of(self.loaded, self.bundle, self.regions, self._scales, self._size())

    def picture(self, index: int, kind: str, most: int) -> bytes:
        """Return the frame or its map as JPEG; empty if there is none."""
        if kind == "map":
            amap = self._map(index)
            return b"" if isinstance(amap, Unmapped) else map_picture(amap.values, self.bundle.spec.display.range)
        self._check_index(index)
        frame = self.subject.frame(index)
        return b"" if isinstance(frame, Skip) else picture_of(frame, most)

    def close(self) -> None:
        self._maps.close()

    def _begin(self, regions: RegionsConfig, high: float, low: float | None) -> None:
        mask = self._mask_of(regions)
        shapes = self._shapes if mask is self._mask else ShapePixels(mask)
        amap = self._map(self.view)
        if isinstance(amap, AnomalyMap):  # a shape that doesn't fit is said before 500 tables are thrown away
            self._plan(regions, amap, mask, shapes)
        self._mask, self._shapes = mask, shapes
        self._tables.begin(regions, high, low, mask)

    def _mask_of(self, regions: RegionsConfig) -> NDArray[np.uint8] | None:
        """Return the mask picture of these regions; it is read where they name another one than those in force."""
        wanted = mask_path(regions)
        if wanted == mask_path(self.base):
            return self._base_mask
        if wanted == mask_path(self.regions):
            return self._mask
        self._kept_plan = None  # it may have been drawn by an earlier state of this picture
        return read_mask(with_regions(self.loaded, regions).resolved.regions.roi)[0]

    def _check_index(self, index: int) -> None:
        last = len(self.subject.frames) - 1
        if not 0 <= index <= last:
            raise UserError(f"view: there is no frame {index}", expected=f"0 to {last}")

    def _map(self, index: int) -> AnomalyMap | Unmapped:
        self._check_index(index)
        if self._kept_map is None or self._kept_map[0] != index:
            amap = self._maps.load(index)
            self._kept_map = index, amap
        return self._kept_map[1]

    def _plan(
        self, regions: RegionsConfig, amap: AnomalyMap, mask: NDArray[np.uint8] | None, shapes: ShapePixels
    ) -> RegionPlan:
        high, low = self.levels.under(regions) if regions is not self.base else (self.levels.high, self.levels.low)
        meta = self.subject.frames[self.view if self._kept_map is None else self._kept_map[0]].entry.meta
        key = (what_plans_depend_on(regions), high, low, amap.values.shape, amap.map_to_image, meta.width, meta.height)
        if self._kept_plan is None or self._kept_plan[0] != key:
            plans = RegionPlans(regions, mask, high, low, shapes=shapes, reachable=False)
            self._kept_plan = key, plans.plan(amap, meta.width, meta.height)
        return self._kept_plan[1].under(regions)

    def _close_look(self, index: int, amap: AnomalyMap, plan: RegionPlan, known_max: float | None) -> CloseLook:
        """Return the look at a frame's candidates; it is kept while nothing before the filters changes."""
        kept = self._kept_look
        if kept is None or kept[0] != index or kept[1] is not self._kept_plan:
            kept = self._kept_look = index, self._kept_plan, CloseLook(amap, plan, known_max)
        return kept[2]

    def _score_fails(self, amap: AnomalyMap) -> bool:
        return self._tables.score_fails(amap.score)

    def _note_old(self, index: int) -> None:
        if self._old[index] == UNJUDGED:
            same = self._upstream == upstream_of(self.base)
            judged = self._tables.ensure(index) if same else self._base_tables.judge(index)
            self._old[index] = self._tables.verdict(index, judged, self.base)

    def _measure(self, index: int) -> None:
        if self._maps.is_own(index):
            return
        here = self._tables.ensure(index).map_max
        if here is not None and self._upstream == upstream_of(self.base):
            self._distance.add(index, here, self.subject.frames[index].map_max)

    def _distance_words(self) -> str | None:
        spec, model = self.bundle.spec, self.loaded.config.model
        low, high = spec.display.range
        share = spec.tolerance.fp32 if model.precision == "fp32" else spec.tolerance.reduced
        return distance_words(self._distance, self._maps, share * (high - low), f"{model.engine} {model.precision}")

    def _size(self) -> Any:
        amap = self._map(self.view)
        meta = self.subject.frames[self.view].entry.meta
        return None if isinstance(amap, Unmapped) else (amap, meta.width, meta.height)

    def _opening_notes(self) -> list[str]:
        notes = list(self.subject.notes)
        without = len(self.subject.frames) - self._maps.kept
        if without:
            model = self.loaded.config.model
            notes.append(
                f"{without} of {len(self.subject.frames)} frames have no kept map (outputs.evidence.maps): theirs are "
                f"computed here, on the CPU; the line's config says {model.engine} {model.precision}"
            )
        if self.loaded.config.drift is not None:
            notes.append("drift is not measured here: frames are judged as on a day without drift, but for what they bring")
        return notes


def mask_path(regions: RegionsConfig) -> Path | None:
    """Return the ROI's mask picture as the regions name it."""
    return None if regions.roi is None else regions.roi.mask


def exported_regions(base: RegionsConfig, text: str) -> dict[str, Any]:
    """Return the whole section that an export makes of the line's own."""
    document, _ = parse_yaml(text, "export")
    return {**base.model_dump(mode="json"), **((document or {}).get("regions") or {})}
