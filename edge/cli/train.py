"""``edge train``: a network from the line's frames, where good frames alone don't separate."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console

from edge.cli._bars import spread_bar
from edge.cli._console import labelled, text_console
from edge.cli._incomplete import end_if_incomplete
from edge.cli._json import JsonOption, print_json
from edge.cli._network_options import check_of_network, chosen_way, measured_ranges
from edge.cli._options import completing
from edge.cli._sets import ByOption, PartGapOption, described_set
from edge.cli.build import parse_size
from edge.config.bundle import Bundle, load_bundle
from edge.disturb.synthetic import SYNTHETIC, chosen
from edge.errors import UserError
from edge.models.fit.fit_plan import FitRequest, PoseChoice
from edge.models.fit.protocol import MethodOptions
from edge.models.sets.frame_set import FrameSet
from edge.models.train.checkpoint import Epoch
from edge.models.train.options import check_torch, preset_options
from edge.models.train.sheet import synthetic_sheet
from edge.models.train.train import Trained, TrainRequest, TrainRun, good_pictures, prepared, training_folder
from edge.models.train.train import train as train_on
from edge.models.train.write_trained import write_trained
from edge.models.write import check_target
from edge.storage.disk import write_whole
from edge.storage.pictures import encode_png

_SHEET_PICTURES = 12


def train(
    path: Annotated[Path, typer.Argument(metavar="SET", help="A set with parts: edge gather, edge label, edge split.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="BUNDLE", help="The bundle to write.")] = None,
    base: Annotated[
        Path | None,
        typer.Option("--from", metavar="BUNDLE", help="Go on from a bundle of edge fit --method memory or of edge train."),
    ] = None,
    preset: Annotated[
        Literal["minute", "hour", "night"],
        typer.Option(
            help="minute: a small head on frozen features. hour: it sees new defects in each epoch, or a small network "
            "learns from pixels. night: a wider one, longer. Each is fused with edge fit's memory."
        ),
    ] = "minute",
    by: ByOption = None,
    part_gap: PartGapOption = None,
    sheet: Annotated[
        Path | None,
        typer.Option(
            metavar="PICTURE.png", help="Draw synthetic defects of each kind into good frames, and train nothing."
        ),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND",
            help=f"Synthetic defects to leave out: {', '.join(SYNTHETIC)}.",
            autocompletion=completing(lambda: SYNTHETIC),
        ),
    ] = None,
    labels: Annotated[
        bool, typer.Option("--labels/--no-labels", help="Learn from labelled defects and false positives, too.")
    ] = True,
    transplant: Annotated[
        bool, typer.Option("--transplant/--no-transplant", help="Paste labelled defects onto other good frames.")
    ] = True,
    augment_from: Annotated[
        Path | None,
        typer.Option(
            metavar="SHIFT.json", help="Do to training pictures what edge shift measured on the line, in its range."
        ),
    ] = None,
    start: Annotated[
        Literal["frozen", "backbone", "fresh"] | None,
        typer.Option(
            help="hour, night: the backbone stays as it is, or a network's encoder begins with what it knows, or with "
            "nothing. Default: frozen for hour, backbone for night and where an option is a network's."
        ),
    ] = None,
    pretrain: Annotated[
        Path | None,
        typer.Option(
            metavar="FRAMES", help="hour, night: a network's encoder learns from these frames first, labelled or not."
        ),
    ] = None,
    ssl: Annotated[
        Literal["masked", "simclr", "byol", "dino"] | None,
        typer.Option(
            help="How: it fills in what is hidden (masked), knows a place again (simclr), or agrees about it with a "
            "network that follows (byol, dino). Default with --pretrain: masked."
        ),
    ] = None,
    factory: Annotated[
        Path | None,
        typer.Option(metavar="FRAMES", help="Draw features towards the line's frames, labelled or not."),
    ] = None,
    align: Annotated[
        Literal["coral", "mmd"] | None, typer.Option(help="How: covariances or distributions. Default: coral.")
    ] = None,
    randaugment: Annotated[int | None, typer.Option(min=0, help="Corruptions at random for each picture.")] = None,
    mixstyle: Annotated[float | None, typer.Option(min=0, max=1, help="Share of batches whose styles are mixed.")] = None,
    mixup: Annotated[
        float | None, typer.Option(min=0, max=10, help="Alpha of mixup, of features or pixels; 0: none.")
    ] = None,
    curriculum: Annotated[bool, typer.Option("--curriculum", help="Strong synthetic defects first.")] = False,
    alone: Annotated[
        bool, typer.Option("--alone", help="hour, night: the network without the memory; faster, and finds less.")
    ] = False,
    name: Annotated[
        str | None, typer.Option(help="What records call the model. Default: the bundle folder's name.")
    ] = None,
    pose: Annotated[PoseChoice, typer.Option(help="fixed: parts lie alike. texture: they don't.")] = "auto",
    size: Annotated[str | None, typer.Option(metavar="W,H", help="Picture that the model sees, in px.")] = None,
    backbone: Annotated[
        Path | None, typer.Option(metavar="lite0|gabor|ONNX", help="Whose features are used. Default: as edge fit.")
    ] = None,
    layers: Annotated[str | None, typer.Option(metavar="A,B", help="The backbone's layers.")] = None,
    seed: Annotated[int, typer.Option(help="The same frames, options and seed give the same weights.")] = 0,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Most epochs; it ends sooner where nothing is gained. Default: the preset's.")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of PyTorch. Default: one for each core.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from what an earlier run left in BUNDLE.training.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing bundle.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Train a model on good frames, synthetic defects and labelled ones, fuse it with edge fit's memory, and test it."""
    target = out or Path("model")
    of_network = {
        "start": start,
        "ssl": chosen_way("--ssl", ssl, "--pretrain", pretrain, "masked"),
        "align": chosen_way("--align", align, "--factory", factory, "coral"),
        "randaugment": randaugment,
        "mixstyle": mixstyle,
        "mixup": mixup,
        "curriculum": curriculum or None,
        "alone": alone or None,
    }
    check_of_network(preset, of_network)
    options = preset_options(
        preset,
        seed=seed,
        epochs=epochs,
        without=tuple(without or ()),
        labels=labels,
        transplant=transplant,
        threads=threads,
        augment=measured_ranges(augment_from) if augment_from is not None else (),
        **of_network,
    )
    chosen(options.without)
    request = TrainRequest(
        FitRequest(
            name=name or target.absolute().name,
            method="memory",
            pose=pose,
            size=parse_size(size),
            options=_backbone(backbone, layers),
            source=str(path),
        ),
        options,
        None if base is None else load_bundle(base),
        frames=None if pretrain is None else described_set(pretrain, None, None),
        factory=None if factory is None else described_set(factory, None, None),
    )
    console = text_console(stderr=as_json)
    if sheet is not None:
        _draw(console, described_set(path, by, part_gap), request, sheet)
        return
    if out is None:
        raise UserError("edge train: where should the bundle go?", expected="-o BUNDLE, or --sheet PICTURE.png")
    check_torch()
    check_target(out, force=force)
    source = described_set(path, by, part_gap)
    with spread_bar() as bar:
        shown = _epochs(console, options.epochs, "epoch")
        alone_shown = _epochs(console, options.pretrain_epochs, "encoder, epoch")
        run = TrainRun(resume=resume, progress=bar, epoch=shown, pretrained=alone_shown)
        trained = train_on(source, request, training_folder(out), run)
    bundle = write_trained(out, trained, options, str(path), force=force)
    shutil.rmtree(training_folder(out), ignore_errors=True)
    if as_json:
        print_json(_as_json(trained, bundle))
    else:
        _show(console, trained, bundle)
    end_if_incomplete(trained.incomplete)


