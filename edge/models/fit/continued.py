"""A fitted bundle as the beginning of another one: more frames are added to it, or two are merged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from edge.config.bundle import Bundle, load_bundle
from edge.engines.registration import read_reference
from edge.errors import UserError
from edge.models.backbone.open import identity_of, open_backbone
from edge.models.fit.fit import STATISTICS, Fit, FitRun, finish_fit, gather_all
from edge.models.fit.fit_plan import FitPlan, FitRequest
from edge.models.fit.gather_frames import GatheredFrames, from_bytes
from edge.models.fit.methods import method_row
from edge.models.fit.protocol import MethodOptions, Pose
from edge.models.frame_sequence import FrameSequence


def plan_of(bundle: Bundle, name: str, backbone: Path | None = None) -> FitPlan:
    """The plan that the bundle was fitted by, for a bundle of this name.

    ``backbone``: where its network lies now, if that is a file.

    Raises:
        UserError: the bundle wasn't made by ``edge fit``, its reference picture can't be read, or ``backbone`` is missing
            or another one.
    """
    made = bundle.spec.provenance
    try:
        options = MethodOptions(
            floor=float(made["options"]["floor"]),
            flat_field=bool(made["options"]["flat_field"]),
            backbone=None,
            layers=tuple(made["options"]["layers"]),
            vectors=int(made["options"]["vectors"]),
            mirror=bool(made["options"].get("mirror", False)),
        )
        shape = cast("tuple[int, int, int]", tuple(int(side) for side in made["picture_shape"]))
        frame_size = cast("tuple[int, int]", tuple(int(side) for side in made["frame_size"]))
        method, pose, why = str(made["method"]), cast("Pose", made["pose"]), str(made["why"])
    except (KeyError, TypeError, ValueError):
        raise UserError(
            f"{bundle.folder}: not a bundle that can be continued",
            received="one that edge build or an older edge fit made",
            expected="one that this edge fit made",
            fix="fit anew on all frames",
        ) from None
    spec = bundle.spec.model_copy(
        update={"name": name, "files": {}, "map_size": None, "map_to_image": (1.0, 1.0, 0.0, 0.0), "provenance": {}}
    )
    reference: Any = None if spec.register_ is None else read_reference(bundle)
    return FitPlan(
        spec=spec,
        method=method,
        options=replace(options, backbone=backbone_of(bundle, backbone), layers=_layers(made) or options.layers),
        pose=pose,
        why=why,
        shape=shape,
        frame_size=frame_size,
        reference=reference,
    )


def backbone_file(bundle: Bundle) -> str | None:
    """Return the name of the file that the bundle's backbone came from; None where edge has it, or where there is none."""
    network = bundle.spec.provenance.get("backbone")
    return str(network.get("file", "FILE")) if isinstance(network, dict) and "name" not in network else None


def _layers(made: Any) -> tuple[str, ...]:
    """The names of the layers that the first fit looked at: another file's own choice may be another one."""
    return tuple(str(layer).rpartition(" (")[0] for layer in made.get("layers", ()))


def backbone_of(bundle: Bundle, given: Path | None) -> Path | None:
    """The network of the first fit: by its name, else the file that is ``given`` now.

    Raises:
        UserError: the file is missing, no network, or another one; the bundle has no network at all.
    """
    network: Any = bundle.spec.provenance.get("backbone") or {}
    if given is not None and not network:
        raise UserError(
            f"--backbone {given}: nothing asks for it",
            received=f"{bundle.folder}, which was made without a backbone",
            expected="a bundle of edge fit --method memory, or of edge train",
            fix="leave --backbone out",
        )
    if given is None:
        file = backbone_file(bundle)
        if file is not None:
            raise UserError(
                f"{bundle.folder}: its backbone is a file, which bundles don't keep",
                received="no --backbone",
                expected=f"--backbone {file}, the one that it was made with",
            )
        return Path(network["name"]) if network else None
    own = identity_of(open_backbone(given, None).provenance)
    if own != identity_of(network):
        raise UserError(
            f"--backbone {given}: another network than that of {bundle.folder}",
            received=own,
            expected=f"{network.get('file') or network.get('name')}, {identity_of(network)}",
            fix="give the --backbone of the first fit",
        )
    return given


