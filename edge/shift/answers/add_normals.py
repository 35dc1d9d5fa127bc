"""The answers ``add-1`` and ``add-3``: the factory's good frames join the statistics that the model was made from."""

from __future__ import annotations

from edge.errors import UserError
from edge.models.fit.continued import backbone_file, plan_of, statistics_of
from edge.models.fit.fit import Fit, bundle_files, spec_of
from edge.models.fit.fit_plan import FitPlan
from edge.models.fit.gather_frames import GatheredFrames, gather_frames
from edge.shift.answers.protocol import NotOffered, Proposal, Situation


def propose(situation: Situation, weight: int) -> Proposal:
    """The model of all frames so far and of these, each ``weight`` times."""
    plan = plan_for(situation)
    try:
        gathered = statistics_of(situation.bundle, plan)
    except UserError as error:
        raise NotOffered(str(error)) from None
    before = gathered.statistics.frames
    more = gather_frames(plan, situation.frames)
    gathered.merge(more)
    # each once is in by now; a frame that counts three times is no three frames, so it is kept and noted once
    for picture in situation.pictures:
        for _ in range(weight - 1):
            gathered.statistics.add(picture)
    times = f", each {weight} times," if weight > 1 else ""
    return proposal_of(gathered, plan, situation, f"{len(situation.frames)} frames{times} added to {before}")


def plan_for(situation: Situation) -> FitPlan:
    """How the bundle's own frames were prepared. Raises NotOffered for bundles that this ``edge fit`` didn't make, and
    where their backbone isn't given.
    """
    file = backbone_file(situation.bundle)
    if file is not None and situation.backbone is None:
        raise NotOffered(f"the bundle's backbone is a file, which it doesn't keep: give --backbone {file}")
    try:
        return plan_of(situation.bundle, situation.bundle.spec.name, situation.backbone)
    except UserError:
        raise NotOffered("the model isn't of edge fit, so frames can't be added to it: train it anew with them") from None


def proposal_of(gathered: GatheredFrames, plan: FitPlan, situation: Situation, sentence: str) -> Proposal:
    """The model of what was gathered, with the bundle's other files."""
    try:
        model = gathered.statistics.model(gathered.kept.pictures())
    except UserError as error:
        raise NotOffered(str(error)) from None
    fitted = Fit(plan, gathered, model)
    spec = spec_of(fitted, str(situation.bundle.spec.provenance.get("source", "")))
    return Proposal(sentence, model.graph, spec, bundle_files(fitted), keeps_statistics=True)
