"""What a warm engine must do on generated pictures before it gets frames: finite maps, and the same numbers in batches."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, islice
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

from edge.config.bundle import Bundle
from edge.engines import Engine
from edge.engines.batch import Batching, kept
from edge.engines.graph_io import blank_picture
from edge.engines.tolerance import generated_pictures
from edge.errors import UserError

log = structlog.get_logger()


def check_finite(engine: Engine) -> None:
    """Raises UserError where no value of any map is finite: every frame would be ``invalid``.

    One inference with any other model: the first finite value is enough. What a map lacks on some frames is a fault of
    the running line.
    """
    pictures = _pictures(engine.bundle)
    if not any(np.isfinite(engine.infer(picture).map).any() for picture in pictures.values()):
        raise UserError(
            f"{engine.bundle.model_path}: the model's map is NaN or infinite on every picture",
            received=f"tried on {', '.join(pictures)}, with {engine.name} in {engine.precision}",
            expected="finite numbers",
            fix="run `edge build` on the original model, or use the bundle that ran before",
        )


def settle_batch(engine: Engine, wanted: int) -> None:
    """Set ``engine.batch`` to 1 where ``wanted`` pictures can't go through at once, and log why."""
    spec = engine.bundle.spec
    if not isinstance(engine, Batching):
        why: str | None = f"{engine.name} takes one picture at a time"
    elif spec.tile is not None:
        why = "the tiles of a frame go in together already"
    elif engine.batch == 1:
        why = "the model takes one picture at a time: it was exported with a fixed batch"
    else:
        why = _why_no_batch(engine, engine.bundle, reduced=engine.precision != "fp32")
        engine.batch = 1 if why is not None else engine.batch
    if why is not None:
        log.warning("no_batches", wanted=wanted, why=why, effect="pictures go in one by one")


def _why_no_batch(engine: Batching, bundle: Bundle, *, reduced: bool) -> str | None:
    """None where each picture of a run gets its own map.

    Graphs may say that they take any number of pictures and then mix them, or hold a shape of one inside. Maps may differ
    by the bundle's tolerance, as a share of the range that they span together.
    """
    generated = _pictures(bundle)
    two = [generated["noise"], generated["a nearly black picture"]]  # as far apart as pictures are
    pictures = np.stack(list(islice(cycle(two), engine.batch)))
    alone = list(islice(cycle([kept(engine.infer(picture)) for picture in two]), engine.batch))
    try:
        together = engine.infer_batch(pictures)
    except Exception as error:  # noqa: BLE001  (runtimes' exceptions have no common base but this)
        return f"it fails on {len(pictures)} at once: {str(error).strip().partition(chr(10))[0]}"
    limit = bundle.spec.tolerance.reduced if reduced else bundle.spec.tolerance.fp32
    same = _near([p.map for p in alone], [p.map for p in together], limit)
    if alone[0].score is not None:
        same = same and _near([p.score for p in alone], [p.score for p in together], limit)
    return None if same else "its map or score of a picture depends on the others of the run"


def _near(wanted: Sequence[Any], got: Sequence[Any], limit: float) -> bool:
    one, other = np.array(wanted), np.array(got)
    finite = np.isfinite(one)
    if one.shape != other.shape or not np.array_equal(finite, np.isfinite(other)):
        return False
    values = one[finite]
    return not values.size or bool(np.abs(other[finite] - values).max() <= limit * (values.max() - values.min()))


def _pictures(bundle: Bundle) -> dict[str, NDArray[Any]]:
    height, width, channels = blank_picture(bundle).shape
    return generated_pictures((width, height), channels, bundle.spec.input.bits)
