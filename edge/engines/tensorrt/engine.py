"""TensorRT runs the model on an NVIDIA GPU. It never ran on one yet, but engine files are built for real:
scripts/gpu/README.md.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, get_args

import numpy as np
import structlog
from numpy.typing import NDArray

from edge.config.bundle import Bundle
from edge.config.line import ModelConfig
from edge.engines.batch import split_predictions
from edge.engines.cache import cache_base, pictures_sha256
from edge.engines.graph_io import RESULT_SETS, blank_picture, check_first, does_not_run, prediction
from edge.engines.protocol import BuildProgress, Engine, Prediction, SamplePictures, say_nothing
from edge.engines.tensorrt.cuda import Cuda, CudaError, explained, open_cuda
from edge.engines.tensorrt.engine_build import build_engine
from edge.engines.tensorrt.engine_cache import EngineCache
from edge.engines.tensorrt.execution_plan import Plan, PlanRejected, TrtPlan
from edge.engines.tensorrt.graph import FORM, InputShape, TrtPrecision, batch_of, typed_graph
from edge.engines.tensorrt.progress import shown_build
from edge.engines.tensorrt.runtime import Runtime, open_runtime
from edge.engines.tensorrt.staging import DEPTH, MapBuffers, Staging
from edge.errors import UserError
from edge.preprocess.prepare import FrameSizeMismatch
from edge.preprocess.tiling import Tiling

log = structlog.get_logger()


class Maker(Protocol):
    """A maker makes and loads engine files: TensorRT, or what stands in for it in tests."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...

    def build(
        self, bundle: Bundle, precision: TrtPrecision, shape: InputShape, samples: SamplePictures | None
    ) -> bytes: ...

    def load(self, payload: bytes, kernels: bytes | None, where: Path) -> Plan:
        """Load an engine file. Raises PlanRejected if the file must be built again."""


class TrtMaker:
    """TensorRT itself makes engine files, for the device of ``cuda``."""

    def __init__(self, runtime: Runtime, cuda: Cuda, tell: BuildProgress = say_nothing) -> None:
        self.name, self.version = runtime.name, runtime.version
        self._tell = tell
        self._runtime = runtime
        self._cuda = cuda

    def build(self, bundle: Bundle, precision: TrtPrecision, shape: InputShape, samples: SamplePictures | None) -> bytes:
        with shown_build(bundle.spec.name, self._tell) as progress:
            graph = typed_graph(bundle, precision, shape, samples)
            return build_engine(graph, bundle.model_path, self._runtime, self._cuda.capability, progress)

    def load(self, payload: bytes, kernels: bytes | None, where: Path) -> Plan:
        return TrtPlan(payload, kernels, self._runtime, where, self._cuda.free_bytes())


def open_tensorrt(
    config: ModelConfig, bundle: Bundle, samples: SamplePictures | None, batch: int = 1, tell: BuildProgress = say_nothing
) -> TensorrtEngine:
    """Open the engine of the config; its file is built if the cache has none.

    Raises:
        UserError: no GPU, no driver or one that doesn't fit, a package that is missing, a precision or bundle that is none
            for TensorRT, an operator that it lacks, too little memory, a cache folder that can't be made.
    """
    precision = _precision(config.precision)
    fixed = _fixed(bundle, config.frame_size)
    cuda = open_cuda()
    try:
        maker = TrtMaker(open_runtime(), cuda, tell)
        cache = EngineCache(cache_base() / "tensorrt")
        return TensorrtEngine(
            bundle=fixed,
            precision=precision,
            cuda=cuda,
            maker=maker,
            cache=cache,
            samples=samples,
            frame_size=config.frame_size,
            batch=batch,
        )
    except BaseException:
        cuda.close()
        raise


def why_not_here() -> str | None:
    """Say why there is no TensorRT here, for the choice of ``auto``; None if it can be tried."""
    try:
        open_cuda().close()  # first: TensorRT's library takes 0.1 s and 80 MB
        open_runtime()
    except UserError as error:
        return error.what.removeprefix("model.engine: tensorrt: ")
    return None


