"""TunedMaps come from beside the frames, where the line kept them, or are computed once and kept in the page's folder."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson

from edge.config.load import Loaded
from edge.engines.open import open_engine
from edge.engines.protocol import Engine
from edge.engines.registration import ready_workspace
from edge.engines.to_map import to_map
from edge.frames import AnomalyMap, Frame, FrameKind, Skip, Unmapped
from edge.preprocess.pixel_formats import to_depth
from edge.preprocess.prepare import Workspace
from edge.storage.disk import space, write_whole
from edge.storage.map_file import RecordedMap, write_map
from edge.storage.pictures import picture_inside
from edge.web.tuning.tuned_frames import TunedFrames

_KEEP_FREE_BYTES: Final = 1 << 30
"""Computed maps are not kept where less than this would stay free: they are computed again each time."""


@dataclass(slots=True)
class Distance:
    """How far computed maps lie from the records: the largest difference of ``map_max``, and of how many frames."""

    compared: int = 0
    largest: float = 0.0
    at: int | None = None

    def add(self, index: int, here: float, recorded: float | None) -> None:
        if recorded is None:
            return
        self.compared += 1
        apart = abs(float(np.float32(here) - np.float32(recorded)))  # records are written with a float32's digits
        if self.at is None or apart > self.largest:
            self.largest, self.at = apart, index


class TunedMaps:
    """The maps of one subject are read one by one. One thread uses it.

    ``computed`` counts those that had to be computed; ``engine_words`` says by what, empty while nothing was.
    """

    def __init__(self, subject: TunedFrames, loaded: Loaded, bundle: Any, kinds: FrameKind, cache: Path) -> None:
        """Take kept maps where the line's own model made them; keep computed ones under ``cache``."""
        self._subject, self._loaded, self._bundle, self._kinds = subject, loaded, bundle, kinds
        made_of = (str(subject.folder.resolve()), bundle.sha256, repr(loaded.config.source.levels))
        name = hashlib.sha256("\0".join(made_of).encode()).hexdigest()[:24]
        self._folder = cache / name
        self._own = _own_maps(subject, bundle.sha256)
        self._paths: dict[int, Path] = {}
        self._engine: Engine | None = None
        self._workspace: Workspace | None = None
        self.computed = 0
        self.engine_words = ""

    @property
    def kept(self) -> int:
        """Return how many frames have a map that the line kept."""
        return sum(own is not None for own in self._own)

    def is_own(self, index: int) -> bool:
        """Say whether the line itself kept this frame's map."""
        return self._own[index] is not None

    def is_ready(self, index: int) -> bool:
        """Say whether reading this frame's map needs no model."""
        return self._own[index] is not None or self._head(index).exists()

    def load(self, index: int) -> AnomalyMap | Unmapped:
        """Return the map of a frame, or why it has none, as the line says it. Raises UserError: the model can't run."""
        own = self._own[index]
        if own is not None:
            try:
                path = self._paths.get(index)
                if path is None:  # following links takes longer than reading
                    path = self._paths[index] = picture_inside(self._subject.folder, own.file)
                return own.load_from(path)
            except (OSError, ValueError):  # it went with the quota, or is torn: computed like one that was never there
                self._own[index] = None
        try:
            return self._read(index)
        except (OSError, ValueError, LookupError, TypeError):
            return self._compute(index)

    def close(self) -> None:
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def _head(self, index: int) -> Path:
        return self._folder / f"{self._subject.frames[index].entry.number:08d}.json"

    def _read(self, index: int) -> AnomalyMap | Unmapped:
        head = orjson.loads(self._head(index).read_bytes())
        self.engine_words = head["by"]
        return RecordedMap.read(head["map"]).load(self._folder)

    def _compute(self, index: int) -> AnomalyMap | Unmapped:
        frame = self._subject.frame(index)
        if isinstance(frame, Skip):
            return Unmapped("unreadable", f"{self._subject.frames[index].entry.file} can't be read")
        frame = to_depth(frame, *self._loaded.config.source.levels)
        amap: AnomalyMap | Unmapped | None = self._kinds.doubt(frame)
        if amap is None:
            amap = self._infer(frame)
        if isinstance(amap, AnomalyMap):  # what keeps a frame from one may pass: its kind is the calibration's to say
            self.computed += 1
            self._keep(index, amap)
        return amap

    def _infer(self, frame: Frame) -> AnomalyMap | Unmapped:
        if self._engine is None:
            model = self._loaded.resolved.model
            exact = model.engine in ("auto", "onnx", "openvino") and model.precision == "fp32"
            here = model if exact else model.model_copy(update={"engine": "onnx", "precision": "fp32"})
            self._engine = open_engine(here, self._bundle, None, 1, lambda *_: None)
            self._workspace = ready_workspace(self._bundle)
            self.engine_words = f"{self._engine.name} {self._engine.precision}"
        assert self._workspace is not None
        amap = to_map(frame, self._engine, self._workspace)
        # an engine writes into few buffers in turn, and who asked keeps the map while those of other frames are computed
        return replace(amap, values=amap.values.copy()) if isinstance(amap, AnomalyMap) else amap

    def _keep(self, index: int, amap: AnomalyMap) -> None:
        number = self._subject.frames[index].entry.number
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            head: dict[str, Any] = {"by": self.engine_words}
            if space(self._folder)[0] - amap.values.nbytes < _KEEP_FREE_BYTES:
                return
            head["map"] = write_map(self._folder, number, amap, sync=False)
            write_whole(self._head(index), orjson.dumps(head))
        except OSError:  # it is computed again next time
            return


def _own_maps(subject: TunedFrames, model_sha256: str) -> list[RecordedMap | None]:
    return [frame.entry.map if frame.model_sha256 in (None, model_sha256) else None for frame in subject.frames]


def distance_words(distance: Distance, maps: TunedMaps, tolerance: float | None, line_engine: str) -> str | None:
    """Say how far computed maps lie from the records; None if none was computed."""
    if not maps.engine_words:
        return None
    words = f"maps computed here by {maps.engine_words}; the line's config says {line_engine}"
    if not distance.compared:
        return f"{words}. No record says what the line saw"
    beyond = ""
    if tolerance is not None:
        beyond = ", within" if distance.largest <= tolerance else ", beyond"
        beyond += f" the engine's tolerance of {tolerance:.4g}"
    return f"{words}. map_max lies at most {distance.largest:.4g} from the record's in {distance.compared} frames{beyond}"
