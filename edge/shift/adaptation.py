"""Every answer to a shift, tried on the factory's own frames, ranked, and the best one proposed; or the model is kept.

Nothing here runs on a line, and nothing adapts by itself: a person starts it, reads the table, and reloads the line.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from edge.config.bundle import MODEL_NAME, Bundle
from edge.config.bundle_spec import REPORTS
from edge.engines.registration import ready_workspace
from edge.engines.to_map import start as start_job
from edge.errors import UserError
from edge.frames import Frame
from edge.models import graphs
from edge.models.fit.fit import STATISTICS
from edge.models.fit.gather_frames import kept_pictures
from edge.models.fit.self_test import SelfTest
from edge.models.sets.frame_set import FrameSet
from edge.models.write import write_bundle
from edge.preprocess.prepare import FrameSizeMismatch, Workspace
from edge.preprocess.register import PartOutOfPlace
from edge.shift.answers.protocol import AnswerRow, NotOffered, Proposal, Situation
from edge.shift.bundle_trial import PANELS, Trial, TrialBench
from edge.shift.factory_frames import FactoryFrames, factory_frames
from edge.shift.rank import AnswerChoice, Tried, choose
from edge.shift.subject import SELF_TEST, Subject
from edge.shift.suspects import suspects

MOST_LAB = 24
"""Pictures of the lab that features are compared with."""


@dataclass(frozen=True, slots=True)
class Adaptation:
    """All that was tried. ``suspects``: frames left out, and why. ``tested``: the whole self-test of the answer taken."""

    subject: Subject
    factory: FactoryFrames
    suspects: dict[str, str]
    frozen: Trial
    lab_recall: float | None
    tried: tuple[Tried, ...]
    choice: AnswerChoice
    limit: float
    tested: SelfTest | None = None
    contrasts: tuple[float, ...] = PANELS[0]
    """Contrasts of the pasted defects that the recall counts."""


def adapt(
    subject: Subject,
    source: FrameSet,
    answers: Sequence[AnswerRow],
    *,
    limit: float = 0.05,
    adapt_frames: int | None = None,
    lab: FrameSet | None = None,
    backbone: Path | None = None,
    say: Callable[[str, int, int], None] = lambda *_: None,
) -> Adaptation:
    """Try ``answers`` on the good frames of ``source``.

    ``limit``: share of false rejects that the line can live with. ``lab``: frames that the model was made for, where the
    bundle keeps none. ``backbone``: where the bundle's backbone lies, if that is a file.

    Raises:
        UserError: frames that can't be adapted to (``factory_frames``), contaminated ones (``suspects``).
    """
    bundle, levels = subject.bundle, subject.inspector.levels
    lab_pictures, lab_missing = _lab(bundle, lab)
    factory = factory_frames(
        source,
        bundle,
        levels,
        adapt=adapt_frames,
        lab_clipped=_lab_clipped(lab_pictures, bundle),
        seen=lambda done, total: say("reading", done, total),
    )
    every = [(one.file, frame) for one, frame in factory.read([*factory.adapt, *factory.threshold, *factory.judged])]
    odd = suspects(bundle, every, str(source.path), backbone)
    factory = factory.without(frozenset(odd))
    situation = replace(_situation(subject, factory, lab_pictures, lab_missing), backbone=backbone)
    bench = TrialBench(subject, factory)
    say("the model as it is", 0, len(answers))
    frozen = bench.frozen()
    tried = []
    for number, row in enumerate(answers, 1):
        tried.append(_try(row, situation, bench))
        say(row.name, number, len(answers))
    recall = _lab_recall(situation, bench.panel)
    choice = choose(frozen, tried, limit=limit, lab_recall=recall)
    tested = None if choice.taken is None else _tested(choice.taken, bundle, bench)
    return Adaptation(
        subject=subject,
        factory=factory,
        suspects=odd,
        frozen=frozen,
        lab_recall=recall,
        tried=tuple(tried),
        choice=choice,
        limit=limit,
        tested=tested,
        contrasts=bench.panel,
    )


def write_proposal(folder: Path, proposal: Proposal, bundle: Bundle, *, force: bool = False) -> Bundle:
    """The proposal as a bundle, with all files of the old one that still hold."""
    files = {**carried_files(bundle, proposal), **proposal.files}
    model = graphs.load_model(bundle.model_path) if proposal.model is None else proposal.model
    return write_bundle(folder, model, proposal.spec, force=force, files=files)


def carried_files(bundle: Bundle, proposal: Proposal) -> dict[str, bytes]:
    """The old bundle's files that belong to the new one, too: all but the model, and reports that don't hold any more."""
    keep = REPORTS if proposal.keeps_statistics else frozenset[str]()
    dropped = REPORTS - keep | {SELF_TEST, "self_test.png"}
    names = [name for name in bundle.spec.files if not name.startswith(MODEL_NAME) and name not in dropped]
    return {name: (bundle.folder / name).read_bytes() for name in names}


def _try(row: AnswerRow, situation: Situation, bench: TrialBench) -> Tried:
    try:
        proposal = row.propose(situation)
    except (NotOffered, UserError) as reason:  # a damaged file of the bundle ends one answer, and not the others
        return Tried(row, why_not=str(reason))
    with TemporaryDirectory(prefix="edge-adapt-") as place:
        try:
            made = write_proposal(Path(place) / row.name, proposal, situation.bundle)
            return Tried(row, proposal, bench.measured(made))
        except UserError as error:
            return Tried(row, proposal, why_not=str(error))


def _tested(taken: Tried, bundle: Bundle, bench: TrialBench) -> SelfTest | None:
    assert taken.proposal is not None
    assert taken.trial is not None
    with TemporaryDirectory(prefix="edge-adapt-") as place:
        made = write_proposal(Path(place) / "taken", taken.proposal, bundle)
        return bench.self_test(made, taken.trial.threshold)


def _situation(subject: Subject, factory: FactoryFrames, lab: Sequence[NDArray[Any]] | None, lab_missing: str) -> Situation:
    frames, pictures, workspace = [], [], ready_workspace(subject.bundle)
    for _, frame in factory.read(factory.adapt):
        picture = as_graph_takes(frame, subject.bundle, workspace)
        if picture is not None:
            frames.append(frame)
            pictures.append(picture)
    if len(pictures) < 2:
        raise UserError(
            f"{factory.source.path}: the parts lie out of place in the frames to adapt by",
            received=f"{len(pictures)} of {len(factory.adapt)} fit onto the model's reference",
            expected="frames within the limits of the bundle's registration",
            fix="put the camera back, or fit a model on frames of this place: edge fit",
        )
    test: Any = None
    if SELF_TEST in subject.bundle.spec.files:
        test = orjson.loads((subject.bundle.folder / SELF_TEST).read_bytes())
    return Situation(subject.bundle, frames, pictures, lab, lab_missing, test)


def as_graph_takes(frame: Frame, bundle: Bundle, workspace: Workspace | None = None) -> NDArray[Any] | None:
    """The frame's picture, resized and registered, in an array of its own; None if its part lies out of place.

    Of a frame that is cut into tiles: the first tile.

    Raises:
        UserError: the model can't take a frame of this size.
    """
    try:
        image = start_job(frame, bundle, workspace or ready_workspace(bundle)).image
    except PartOutOfPlace:
        return None
    except FrameSizeMismatch as error:
        raise UserError(f"{bundle.folder}: the model can't take these frames", received=str(error)) from None
    whole: NDArray[Any] = image.copy()
    return whole if bundle.spec.tile is None else np.ascontiguousarray(whole[0])


def _lab(bundle: Bundle, lab: FrameSet | None) -> tuple[list[NDArray[Any]] | None, str]:
    """Pictures of the lab: of the set that is named, else those that the bundle keeps."""
    if lab is not None:
        chosen = [frame for frame in lab.frames if frame.label in ("good", None)][:MOST_LAB]
        workspace = ready_workspace(bundle)
        pictures = [as_graph_takes(lab.read(frame), bundle, workspace) for frame in chosen]
        return [picture for picture in pictures if picture is not None], ""
    missing = "the bundle keeps no pictures of the lab: give --lab SET"
    if STATISTICS not in bundle.spec.files:
        return None, missing
    try:
        return kept_pictures((bundle.folder / STATISTICS).read_bytes()), missing
    except (OSError, ValueError) as error:
        return None, f"{STATISTICS}, which keeps pictures of the lab, can't be read ({error}): give --lab SET"


def _lab_clipped(pictures: Sequence[NDArray[Any]] | None, bundle: Bundle) -> float:
    """The share of pixels at white that the lab's pictures have in the middle."""
    if not pictures:
        return 0.0
    white = (1 << bundle.spec.input.bits) - 1
    return float(np.median([np.count_nonzero(picture >= white) / picture.size for picture in pictures]))


def _lab_recall(situation: Situation, contrasts: Sequence[float]) -> float | None:
    """What the bundle's self-test said of the same defects in the lab's frames; None without one."""
    if situation.self_test is None:
        return None
    cells = [cell for cell in situation.self_test.get("cells", ()) if cell["contrast"] in contrasts]
    pasted = sum(cell["pasted"] for cell in cells)
    return sum(cell["seen"] for cell in cells) / pasted if pasted else None
