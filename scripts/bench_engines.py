"""The CPU engines against their bare runtimes, full frames against the same call behind one resize, and against anomalib.

Everything is a ratio of neighbours: two calls after each other, many times, and the median of the quotients.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
from bench_net import resnet_like
from numpy.typing import NDArray

from edge.config.bundle import Bundle
from edge.config.line import ModelConfig
from edge.engines import cpu
from edge.engines.open import open_engine
from edge.engines.protocol import Engine
from edge.engines.registration import ready_workspace
from edge.engines.to_map import to_map
from edge.errors import UserError
from edge.frames import Frame, FrameMeta
from edge.models.build.build import build
from edge.models.build.options import BuildOptions
from edge.preprocess.prepare import prepare

SIZES = {"1mp": (1024, 1024), "5mp": (2448, 2048), "12mp": (4096, 3000)}
KINDS = (("onnx", "fp32"), ("openvino", "fp32"), ("openvino", "bf16"), ("openvino", "int8"), ("onnx", "int8"))
PAIRS = 5
"""For each repeat."""
LEAST_MS = 20.0
"""A shorter bare call would make the wrapper's microseconds look larger than they are in practice."""
PEER = "anomalib[openvino]==2.7.0"

clock = time.process_time
"""On one thread the process's CPU time, which other work on the machine hardly changes; on more the wall's."""

Spread = Callable[[Sequence[float]], str]
Call = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Opened:
    """An engine, and the runtime's own call on one picture without it."""

    name: str
    engine: Engine
    bare: Callable[[NDArray[Any]], Any]


def measure(repeats: int, spread: Spread, *, model: Path | None, threads: int, against_anomalib: bool) -> dict[str, float]:
    global clock
    clock = time.process_time if threads == 1 else time.perf_counter
    cv2.setNumThreads(threads)
    results: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as temp:
        folder = Path(temp)
        if model is None:
            model = folder / "resnet_like.onnx"
            onnx.save(resnet_like(), model)
        bundles = {c: build(model, folder / c, BuildOptions(channels=n)).bundle for c, n in (("colour", None), ("grey", 1))}  # type: ignore[arg-type]
        frames = {(size, colour): _frame(*SIZES[size], colour) for size in SIZES for colour in bundles}
        samples = [f for (size, colour), f in frames.items() if size == "1mp" and colour == "colour"]
        engines = list(_engines(bundles["colour"], samples, threads))
        seen = bundles["colour"].spec.resize.size
        print(f"model {model.name}, {threads} thread(s) by {clock.__name__}, frames brought to {seen}")
        results |= _calls(engines, frames["1mp", "colour"], repeats, spread)
        for opened in engines:
            opened.engine.close()
        results |= _full_frames(bundles, frames, repeats, threads, spread)
        if against_anomalib:
            results |= _anomalib(model, bundles, frames, repeats, threads, folder, spread)
    return results


def _frame(width: int, height: int, colour: str) -> Frame:
    """Soft shapes and noise, as pictures of parts have."""
    rng = np.random.default_rng(0)
    shape = (height, width, 3) if colour == "colour" else (height, width)
    soft = cv2.resize(rng.uniform(60, 190, (6, 8, *shape[2:])), (width, height), interpolation=cv2.INTER_CUBIC)
    pixels = np.clip(soft + rng.normal(0, 4, shape), 0, 255).astype(np.uint8)
    kind = "RGB8" if colour == "colour" else "Mono8"
    return Frame(FrameMeta(0, "counted", width, height, kind, 0, 0), pixels)


def _engines(bundle: Bundle, frames: list[Frame], threads: int) -> Iterator[Opened]:
    for kind, precision in KINDS:
        if cpu.missing(precision):
            print(f"{kind} {precision}: this CPU has no arithmetic for it")
            continue
        try:
            yield _open(kind, precision, bundle, frames, threads)
        except UserError as error:
            print(f"{kind} {precision}: {' '.join(str(error).split())}")


