"""The new version of a bundle, and the way back: what it was made from, what was tried, before and after.

A bundle is never changed. A new version is a new folder whose provenance names the old one by its hash, so that ``--undo``
can find it, check it, and give it back byte for byte.
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
from pathlib import Path
from typing import Any, Final

import edge
from edge.config.bundle import SPEC_NAME, Bundle, load_bundle
from edge.config.bundle_spec import DisplaySpec
from edge.errors import UserError
from edge.models.sets.used import KEY, STATISTICS, fitted_on
from edge.models.write import check_target, put_in_place
from edge.shift.adaptation import Adaptation, write_proposal
from edge.shift.answers.protocol import Proposal
from edge.shift.bundle_trial import Trial
from edge.shift.rank import Tried
from edge.storage.pictures import encode_png

ADAPTED: Final = "adapted"
"""Key of a bundle's provenance."""
ADAPT_SCHEMA: Final = 1


def write_version(folder: Path, done: Adaptation, *, force: bool = False) -> Bundle:
    """Write the answer that was taken as a bundle of its own.

    Raises:
        UserError: ``folder`` is the old bundle, or can't be replaced.
    """
    taken = done.choice.taken
    assert taken is not None
    assert taken.proposal is not None
    assert taken.trial is not None
    old = done.subject.bundle
    refuse_own(folder, old)
    proposal, threshold = taken.proposal, taken.trial.threshold
    files = dict(proposal.files)
    if done.tested is not None:
        files |= {"self_test.json": done.tested.to_json(), "self_test.png": encode_png(done.tested.sheet)}
    provenance = dict(proposal.spec.provenance)
    if not (proposal.keeps_statistics and STATISTICS in files):
        used = fitted_on(old) | frozenset(done.factory.ids_of(done.factory.adapt).split())
        provenance[KEY] = " ".join(sorted(used))
    provenance[ADAPTED] = adaptation_provenance(done, taken, folder)
    display = DisplaySpec(threshold=threshold, range=(0.0, 2 * threshold) if threshold > 0 else old.spec.display.range)
    spec = proposal.spec.model_copy(update={"name": folder.absolute().name, "display": display, "provenance": provenance})
    whole = Proposal(proposal.summary, proposal.model, spec, files, proposal.keeps_statistics)
    return write_proposal(folder, whole, old, force=force)


def adaptation_provenance(done: Adaptation, taken: Tried, folder: Path) -> dict[str, Any]:
    """What stands under ``adapted`` in the new bundle's provenance."""
    old = done.subject.bundle
    assert taken.proposal is not None
    return {
        "by": f"edge {edge.__version__}",
        "at": dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
        "answer": taken.row.name,
        "what": taken.proposal.summary,
        "from": {"name": old.spec.name, "sha256": old.sha256, "folder": _relative(old.folder, folder)},
        "source": str(done.factory.source.path),
        "before": trial_json(done.frozen),
        "after": trial_json(taken.trial),
        "why": done.choice.why,
        "tried": [row_json(one) for one in done.tried],
        "suspects": sorted(done.suspects),
        "adapted_on": done.factory.ids_of(done.factory.adapt),
        "threshold_on": done.factory.ids_of(done.factory.threshold),
    }


def report(done: Adaptation) -> dict[str, Any]:
    """Everything for ``--json``."""
    factory = done.factory
    return {
        "schema": ADAPT_SCHEMA,
        "kind": "adaptation",
        "model": {"name": done.subject.bundle.spec.name, "sha256": done.subject.bundle.sha256},
        "threshold_from": done.subject.threshold_from,
        "frames": {"adapt": len(factory.adapt), "threshold": len(factory.threshold), "judged": len(factory.judged)},
        "suspects": done.suspects,
        "limit": done.limit,
        "lab_recall": done.lab_recall,
        "recall_contrasts": list(done.contrasts),
        "before": trial_json(done.frozen),
        "answers": [row_json(one) for one in done.tried],
        "taken": None if done.choice.taken is None else done.choice.taken.row.name,
        "why": done.choice.why,
        "notes": list(factory.notes),
    }


def trial_json(trial: Trial | None) -> dict[str, Any] | None:
    """A trial's figures, rounded."""
    if trial is None:
        return None
    low, high = trial.interval
    return {
        "threshold": trial.threshold,
        "false_rejects": round(trial.false_rejects, 4),
        "interval": [round(low, 4), round(high, 4)],
        "rejected": trial.rejected,
        "frames": trial.frames,
        "recall": None if trial.recall != trial.recall else round(trial.recall, 4),
        "ms": round(trial.ms, 2),
    }


def row_json(one: Tried) -> dict[str, Any]:
    """One answer's row."""
    return {
        "answer": one.row.name,
        "what": None if one.proposal is None else one.proposal.summary,
        "trial": trial_json(one.trial),
        "why_not": one.why_not,
    }


def undo(bundle: Bundle) -> Bundle:
    """The version that ``bundle`` was adapted from, checked file by file.

    Raises:
        UserError: it wasn't adapted, or the old version isn't there any more or is another one.
    """
    made = bundle.spec.provenance.get(ADAPTED)
    if not isinstance(made, dict):
        raise UserError(
            f"{bundle.folder}: not adapted, so there is nothing to undo",
            received="a bundle without 'adapted' in its provenance",
            expected="one that edge adapt wrote",
        )
    origin = made["from"]
    places = [bundle.folder / origin["folder"], Path(origin["folder"]), bundle.folder.absolute().parent / origin["name"]]
    for place in places:
        if (place / SPEC_NAME).is_file():
            old = load_bundle(Path(place).resolve())
            if old.sha256 == origin["sha256"]:
                return old
    raise UserError(
        f"{bundle.folder}: the version that it was adapted from isn't there",
        received=", ".join(str(place) for place in dict.fromkeys(places)),
        expected=f"{origin['name']} with hash {origin['sha256'][:12]}",
        fix="copy it back from where it is kept, beside the new one",
    )


def copy_bundle(old: Bundle, folder: Path, *, force: bool = False) -> Bundle:
    """The same bundle in another folder, byte for byte; whoever reads sees what was there or all of it.

    Raises:
        UserError: ``folder`` can't be replaced.
    """
    refuse_own(folder, old)
    check_target(folder, force=force)

    def fill(scratch: Path) -> None:
        for name in (*old.spec.files, SPEC_NAME):
            (scratch / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(old.folder / name, scratch / name)

    put_in_place(folder, fill)
    return load_bundle(folder)


def refuse_own(folder: Path, old: Bundle) -> None:
    """Refuse to write over the bundle that is being adapted: the way back would be lost."""
    if folder.resolve() == old.folder.resolve():
        raise UserError(
            f"{folder}: is the bundle that is read, and the way back would be lost",
            expected="another folder",
            fix=f"for example {old.folder.absolute().parent / (old.folder.name + '-adapted')}",
        )


def _relative(old: Path, new: Path) -> str:
    """The old folder as seen from the new one, so that both can be moved together."""
    return os.path.relpath(old.absolute(), new.absolute())
