"""``edge fit``: a model from the line's own good frames."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from edge.cli._bars import spread_bar
from edge.cli._console import labelled, text_console
from edge.cli._declared import IlluminationOption, illumination_of
from edge.cli._good_frames import KeepOption, LeaveOutOfFitOption, outliers_choice, show_notes
from edge.cli._incomplete import end_if_incomplete
from edge.cli._json import JsonOption, print_json
from edge.cli._options import BitsOption, ClusterOption
from edge.cli.build import parse_size
from edge.cli.bundle import light_and_tile_rows
from edge.config.bundle import SPEC_NAME, Bundle
from edge.errors import UserError
from edge.models.backbone import lite0
from edge.models.fit.continued import add_frames, fit_like, merge_bundles
from edge.models.fit.fit import Fit, FitRun, write_fit
from edge.models.fit.fit import fit as fit_frames
from edge.models.fit.fit_plan import FitRequest, PoseChoice
from edge.models.fit.methods import MethodName
from edge.models.fit.outlier_pictures import write_outlier_pictures
from edge.models.fit.protocol import MethodOptions
from edge.models.frame_sequence import FrameSequence
from edge.models.frame_survey import outliers_text
from edge.models.good_frames import GoodFrames, good_frames
from edge.models.write import check_target

FEW_OUTLIERS = 0.05
"""Share of the frames up to which outliers are left out unasked; a set with more is one to look through."""


def fit(
    places: Annotated[
        list[Path],
        typer.Argument(metavar="FOLDER...", help="Good frames: pictures, recordings or videos. With --merge: bundles."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="BUNDLE", help="The bundle to write.")],
    method: Annotated[
        MethodName | None, typer.Option(help="What is made of the frames. Default: what suits the pose.")
    ] = None,
    pose: Annotated[
        PoseChoice, typer.Option(help="fixed: parts lie alike. texture: they don't. auto: the first frames tell.")
    ] = "auto",
    name: Annotated[
        str | None, typer.Option(help="What records call the model. Default: the bundle folder's name.")
    ] = None,
    size: Annotated[str | None, typer.Option(metavar="W,H", help="Picture that the model sees, in px.")] = None,
    max_side: Annotated[int, typer.Option(min=16, help="Without --size: larger frames shrink to this longer side.")] = 1024,
    floor: Annotated[float, typer.Option(help="Grey levels of deviation allowed everywhere.")] = 2.0,
    flat_field: Annotated[
        bool, typer.Option("--flat-field", help="residual: take slow changes of the light off each frame.")
    ] = False,
    backbone: Annotated[
        Path | None,
        typer.Option(
            metavar="lite0|gabor|ONNX",
            help="memory: whose features are used. Default: lite0 where the extra backbone is installed, else gabor.",
        ),
    ] = None,
    layers: Annotated[str | None, typer.Option(metavar="A,B", help="The backbone's layers.")] = None,
    vectors: Annotated[int, typer.Option(min=16, help="memory: most feature vectors to keep.")] = 4000,
    mirror: Annotated[
        bool,
        typer.Option("--mirror", help="memory: remember each frame mirrored, too, because parts may lie either way."),
    ] = False,
    illumination: IlluminationOption = None,
    add: Annotated[
        list[Path] | None,
        typer.Option("--add", metavar="MORE", help="More good frames; FOLDER may then be a bundle that they are added to."),
    ] = None,
    like: Annotated[
        Path | None, typer.Option(metavar="BUNDLE", help="Take reference, method and options from this bundle.")
    ] = None,
    merged: Annotated[bool, typer.Option("--merge", help="Merge bundles that share a reference; reads no frame.")] = False,
    leave_out: LeaveOutOfFitOption = False,
    keep: KeepOption = False,
    bits: BitsOption = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes. Default: one for each core, where there are frames enough.")
    ] = None,
    cluster: ClusterOption = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep finished shards beside the bundle, and go on from those that are there.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing bundle.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Fit a model on good frames, list what doesn't belong among them, and test what it can find."""
    check_target(out, force=force)
    console = text_console(stderr=as_json)
    choice = outliers_choice(leave_out=leave_out, keep=keep)
    request = FitRequest(
        name=name or out.absolute().name,
        method=method,
        pose=pose,
        size=parse_size(size),
        max_side=max_side,
        illumination=illumination_of(illumination),
        options=MethodOptions(
            floor=floor,
            flat_field=flat_field,
            backbone=backbone.absolute() if backbone is not None and backbone.exists() else backbone,
            layers=tuple(filter(None, (layers or "").split(","))),
            vectors=vectors,
            mirror=mirror,
        ),
        source=", ".join(map(str, [*places, *(add or ())])),
    )
    base, frames = (None, None) if merged else _frames(console, places, add or [], bits)
    if mirror:
        _check_fits_anew("--merge" if merged else "--like" if like is not None else None if base is None else str(base))
    parts = out.with_name(f"{out.name}.parts")
    with spread_bar() as bar:
        run = FitRun(
            workers=workers,
            cluster=cluster,
            kept_in=parts if resume else None,
            leave_out={"leave_out": 1.0, "keep": 0.0, "refuse": FEW_OUTLIERS}[choice],
            progress=bar,
        )
        if frames is not None and cluster is not None:
            frames = frames.absolute()
        if frames is None:
            fitted = _merged(places, request, run, add=add, like=like)
        elif base is not None:
            fitted = add_frames(base, frames, request, run)
        else:
            fitted = fit_frames(frames, request, run) if like is None else fit_like(like, frames, request, run)
    pictures = write_outlier_pictures(fitted, frames, out)
    if fitted.outliers and choice == "refuse" and not fitted.left_out:
        _show_outliers(console, fitted, pictures)
        raise UserError(
            f"{request.source}: some good frames are unlike the others",
            received=outliers_text(fitted.outliers, len(fitted.scores)),
            expected="good frames alone: the model learns a defect among them as if it were good",
            fix="look at them, then say --leave-out-outliers, or --keep-outliers if they are good",
        )
    bundle = write_fit(out, fitted, request.source, force=force)
    if resume and not fitted.lost:
        shutil.rmtree(parts, ignore_errors=True)
    if as_json:
        print_json(_as_json(fitted, bundle, pictures, _notes(fitted, chosen=size is not None)))
    else:
        _show(console, fitted, bundle, pictures, chosen=size is not None)
    end_if_incomplete(_lacks(fitted, frames))