def _open(kind: Any, precision: Any, bundle: Bundle, frames: list[Frame], threads: int) -> Opened:
    def samples() -> Iterator[NDArray[Any]]:
        """The sample frames, each also shifted: scales need more than one picture."""
        for frame in frames:
            picture = prepare(frame, bundle.spec).image
            for step in range(16):
                yield np.ascontiguousarray(np.roll(picture, (7 * step, 13 * step), (0, 1)))

    config = ModelConfig(
        bundle=bundle.folder, engine=kind, precision=precision, threads=threads, sample_frames=bundle.folder
    )
    engine: Any = open_engine(config, bundle, samples)
    return Opened(f"{kind} {precision}", engine, _bare_onnx(engine) if kind == "onnx" else _bare_openvino(engine))


def _bare_onnx(engine: Any) -> Callable[[NDArray[Any]], Any]:
    session, names = engine._session, engine._outputs
    return lambda picture: session.run(names, {"frame": picture[None]})


def _bare_openvino(engine: Any) -> Callable[[NDArray[Any]], Any]:
    request = next(iter(engine._shaped.values())).compiled.create_infer_request()
    return lambda picture: request.infer([picture[None]], share_inputs=True, share_outputs=True)


def _paired(first: Call, second: Call, pairs: int) -> tuple[list[float], list[float], list[float]]:
    """Quotients first / second, and the seconds of each; who begins changes from pair to pair."""
    for call in (first, second):
        call()
    quotients, ones, others = [], [], []
    for index in range(pairs):
        order = (first, second) if index % 2 else (second, first)
        times = {id(call): _seconds(call) for call in order}
        ones.append(times[id(first)])
        others.append(times[id(second)])
        quotients.append(ones[-1] / others[-1])
    return quotients, ones, others


def _seconds(call: Call) -> float:
    began = clock()
    call()
    return clock() - began


def _calls(engines: list[Opened], frame: Frame, repeats: int, spread: Spread) -> dict[str, float]:
    """The engine's call on a picture of the model's size against the bare one; and each engine against ONNX Runtime."""
    results: dict[str, float] = {}
    reference = engines[0]
    picture = prepare(frame, reference.engine.bundle.spec).image
    worst = 0.0
    for opened in engines:
        ratio, _, bare = _paired(
            lambda o=opened: o.engine.infer(picture),  # type: ignore[misc]
            lambda o=opened: o.bare(picture),  # type: ignore[misc]
            PAIRS * repeats,
        )
        bare_ms = 1e3 * statistics.median(bare)
        short = "" if bare_ms >= LEAST_MS else f" (below {LEAST_MS:.0f} ms: not counted)"
        print(f"{opened.name:14}: engine's call / bare call: {spread(ratio)}; bare call {bare_ms:.1f} ms{short}")
        results[f"call_over_bare_{opened.name.replace(' ', '_')}"] = round(statistics.median(ratio), 4)
        worst = max(worst, statistics.median(ratio) if bare_ms >= LEAST_MS else 0.0)
    results["call_over_bare"] = round(worst, 4)
    for opened in engines[1:]:
        ratio, _, _ = _paired(
            lambda o=opened: o.engine.infer(picture),  # type: ignore[misc]
            lambda: reference.engine.infer(picture),
            PAIRS * repeats,
        )
        print(f"{opened.name:14}: time / {reference.name}'s: {spread(ratio)}")
        results[f"{opened.name.replace(' ', '_')}_over_onnx_fp32"] = round(statistics.median(ratio), 4)
    return results