def _backbone(backbone: Path | None, layers: str | None) -> MethodOptions:
    """A name stays a name; a file is found from every folder."""
    return MethodOptions(
        backbone=backbone.absolute() if backbone is not None and backbone.exists() else backbone,
        layers=tuple(filter(None, (layers or "").split(","))),
    )


def _as_json(trained: Trained, bundle: Bundle) -> dict[str, Any]:
    """Return what was trained, for programs."""
    roles, notes = trained.roles, trained.gathered.notes
    return {
        "bundle": bundle.folder,
        "sha256": bundle.sha256,
        "good": len(roles.good),
        "defects": len(roles.defects),
        "false_positives": len(roles.false_positives),
        "validated_good": len(roles.validated_good),
        "validated_defects": len(roles.validated_defects),
        "pose": trained.plan.pose,
        "notes": [*roles.notes, *trained.notes],
        "unreadable": notes.unreadable,
        "out_of_place": [{"frame": name, "why": why} for name, why in notes.out_of_place],
        "self_test": None if trained.tested is None else list(trained.tested.sentences()),
    }


def _draw(console: Console, source: FrameSet, request: TrainRequest, sheet: Path) -> None:
    roles, plan = prepared(source, request)
    pictures = good_pictures(source, roles, plan, _SHEET_PICTURES)
    if not pictures:
        raise UserError(f"{source.path}: no good frame can be used")
    kinds = chosen(request.options.without)
    try:
        write_whole(sheet, encode_png(synthetic_sheet(pictures, kinds, request.options.seed)))
    except OSError as error:
        raise UserError(f"{sheet}: cannot be written: {error.strerror}") from None
    console.print(
        f"wrote {sheet}: {len(kinds)} kinds of synthetic defects in {len(pictures)} good frames; nothing was trained"
    )


