"""A training becomes a bundle: model, reference, head, self-test, and how it came to be."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

import edge
from edge.config.bundle import Bundle
from edge.config.bundle_spec import BundleSpec, DisplaySpec
from edge.disturb.synthetic import chosen
from edge.models.fit.fit import Fit, bundle_files, spec_of
from edge.models.sets.used import KEY
from edge.models.train.checkpoint import Epoch
from edge.models.train.go_on import MADE_BY, learned_file
from edge.models.train.network_graph import ALONE_SCALE
from edge.models.train.options import TrainOptions, is_network
from edge.models.train.train import Trained
from edge.models.write import write_bundle

METHOD = "train"
HISTORY = "training.json"
_SCALED = "(value - middle) / (edge - middle) by good frames of parts that neither has seen"
_MEMORY = "distance of a place's features to the nearest of a bank"
_LEARNED = {
    False: "the logit of a head that was trained on defects",
    True: "the logit of a network that was trained on defects",
}


def write_trained(folder: Path, trained: Trained, options: TrainOptions, source: str, *, force: bool = False) -> Bundle:
    """Write the bundle. Raises UserError as ``write_bundle`` does."""
    fitted = _as_fit(trained)
    files = bundle_files(fitted)
    files[learned_file(options)] = trained.weights.to_bytes()
    files[HISTORY] = orjson.dumps([asdict(epoch) for epoch in trained.history], option=orjson.OPT_INDENT_2)
    spec = _spec(trained, options, fitted, source)
    return write_bundle(folder, trained.graph, spec, force=force, files=files)


def _as_fit(trained: Trained) -> Fit:
    """The memory of a training as ``edge fit`` would have made it, which is what a later one goes on from."""
    memory = trained.memory.model(())
    return Fit(trained.plan, trained.gathered, memory, tested=trained.tested)


def _spec(trained: Trained, options: TrainOptions, fitted: Fit, source: str) -> BundleSpec:
    spec = spec_of(fitted, source)
    roles, kept = trained.roles, [epoch for epoch in trained.history if epoch.kept][-1]
    provenance: dict[str, Any] = {
        "built_with": f"edge {edge.__version__}",
        "built_at": dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
        "method": METHOD,
        "formula": _formula(options, trained.scales.weight),
        "preset": options.preset,
        "options": asdict(options),
        "synthetic": [kind.name for kind in chosen(options.without)],
        "source": source,
        "frames": {
            "good": len(roles.good),
            "false_positives": len(roles.false_positives),
            "defects": len(roles.defects),
            "validated_good": len(roles.validated_good),
            "validated_defects": len(roles.validated_defects),
        },
        "epochs": len(trained.history),
        "kept": _numbers(kept),
        "stopped": trained.stopped,
        "pretraining_stopped": trained.pretraining,
        "scales": asdict(trained.scales),
        KEY: " ".join(trained.used),
        MADE_BY: {key: value for key, value in spec.provenance.items() if key not in ("built_with", "built_at")},
    }
    display = DisplaySpec(threshold=trained.threshold, range=(0.0, 2 * trained.threshold))
    changed: dict[str, Any] = {"display": display, "provenance": provenance}
    if options.alone:
        changed |= {"map_to_image": (float(ALONE_SCALE), float(ALONE_SCALE), 0.0, 0.0), "map_size": None}
    return spec.model_copy(update=changed)


def _formula(options: TrainOptions, weight: float) -> str:
    learned = _LEARNED[is_network(options)]
    return f"{_SCALED}: {learned}" if options.alone else f"{_MEMORY}, and {weight:g} times {learned}, each {_SCALED}"


def _numbers(epoch: Epoch) -> dict[str, Any]:
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in asdict(epoch).items()}
