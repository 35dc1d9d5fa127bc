"""A training goes on from a bundle of ``edge fit`` or of an earlier training: its plan, its memory, its head."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from edge.config.bundle import Bundle
from edge.errors import UserError
from edge.models.fit.continued import plan_of, statistics_of
from edge.models.fit.fit import STATISTICS
from edge.models.fit.fit_plan import FitPlan, FitRequest
from edge.models.fit.gather_frames import GatheredFrames
from edge.models.sets.used import fitted_on
from edge.models.train.fused_graph import LearnedWeights
from edge.models.train.head_weights import HEAD, read_head_weights
from edge.models.train.network_weights import NETWORK, check_shape, read_network_weights
from edge.models.train.options import TrainOptions, is_network

MADE_BY = "plan"
"""Key of a trained bundle's provenance: what ``plan_of`` reads of a fitted one."""


def plan_from(base: Bundle, request: FitRequest) -> FitPlan:
    """The plan that ``base`` was made by: pose, reference, size, backbone.

    Raises:
        UserError: it was made in another way, or by a fit of another method.
    """
    fitted = as_fitted(base)
    method = fitted.spec.provenance.get("method", "memory")
    if method != "memory":
        raise UserError(
            f"{base.folder}: not a bundle that a training can go on from",
            received=f"method {method}",
            expected="a bundle of edge fit --method memory, or of edge train",
            fix="fit one: edge fit FRAMES -o BUNDLE --method memory; or train without --from",
        )
    return plan_of(fitted, request.name, request.options.backbone)


def memory_of(base: Bundle, plan: FitPlan, known: frozenset[str]) -> GatheredFrames | None:
    """What a fitted bundle remembers; None if it keeps nothing, or has seen some of the frames that are ``known`` too.

    A frame that is remembered twice would hold two places of the bank.
    """
    if STATISTICS not in base.spec.files:
        return None
    gathered = statistics_of(base, plan)
    return None if known & set(gathered.notes.contents) else gathered


def learned_file(options: TrainOptions) -> str:
    """Return the file of a bundle that holds what such a training learns."""
    return NETWORK if is_network(options) else HEAD


def has_other_kind(base: Bundle | None, options: TrainOptions) -> bool:
    """Whether a bundle has a network where such a training learns a head, or a head where it learns a network."""
    return (
        base is not None and learned_file(options) not in base.spec.files and bool({HEAD, NETWORK} & set(base.spec.files))
    )


def learned_of(
    base: Bundle, options: TrainOptions, features: int, channels: int, judges: Iterable[str] = ()
) -> LearnedWeights | None:
    """The head or network of a trained bundle; None if it has none such, or if it has seen a frame of ``judges``.

    ``features``: of each place of the memory; ``channels``: of a picture. ``judges``: ids of the frames that it would be
    validated on, gone through only if there is something. Raises UserError where it is of another shape.
    """
    path = base.folder / learned_file(options)
    if path.name not in base.spec.files:
        return None
    found: LearnedWeights
    if is_network(options):
        found = read_network_weights(path)
        check_shape(path, found, channels, options.width)
    else:
        found = read_head_weights(path, features, options.hidden)
    return None if fitted_on(base).intersection(judges) else found


def lost_to_adapt(base: Bundle) -> tuple[str, ...]:
    """Return what a bundle that was trained keeps no more since an answer of ``edge adapt`` changed its graph."""
    if MADE_BY not in base.spec.provenance or STATISTICS in base.spec.files:
        return ()
    return ("memory",) if {HEAD, NETWORK} & set(base.spec.files) else ("memory", "head")


def as_fitted(base: Bundle) -> Bundle:
    """A trained bundle with the provenance that a fitted one has."""
    made = base.spec.provenance.get(MADE_BY)
    if not isinstance(made, dict):
        return base
    return replace(base, spec=base.spec.model_copy(update={"provenance": made}))
