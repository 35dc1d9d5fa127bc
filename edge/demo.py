"""The demo does the main job on the simulated camera: record good frames, fit the built-in model, calibrate, then inspect
live.

The camera of the genicam package shows a ball on a white scene. Ball size 1 is a good part, 30 a defect; while the
daemon runs, the size alternates.
"""

from __future__ import annotations

import importlib.util
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import yaml

from edge.config.load import Loaded, load_config
from edge.config.sources import GenicamConfig
from edge.errors import UserError
from edge.frames import Payload, Skip
from edge.line.record import record
from edge.line.run import EachTurn
from edge.models.calibrate.measure import measure
from edge.models.fit.fit import fit_to_bundle
from edge.models.frame_sequence import FrameSequence
from edge.models.good_frames import good_frames
from edge.service import daemon
from edge.service.instance_lock import holder, taken
from edge.service.runtime_folder import found_folder, runtime_roots
from edge.sources.genicam.producers import producer_files
from edge.sources.genicam.source import GenicamSource
from edge.sources.open import open_source
from edge.sources.protocol import Source, SourceStatus
from edge.storage.calibration_file import save_calibration
from edge.storage.frames_on_disk import read_frames

CAMERA, CONFIG = "demo", "demo.yaml"
GOOD_FRAMES = 60
GOOD_SIZE, DEFECT_SIZE = 1, 30
ALTERNATE_S = 2.0
FPS = 30.0

Say = Callable[[str], None]


def camera_installed() -> bool:
    """Return True if the simulated camera is there."""
    if any(importlib.util.find_spec(name) is None for name in ("genicam", "harvesters")):
        return False
    try:
        producer_files("simulated")
    except Exception:  # noqa: BLE001  (whatever is wrong with it: the demo then goes on without)
        return False
    return True


def check_free(out: Path) -> None:
    """Raise UserError if a daemon runs with an earlier demo's config: its folder must not be made anew under it."""
    folders = [root / CAMERA for root in runtime_roots()]
    with suppress(UserError):  # none, or one that a person has changed beyond use
        folders.insert(0, found_folder(load_config(out / CONFIG)))
    for folder in folders:
        owner = holder(folder)
        if owner is not None:
            raise taken(folder, CAMERA, str(owner))


def prepare_demo(out: Path, say: Say, *, camera: bool) -> Loaded:
    """Make everything before the live part under ``out``: config, recording, model, calibration. Returns the config to
    run.
    """
    out.mkdir(parents=True)
    path = out / CONFIG
    _write_config(path, camera=camera)
    good = load_config(path, [] if camera else ["source.defect_rate=0", f"source.frames={GOOD_FRAMES}"])
    say(f"recording {GOOD_FRAMES} good frames")
    stop = threading.Event()
    source = open_source(good.config.source, good.config.camera, path.parent)
    record(good, source, out / "good", GOOD_FRAMES, drops=True, stop=stop, progress=_no_progress)
    say("fitting a model on them")
    bundle = fit_to_bundle(FrameSequence.of(good_frames(out / "good")), out / "bundle", name="demo")
    say(f"method {bundle.spec.provenance['method']}: {bundle.spec.provenance['why']}")
    calibration, _ = measure(
        good.resolved,
        lambda: read_frames(out / "good"),
        source="good",
        outliers="keep",  # all of them are good: the camera was told to show good parts
    )
    save_calibration(calibration, out / "demo.calibration.yaml")
    say(f"threshold from the good frames: {calibration.high:.3g}")
    return load_config(path)


def inspect_live(loaded: Loaded, seconds: float, each_turn: EachTurn) -> int:
    """Run the daemon itself, ended by a timer as SIGTERM would."""
    source = open_source(loaded.config.source, loaded.config.camera, loaded.path.parent)
    if isinstance(source, GenicamSource):
        source = AlternatingBall(source)
    return daemon.run_daemon(loaded, source=Timed(source, seconds), each_turn=each_turn)


class AlternatingBall:
    """The simulated camera shows its ball now good, now a defect. The size is written in the thread that reads."""

    def __init__(self, camera: GenicamSource) -> None:
        self._camera = camera
        self.simulated = camera.simulated
        self._next = 0.0
        self._size = DEFECT_SIZE

    def open(self) -> None:
        self._camera.open()

    def read(self, timeout_s: float) -> Payload | Skip | None:
        now = time.monotonic()
        if now >= self._next:
            size = DEFECT_SIZE if self._size == GOOD_SIZE else GOOD_SIZE
            if self._camera.write(("BouncingBallSize", size)):
                self._size, self._next = size, now + ALTERNATE_S
        return self._camera.read(timeout_s)

    def close(self) -> None:
        self._camera.close()

    def status(self) -> SourceStatus:
        return self._camera.status()


class Timed:
    """A timed source ends after a while."""

    def __init__(self, source: Source, seconds: float) -> None:
        self._source = source
        self.simulated = source.simulated
        self._seconds = seconds
        self._end = float("inf")

    def open(self) -> None:
        self._source.open()
        self._end = time.monotonic() + self._seconds

    def read(self, timeout_s: float) -> Payload | Skip | None:
        if time.monotonic() >= self._end:
            raise EOFError
        return self._source.read(timeout_s)

    def close(self) -> None:
        self._source.close()

    def status(self) -> SourceStatus:
        return self._source.status()


def _write_config(path: Path, *, camera: bool) -> None:
    source: dict[str, object]
    if camera:
        source = GenicamConfig(
            kind="genicam",
            producer="simulated",
            serial="0",
            features=(
                ("PixelFormat", "Mono8"),
                ("Width", 800),
                ("Height", 800),
                ("AcquisitionFrameRate", FPS),
                ("BouncingBallSize", GOOD_SIZE),
            ),
        ).model_dump(mode="json", exclude_defaults=True)
    else:
        source = {"kind": "synthetic", "preset": "easy", "fps": FPS, "defect_rate": 0.3}
    config = {
        "camera": CAMERA,
        "recipe_id": "white-scene" if camera else "synthetic-part",
        "source": source,
        "model": {"bundle": "bundle"},
        "calibration": "demo.calibration.yaml",
        "regions": {"border_px": 2, "smooth": {"kind": "median", "size": 3}, "min_area_px": 16, "merge_gap_px": 2},
        "outputs": {
            "zmq": {"preview": "tcp://127.0.0.1:0"},
            "jsonl": {"dir": "log"},
            "evidence": {"dir": "evidence", "keep": ["fail", "invalid"]},
        },
    }
    path.write_text(
        "# Written by `edge demo`; `edge run -c` runs it again.\n" + yaml.safe_dump(config, sort_keys=False),
        encoding="utf-8",
    )


def _no_progress(_done: int) -> None:
    pass