def _epochs(console: Console, epochs: int, what: str) -> Callable[[Epoch], None]:
    """Say what each epoch brought, and how long the others will take."""
    began: list[tuple[int, float]] = []

    def show(epoch: Epoch) -> None:
        now = time.monotonic()
        left = ""
        if began:
            first, at = began[0]
            left = f", {(epochs - epoch.number) * (now - at) / (epoch.number - first):.0f} s left"
        began.append((epoch.number, now))
        judged = (
            f", on other parts {epoch.validation_loss:.4f}; AUROC {_auroc('synthetic', epoch.synthetic_auroc)}, "
            f"{_auroc('real', epoch.real_auroc)}"
        )
        console.print(
            f"{what} {epoch.number} of {epochs}: loss {epoch.loss:.4f}{judged if what == 'epoch' else ''}"
            f"{' (kept)' if epoch.kept else ''}{left}",
        )

    return show


def _auroc(what: str, value: float | None) -> str:
    return f"{what} none to judge by" if value is None else f"{what} {value:.3f}"


def _show(console: Console, trained: Trained, bundle: Bundle) -> None:
    roles = trained.roles
    console.print(
        f"trained on {len(roles.good)} good frames and {len(roles.defects)} labelled defects, "
        f"{len(roles.false_positives)} known false positives among the good; validated on {len(roles.validated_good)} good "
        f"frames and {len(roles.validated_defects)} defects of other parts",
    )
    plan = trained.plan
    console.print(f"pose: {plan.pose}: {plan.why}")
    for note in (*roles.notes, *trained.notes):
        console.print(labelled("note:", "yellow", note))
    for ref in trained.gathered.notes.unreadable:
        console.print(labelled("skipped:", "yellow", f"{ref} cannot be read"))
    for ref, why in trained.gathered.notes.out_of_place:
        console.print(labelled("skipped:", "yellow", f"{ref}: {why}"))
    if trained.tested is not None:
        console.print(f"self-test on {trained.tested.frames} good frames of other parts (self_test.json, self_test.png):")
        for sentence in trained.tested.sentences():
            console.print(f"  {sentence}")
    console.print(f"wrote {bundle.folder}, model {bundle.sha256[:12]}")