def _full_frames(
    bundles: dict[str, Bundle], frames: dict[tuple[str, str], Frame], repeats: int, threads: int, spread: Spread
) -> dict[str, float]:
    """From a frame to its map against the bare call behind one uint8 area resize."""
    results: dict[str, float] = {}
    for colour, bundle in bundles.items():
        for kind in ("onnx", "openvino"):
            opened = _open(kind, "fp32", bundle, [], threads)
            workspace = ready_workspace(opened.engine.bundle)
            for size in SIZES:
                frame = frames[size, colour]
                ratio, ours, floor = _paired(
                    lambda f=frame, o=opened, w=workspace: to_map(f, o.engine, w),  # type: ignore[misc]
                    lambda f=frame, o=opened, b=bundle: o.bare(_resized(f, b)),  # type: ignore[misc]
                    PAIRS * repeats,
                )
                times = f"{1e3 * statistics.median(ours):.1f} ms over {1e3 * statistics.median(floor):.1f} ms"
                print(f"{size} {colour:6} {kind:8}: frame to map / resize and bare call: {spread(ratio)}; {times}")
                key = f"full_frame_over_floor_{size}"
                results[key] = max(results.get(key, 0.0), round(statistics.median(ratio), 4))
            opened.engine.close()
    return results


def _resized(frame: Frame, bundle: Bundle) -> NDArray[Any]:
    size = bundle.spec.resize.size
    assert size is not None
    small = cv2.resize(frame.pixels, size, interpolation=cv2.INTER_AREA)
    return np.asarray(small if small.ndim == 3 else small[:, :, None])


def _anomalib(
    model: Path,
    bundles: dict[str, Bundle],
    frames: dict[tuple[str, str], Frame],
    repeats: int,
    threads: int,
    folder: Path,
    spread: Spread,
) -> dict[str, float]:
    """The inferencer of anomalib on the same frames, the same model and the same precision."""
    from peer import Peer

    results: dict[str, float] = {}
    with Peer(PEER, "bench_engines_peer.py") as peer:
        print(peer.ask()["versions"])
        for precision, hint in (("fp32", "f32"), ("bf16", "bf16")):
            if cpu.missing(precision):
                continue
            answer = peer.ask(model=str(model.resolve()), folder=str(folder), precision=hint, threads=threads)
            if "error" in answer:
                print(f"anomalib: {answer['error']}")
                return results
            for colour, bundle in bundles.items():
                opened = _open_unchecked(precision, bundle, threads)
                for size in SIZES:
                    speedup = _against(peer, opened, frames[size, colour], folder, PAIRS * repeats)
                    print(f"{size} {colour:6} {opened.name} {precision}: anomalib's time / ours: {spread(speedup)}")
                    more = "" if colour == "colour" else "_grey"
                    results[f"speedup_vs_anomalib_{size}{more}_{precision}"] = round(statistics.median(speedup), 3)
                opened.close()
    best = "bf16" if "speedup_vs_anomalib_1mp_bf16" in results else "fp32"
    for size in SIZES:  # the runtime's own default, which the peer takes when nobody says otherwise
        for more in ("", "_grey"):
            results[f"speedup_vs_anomalib_{size}{more}"] = results[f"speedup_vs_anomalib_{size}{more}_{best}"]
    return results


def _open_unchecked(precision: str, bundle: Bundle, threads: int) -> Engine:
    """What ``auto`` takes for the precision. Speed alone: whether the bundle allows its error is another question."""
    from edge.engines.onnx import OnnxEngine
    from edge.engines.openvino import OpenvinoEngine

    engine: Engine = OnnxEngine(bundle, threads) if precision == "fp32" else OpenvinoEngine(bundle, threads, precision)
    engine.warm_up()
    return engine


def _against(peer: Any, engine: Engine, frame: Frame, folder: Path, pairs: int) -> list[float]:
    path = folder / "frame.npy"
    np.save(path, frame.pixels)
    workspace = ready_workspace(engine.bundle)
    to_map(frame, engine, workspace)
    peer.ask(frame=str(path), clock=clock.__name__)
    quotients = []
    for _ in range(pairs):
        theirs = peer.ask(frame=str(path), clock=clock.__name__)["seconds"]
        quotients.append(theirs / _seconds(lambda: to_map(frame, engine, workspace)))
    return quotients