def _check_fits_anew(other: str | None) -> None:
    """Raise UserError where frames are to be mirrored, but ``other`` has said already how they are remembered."""
    if other is not None:
        raise UserError(
            "--mirror is of a new fit",
            received=f"{other}, whose bundle has its own way",
            expected="frames alone",
            fix="leave --mirror out, or fit anew on all frames",
        )


def _frames(console: Console, places: list[Path], add: list[Path], bits: int | None) -> tuple[Path | None, FrameSequence]:
    """The bundle that frames are added to, if the first place is one, and the frames."""
    base = places[0] if add and (places[0] / SPEC_NAME).is_file() else None
    good: list[GoodFrames] = []
    for place in [*(places if base is None else places[1:]), *add]:
        good.append(good_frames(place, bits))
        show_notes(console, good[-1].notes)
    return base, FrameSequence.of(*good)


def _merged(places: list[Path], request: FitRequest, run: FitRun, *, add: list[Path] | None, like: Path | None) -> Fit:
    if len(places) < 2 or add or like:
        raise UserError(
            "--merge: takes two or more bundles and nothing else",
            received=f"{len(places)} bundle{'s' * (len(places) != 1)}" + (" and --add" if add else ""),
            fix="edge fit --merge A B -o C",
        )
    return merge_bundles(tuple(places), request.name, run, request.options.backbone)


def _lacks(fitted: Fit, frames: FrameSequence | None) -> list[str]:
    """What should be in the model and isn't, in words."""
    unread = len(fitted.gathered.notes.unreadable)
    words = [f"{unread} frame{'s' * (unread != 1)} could not be read"] if unread else []
    words += [f"{lost.name} ended two workers ({lost.how}); it is not in the model" for lost in fitted.lost]
    beside = [place for place in (frames.places if frames else ()) if place.not_taken]
    return words + [f"left out of {place.folder}: {place.not_taken}" for place in beside]