class TensorrtEngine(Engine):
    """The engine takes pictures of one shape, two of them in work; ``submit`` and ``collect`` apart let copies and compute
    overlap.

    ``bundle``: its input has a fixed size, unless it has tiles. ``frame_size`` is width and height of the frames, if known.
    ``batch`` is the number of pictures of one run, which its file is built for; fewer are filled up, and cost as much.
    """

    name = "tensorrt"
    depth = DEPTH

    def __init__(
        self,
        bundle: Bundle,
        precision: TrtPrecision,
        cuda: Cuda,
        maker: Maker,
        cache: EngineCache,
        samples: SamplePictures | None = None,
        frame_size: tuple[int, int] | None = None,
        batch: int = 1,
    ) -> None:
        self.bundle = bundle
        self.precision: str = precision
        self._trt_precision = precision
        self._cuda = cuda
        self._maker = maker
        self._cache = cache
        at_once = _pictures_at_once(bundle, frame_size, batch)
        self.batch = at_once if bundle.spec.tile is None else 1
        self._shape: InputShape = (at_once, *blank_picture(bundle).shape)
        self._key = self._cache_key(samples)
        self._plan = self._open_plan(samples)
        self._check_tensors()
        try:
            self._staging: Staging | None = Staging(cuda, self._plan)
        except CudaError as error:
            self._plan.close()
            raise explained(error) from None
        self._done: list[tuple[int, Prediction]] = []
        """Finished frames, not yet collected, that had more tiles than go in at once."""
        self._single: deque[bool] = deque()
        """For each frame in flight: True if it is a single picture rather than tiles, in a run of one or filled up."""
        self._filled: NDArray[Any] = np.empty(0)
        self._stitched: dict[int, list[NDArray[np.float32]]] = {}
        self._turn = 0

    def warm_up(self) -> None:
        blank = blank_picture(self.bundle)
        try:
            for _ in range(DEPTH):  # each set once
                self._infer(np.broadcast_to(blank, self._shape))
        except (CudaError, RuntimeError) as error:
            if isinstance(error, CudaError) and "MEMORY" in error.code:
                raise explained(error, free_bytes=self._cuda.free_bytes()) from None
            raise does_not_run(self.bundle, blank, str(error)) from None
        assert self._staging is not None
        graphs = self._staging.capture()
        kernels = self._plan.kernels()
        if kernels is not None:
            self._cache.store(self._key, kernels, "kernels")
        log.info("tensorrt_ready", gpu=self._cuda.name, binding=self._cuda.binding, cuda_graphs=graphs, shape=self._shape)

    def infer(self, image: NDArray[np.uint8] | NDArray[np.uint16]) -> Prediction:
        try:
            return self.collect(self.submit(image))
        except Exception:
            self.abandon()  # else the next call would find this picture's map
            raise

    def submit(self, image: NDArray[np.uint8] | NDArray[np.uint16]) -> int:
        """Start on one picture (H, W, C) or the tiles of one (n, H, W, C). It may be overwritten once this has returned.

        Returns the number that ``collect`` asks for.
        """
        staging = self._open()
        pictures = image if image.ndim == 4 else self._full(image[None])
        if len(pictures) == self._shape[0]:
            number = staging.submit(pictures)
            self._single.append(image.ndim == 3)
            return number
        if self._shape[0] == 1:
            number, result = self._one_by_one(pictures)
            self._done.append((number, result))
            return number
        raise FrameSizeMismatch(
            f"the frame has {len(pictures)} tiles, the engine was built for {self._shape[0]}: model.frame_size"
        )

    def collect(self, number: int) -> Prediction:
        """Return the prediction of the picture submitted first among those not collected: it must be ``number``."""
        if self._done and self._done[0][0] == number:
            return self._done.pop(0)[1]
        outputs = self._open().collect(number)
        return prediction(outputs, tiles=not self._single.popleft())

    def infer_batch(self, pictures: NDArray[np.uint8] | NDArray[np.uint16]) -> list[Prediction]:
        try:
            return split_predictions(self._infer(self._full(pictures)), len(pictures))
        except Exception:
            self.abandon()
            raise

    def abandon(self) -> None:
        """Forget what was submitted, after an error. Raises what the device still reports."""
        self._done.clear()
        self._single.clear()
        self._open().abandon()

    def close(self) -> None:
        if self._staging is not None:
            self._staging.close()
            self._staging = None
            self._plan.close()
            self._cuda.close()

    def _open(self) -> Staging:
        if self._staging is None:
            raise RuntimeError("the engine is closed")
        return self._staging

    def _infer(self, pictures: NDArray[Any]) -> MapBuffers:
        staging = self._open()
        staging.submit(pictures)
        return staging.collect()

    def _full(self, pictures: NDArray[Any]) -> NDArray[Any]:
        """Fill the pictures up to as many as go in at once, with whatever was there before."""
        if len(pictures) == self._shape[0] or pictures.shape[1:] != self._shape[1:]:
            return pictures
        if self._filled.dtype != pictures.dtype:
            self._filled = np.zeros(self._shape, pictures.dtype)
        self._filled[: len(pictures)] = pictures
        return self._filled

    def _one_by_one(self, tiles: NDArray[Any]) -> tuple[int, Prediction]:
        """Infer tiles one picture at a time, two on the device at once. Return the last one's number."""
        staging = self._open()
        if staging.pending or self._done:
            raise RuntimeError("tiles that go in one by one leave no room for another frame: collect it first")
        turns = self._stitched.get(len(tiles))
        if turns is None:
            (shape,) = (t.shape[1:] for t in self._plan.tensors if t.name == "map")
            turns = self._stitched[len(tiles)] = [np.empty((len(tiles), *shape), np.float32) for _ in range(RESULT_SETS)]
        maps = turns[self._turn % RESULT_SETS]
        self._turn += 1
        highest: float | None = None
        for index in range(len(tiles) + 1):
            if index < len(tiles):
                number = staging.submit(tiles[index : index + 1])
            if index > 0:
                outputs = staging.collect()
                maps[index - 1] = outputs["map"][0]
                if "score" in outputs:
                    highest = max(float(outputs["score"][0]), highest if highest is not None else float("-inf"))
        return number, Prediction(maps, highest, None)

    def _cache_key(self, samples: SamplePictures | None) -> dict[str, str]:
        key = {
            "model": self.bundle.sha256,
            "tensorrt": f"{self._maker.name} {self._maker.version}",
            "gpu": self._cuda.name,
            "capability": "{}.{}".format(*self._cuda.capability),
            "precision": self.precision,
            "shape": "x".join(map(str, self._shape)),
            "form": str(FORM),
        }
        if self.precision == "int8" and samples is not None:
            key["samples"] = pictures_sha256(samples())
        return key

    def _open_plan(self, samples: SamplePictures | None) -> Plan:
        """Load the plan from the cache; if it has none, build, store and load it as it will be loaded the next time."""
        payload = self._cache.load(self._key)
        where = self.bundle.model_path
        if payload is not None:
            try:
                return self._maker.load(payload, self._cache.load(self._key, "kernels"), where)
            except PlanRejected as error:
                self._cache.drop(self._key, f"TensorRT refuses it: {error}")
        payload = self._maker.build(self.bundle, self._trt_precision, self._shape, samples)
        self._cache.store(self._key, payload)
        try:
            return self._maker.load(payload, None, where)
        except PlanRejected as error:
            raise UserError(
                f"{where}: {self._maker.name} {self._maker.version} does not load the engine that it has just built",
                received=str(error),
                fix="see that the driver is as new as this TensorRT asks for (`nvidia-smi`); or set model.engine: onnx",
            ) from None

    def _check_tensors(self) -> None:
        outputs = {t.name: np.broadcast_to(np.float32(0), t.shape) for t in self._plan.tensors if not t.is_input}
        check_first(self.bundle, self._shape, outputs)