def statistics_of(bundle: Bundle, plan: FitPlan) -> GatheredFrames:
    """What the bundle was fitted on, as sums.

    Raises:
        UserError: its method keeps none, or they are damaged.
    """
    if STATISTICS not in bundle.spec.files:
        raise UserError(
            f"{bundle.folder}: keeps no statistics to go on from",
            received=f"method {plan.method}",
            expected="a method whose statistics merge: "
            + ", ".join(name for name in ("residual", "cells", "pixel") if method_row(name).mergeable),
            fix="fit anew on all frames",
        )
    try:
        return from_bytes((bundle.folder / STATISTICS).read_bytes(), plan)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{bundle.folder / STATISTICS}: not the statistics of this bundle",
            received=f"no array {error}" if isinstance(error, KeyError) else error,
            fix="fit anew on all frames",
        ) from None


def fit_like(base: Path, frames: FrameSequence, request: FitRequest, run: FitRun) -> Fit:
    """Fit on new frames with the reference, method and options of ``base``; such bundles can be merged."""
    plan = plan_of(load_bundle(base), request.name, request.options.backbone)
    gathered, lost = gather_all(plan, frames, run, frozenset())
    return finish_fit(plan, gathered, frames, request.source, run, lost)


def add_frames(base: Path, frames: FrameSequence, request: FitRequest, run: FitRun) -> Fit:
    """The bundle ``base`` with more frames. Outliers are looked for among the new ones.

    Raises:
        UserError: ``base`` can't be continued, or too few of the frames can be used.
    """
    bundle = load_bundle(base)
    plan = plan_of(bundle, request.name, request.options.backbone)
    gathered = statistics_of(bundle, plan)
    more, lost = gather_all(plan, frames, run, frozenset())
    gathered.merge(more)
    gathered.notes.survey.check(request.source)
    return finish_fit(plan, gathered, frames, request.source, run, lost, before=lambda: statistics_of(bundle, plan))


def merge_bundles(bundles: tuple[Path, ...], name: str, run: FitRun, backbone: Path | None = None) -> Fit:
    """One model of all frames that these bundles were fitted on, in their order; no frame is read again.

    ``backbone``: where their network lies now, if that is a file.

    Raises:
        UserError: they differ in what a frame meets: reference, size, method, options. Both are named.
    """
    first = load_bundle(bundles[0])
    plan = plan_of(first, name, backbone)
    whole = statistics_of(first, plan)
    for path in bundles[1:]:
        other = load_bundle(path)
        _check_alike(first, other)
        whole.merge(statistics_of(other, plan))
    return finish_fit(plan, whole, (), " and ".join(map(str, bundles)), run)


def _check_alike(first: Bundle, other: Bundle) -> None:
    for what, a, b in _differing(first, other):
        if a != b:
            raise UserError(
                f"{first.folder} and {other.folder} cannot be merged: they differ in {what}",
                received=f"{first.folder}: {a}; {other.folder}: {b}",
                expected="bundles fitted with the same reference, size, method and options",
                fix=f"fit the second on its frames with --like {first.folder}",
            )


def _differing(first: Bundle, other: Bundle) -> list[tuple[str, Any, Any]]:
    def reference(bundle: Bundle) -> str:
        register = bundle.spec.register_
        return "none" if register is None else f"{register.reference} {bundle.spec.files[register.reference][:12]}"

    def made(bundle: Bundle, key: str) -> Any:
        return bundle.spec.provenance.get(key)

    def options(bundle: Bundle) -> Any:
        known = made(bundle, "options")  # where the backbone's file lay is no difference; layers are compared themselves
        return {k: v for k, v in known.items() if k not in ("backbone", "layers")} if isinstance(known, dict) else known

    return [
        ("their method", made(first, "method"), made(other, "method")),
        ("their pictures' size", made(first, "picture_shape"), made(other, "picture_shape")),
        ("their reference picture", reference(first), reference(other)),
        ("their options", options(first), options(other)),
        ("their backbone", identity_of(made(first, "backbone") or {}), identity_of(made(other, "backbone") or {})),
        ("their layers", made(first, "layers"), made(other, "layers")),
        ("their illumination", first.spec.illumination, other.spec.illumination),
    ]