def _as_json(fitted: Fit, bundle: Bundle, pictures: Mapping[int, Path], notes: list[str]) -> dict[str, Any]:
    """Return what was fitted, for programs."""
    made, (height, width, channels) = bundle.spec.provenance, fitted.plan.shape
    return {
        "bundle": bundle.folder,
        "sha256": bundle.sha256,
        "frames": made["frames"],
        "size": "any" if bundle.spec.input.size == "any" else [width, height],
        "channels": channels,
        "method": fitted.plan.method,
        "pose": fitted.plan.pose,
        "why": fitted.plan.why,
        "notes": notes,
        "unreadable": fitted.gathered.notes.unreadable,
        "out_of_place": [{"frame": name, "why": why} for name, why in fitted.gathered.notes.out_of_place],
        "outliers": [
            {"frame": one.name, "maximum": one.maximum, "z": one.z, "picture": pictures.get(one.index)}
            for one in fitted.outliers
        ],
        "left_out": fitted.left_out_names,
        "self_test": None if fitted.tested is None else list(fitted.tested.sentences()),
    }


def _show(console: Console, fitted: Fit, bundle: Bundle, pictures: Mapping[int, Path], *, chosen: bool) -> None:
    made, notes, plan = bundle.spec.provenance, fitted.gathered.notes, fitted.plan
    height, width, channels = plan.shape
    size = "any size" if bundle.spec.input.size == "any" else f"{width}x{height}"
    console.print(f"fitted on {made['frames']} frames, {size} {'grey' if channels == 1 else 'RGB'}, method {plan.method}")
    console.print(f"pose: {plan.pose}: {plan.why}")
    if "layers" in made:
        network = made["backbone"].get("backbone") or made["backbone"].get("file")
        console.print(f"features: {network}; {', '.join(made['layers'])}")
    for what, text in light_and_tile_rows(bundle.spec):
        console.print(Text.assemble(f"{what}: ", text))
    for note in _notes(fitted, chosen=chosen):
        console.print(labelled("note:", "yellow", note))
    for ref in notes.unreadable:
        console.print(labelled("skipped:", "yellow", f"{ref} cannot be read"))
    for ref, why in notes.out_of_place:
        console.print(labelled("skipped:", "yellow", f"{ref}: {why}"))
    _show_outliers(console, fitted, pictures)
    if fitted.tested is not None:
        console.print(f"self-test on {fitted.tested.frames} good frames (self_test.json, self_test.png):")
        for sentence in fitted.tested.sentences():
            console.print(f"  {sentence}")
        allowed = [change.name.replace("_", " ") for change in fitted.tested.changes if change.allowed]
        console.print(f"  the part allows: {', '.join(allowed) if allowed else 'no flip and no shift'}")
    console.print(f"wrote {bundle.folder}, model {bundle.sha256[:12]}")


def _show_outliers(console: Console, fitted: Fit, pictures: Mapping[int, Path]) -> None:
    for outlier in fitted.outliers:
        left = " (left out)" if outlier.index in fitted.left_out else ""
        picture = pictures.get(outlier.index, "its picture can't be read any more")
        text = f"{outlier.name}: maximum {outlier.maximum:.4g}, {outlier.z:.0f} times the usual spread{left}; {picture}"
        console.print(labelled("outlier:", "yellow", text))


def _notes(fitted: Fit, *, chosen: bool) -> list[str]:
    """What a person should know of the frames. ``chosen``: somebody said which size they are brought to."""
    notes, (height, width, _) = fitted.gathered.notes, fitted.plan.shape
    to = f"{width}x{height}" + ("" if chosen else ", their median (--size W,H chooses another)")
    words = notes.survey.notes(any_size=fitted.plan.spec.input.size == "any", to=to)
    if notes.clipped:
        share = notes.clipped_ppm / notes.clipped / 1e6
        words.append(
            f"clipped: in {notes.clipped} of {notes.used} frames {share:.1%} of the pixels are at the highest level, where "
            "nothing can be seen: reduce exposure"
        )
    if "Gabor" in str(fitted.model.provenance.get("backbone")) and not lite0.is_installed():
        words.append(
            "the features are Gabor filters, for the extra backbone is not installed; its features find more (AUROC 0.86 "
            "instead of 0.70 in docs/backbones.md): pip install 'edge-inspect[backbone]', or -e '.[backbone]' in a clone"
        )
    if count := len(fitted.left_out):
        words.append(
            f"{count} of {count + notes.used} frames {'is' if count == 1 else 'are'} unlike the others and not in the "
            "model, so that no defect is learned as good; look at the pictures that are named here: if they show good "
            "parts, --keep-outliers takes them in"
        )
    if notes.copies:
        words.append(f"{notes.copies} of {notes.used} frames are copies of another; they show nothing new")
    return words