def _precision(wanted: str) -> TrtPrecision:
    for precision in get_args(TrtPrecision):
        if wanted == precision:
            known: TrtPrecision = precision
            return known
    raise UserError(
        f"model.precision: {wanted}: TensorRT does not run it here",
        expected="fp32, fp16 or int8",
        fix="set model.precision: fp16, or model.engine: openvino",
    )


def _fixed(bundle: Bundle, frame_size: tuple[int, int] | None) -> Bundle:
    """Return the bundle with one input size, for which an engine file is built; other frames are then refused."""
    spec = bundle.spec
    if spec.tile is not None:
        size: tuple[int, int] | None = spec.tile.size
    elif spec.input.size != "any":
        size = spec.input.size
    else:
        size = spec.resize.size if spec.resize.where == "host" else frame_size
    if size is None:
        raise UserError(
            "model.frame_size: tensorrt builds its engine for one size of frames, and the bundle takes any",
            expected="width and height of the camera's frames, for example [2448, 2048]",
            fix="set model.frame_size, or build the bundle with a resize on the host",
        )
    return replace(bundle, spec=spec.model_copy(update={"input": spec.input.model_copy(update={"size": size})}))


def _pictures_at_once(bundle: Bundle, frame_size: tuple[int, int] | None, batch: int) -> int:
    """Return how many pictures go in at once: 1, or if the graph takes a batch ``batch`` or all tiles of a frame."""
    spec = bundle.spec
    picture = spec.resize.size or frame_size
    if batch_of(bundle) is not None:
        return 1
    if spec.tile is None:
        return batch
    if picture is None:
        return 1
    return len(Tiling(spec.tile, picture, spec.tile_scale).positions)
