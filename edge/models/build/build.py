"""``edge build`` makes a bundle from any ONNX model of the form image -> anomaly map [, score], checked against the
original.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from edge.config.bundle import Bundle
from edge.config.bundle_spec import BundleSpec, InputSpec, ResizeSpec
from edge.errors import UserError
from edge.models import graphs
from edge.models.build import trial_pictures as trial
from edge.models.build.adapt import adapted
from edge.models.build.bounds import highest_bound, highest_score
from edge.models.build.describe_bundle import display_of, own_resize_of, provenance_of, warnings_of
from edge.models.build.foreign import (
    ModelInput,
    ModelOutput,
    find_embedding,
    find_map,
    find_score,
    find_tail,
    read_input,
)
from edge.models.build.lighten import lightened
from edge.models.build.map_place import SettledPlace, check_scales, settle_place
from edge.models.build.options import BuildOptions
from edge.models.build.parity import Check, check_repeats, compare
from edge.models.build.placement import MapPlacement
from edge.models.build.probe import ProbeRun, look_at, thawed
from edge.models.build.tiles import check_tile, takes_batch, tiled
from edge.models.build.value_range import check_values, metadata_warning, values_fed
from edge.models.build.wrap import GRAPH_KERNELS, Exposed, InputTransform, input_transform_of, reference_feed, wrapped
from edge.models.freeze_illumination import frozen
from edge.models.write import check_target, write_bundle


@dataclass(frozen=True, slots=True)
class BuildReport:
    """A report says what was built from what, and how it compares."""

    bundle: Bundle
    taken: ModelInput
    amap: ModelOutput
    score: ModelOutput | None
    map_size: tuple[int, int]
    check: Check
    one_run: bool = False
    """True if the graph takes all tiles of a frame at once."""
    rewritten: tuple[str, ...] = ()
    """What the graph computes in a shorter way than the model did, in words."""
    place: MapPlacement | None = None
    """Where the map was found to lie; None if it doesn't answer clearly enough."""
    warnings: tuple[str, ...] = ()
    fed: tuple[float, float] = (0.0, 1.0)
    """Lowest and highest value that the network can get from a frame."""


@dataclass(frozen=True, slots=True)
class _Original:
    """The model as it came is kept with what was learned about it."""

    model: onnx.ModelProto
    path: Path
    taken: ModelInput
    look: ProbeRun


def build(
    model_path: Path,
    folder: Path,
    options: BuildOptions = BuildOptions(),  # noqa: B008  (frozen)
    tell: Callable[[float, str], None] = lambda _share, _step: None,
) -> BuildReport:
    """Build, check and write a bundle. ``tell`` hears the step that begins, and how much is done, 0 to 1.

    Raises:
        UserError: the model is none of this form, says too little about itself, its bundle gives other numbers, or its map
            lies elsewhere than its graph tells.
    """
    check_target(folder, force=options.force)
    tell(0.0, "reading the model")
    original, transform = _read(model_path, options)
    frozen_at = original.taken.batch
    original = _unbatched(original)
    taken, look = original.taken, original.look
    spec = _spec(options.name or folder.absolute().name, original, transform, options)
    tell(0.2, "measuring the light" if options.illumination is not None else "making trial pictures")
    spec = _with_light(spec, options)
    if spec.resize.where == "graph" and not (look.own_resize and options.size is None):
        transform = replace(transform, inner=spec.resize.size, kernel=spec.resize.kernel)
    given = trial.given(spec, options.frames)
    pictures = trial.generated(spec, look.size) | given
    tell(0.3, "building, and comparing with the original")
    built, one_run = _built_for_tiles(original, transform, spec, pictures, options, path=model_path)
    if frozen_at not in (None, 1) and taken.batch == 1:
        built = replace(built, rewritten=(f"a batch of {frozen_at} as one picture", *built.rewritten))
    spec, built = _with_values(spec, built, list(given))
    tell(0.7, "measuring where the map lies in the picture")
    settled = settle_place(
        built.model,
        look,
        look.outputs[built.outputs["map"].name].shape,
        taken.batch or 1,
        spec,
        by_hand=options.map_to_image,
        picture=next(iter(pictures.values())),
        folder=folder,
        path=model_path,
    )
    spec = settled.spec
    tell(0.95, "writing the bundle")
    provenance = _provenance(original, model_path, transform, built, settled)
    spec = spec.model_copy(update={"provenance": provenance, "frames": trial.kind_of(options.frames)})
    return BuildReport(
        bundle=write_bundle(folder, built.model, spec, force=options.force),
        taken=taken,
        amap=built.outputs["map"],
        score=built.outputs.get("score"),
        map_size=settled.map_size,
        check=built.check,
        one_run=one_run,
        rewritten=built.rewritten,
        place=settled.place,
        warnings=(*built.warnings, *settled.warnings, *metadata_warning(model_path)),
        fed=values_fed(transform, taken),
    )


def _with_values(spec: BundleSpec, built: _Built, given: Sequence[str]) -> tuple[BundleSpec, _Built]:
    """Note which values the map has: those to show, and the highest that it can have at all."""
    highest, cut_off = highest_bound(built.model, "map", built.check.ranges)
    display = display_of(built.outputs["map"], built.check, given)
    known = {"map_highest": highest, "score_highest": highest_score(built.model)}
    spec = spec.model_copy(update={"display": display, **known})
    return spec, replace(built, warnings=(*built.warnings, *cut_off))


def _built_for_tiles(
    original: _Original,
    transform: InputTransform,
    spec: BundleSpec,
    pictures: Mapping[str, NDArray[Any]],
    options: BuildOptions,
    *,
    path: Path,
) -> tuple[_Built, bool]:
    """Build; return also whether all tiles of a frame go through the model in one run."""
    built = _built(original, transform, spec, pictures, options)
    taken = original.taken
    one_run = spec.tile is not None and taken.batch is None and takes_batch(built.model, pictures, path)
    if spec.tile is not None and taken.batch is None and not one_run:
        alone = replace(original, taken=replace(taken, batch=1))
        built = _built(alone, transform, spec, pictures, options)
    return built, one_run


def _with_light(spec: BundleSpec, options: BuildOptions) -> BundleSpec:
    """Add the options' illumination to the spec, its statistics measured on the good frames."""
    if options.illumination is None:
        return spec
    if options.bits != 8:
        raise UserError("--bits with --illumination", received=options.bits, expected="8: it works on 8-bit pictures")
    light = frozen(options.illumination, spec.input.channels, options.frames, "give good frames: --frames FOLDER")
    return spec.model_copy(update={"illumination": light})


def _provenance(
    original: _Original, path: Path, transform: InputTransform, built: _Built, settled: SettledPlace
) -> dict[str, Any]:
    return provenance_of(
        model=original.model,
        path=path,
        taken=original.taken,
        recipe=transform,
        outputs=built.outputs,
        check=built.check,
        rewritten=built.rewritten,
        own_resize=own_resize_of(original.look, settled.spec),
        place=settled.place,
    )


def _read(path: Path, options: BuildOptions) -> tuple[_Original, InputTransform]:
    """Read the model with what a first run of it shows, and how pixels become its input."""
    model = adapted(graphs.load_model(path), options, path)
    taken = read_input(model, path, options.layout, options.channels)
    transform = input_transform_of(taken, options, path)
    check_values(model, taken, options, path)
    if options.map_to_image is not None:
        check_scales(options.map_to_image)
    if options.tile is not None:
        check_tile(options.tile, taken, options.resize, path)
    seen = options.tile.size if options.tile else options.size
    return _Original(model, path, taken, look_at(model, taken, seen, options.map_name, path)), transform


def _unbatched(original: _Original) -> _Original:
    """Return the same model for one picture at a time, if it was exported for a fixed batch and that can be undone."""
    model, taken, look = thawed(original.model, original.taken, original.look, original.path)
    return _Original(model, original.path, taken, look)


@dataclass(frozen=True, slots=True)
class _Built:
    model: onnx.ModelProto
    outputs: Mapping[str, ModelOutput]
    check: Check
    rewritten: tuple[str, ...]
    warnings: tuple[str, ...]


def _built(
    original: _Original,
    transform: InputTransform,
    spec: BundleSpec,
    pictures: Mapping[str, NDArray[Any]],
    options: BuildOptions,
) -> _Built:
    """Make the bundle's graph, checked on ``pictures`` against the model as it came; lightened if it then passes."""
    model, path, taken, look = original.model, original.path, original.taken, original.look
    feeds = [reference_feed(p, taken, transform) for p in pictures.values()]
    outputs = _outputs(original, feeds[: trial.RANDOM], options)
    if spec.tile is not None:
        outputs.pop("embedding", None)  # of a tile it means nothing
    tensors = {label: output.tensor for label, output in outputs.items()}
    session = graphs.session(graphs.with_outputs(model, tensors.values()), str(path))
    runs = [_run(session, feed, picture, path) for picture, feed in zip(pictures, feeds, strict=True)]
    check_repeats(runs[0], _run(session, feeds[0], next(iter(pictures)), path), path)
    exposed = {label: Exposed(tensor, runs[0][tensor].shape) for label, tensor in tensors.items()}
    wrapper = wrapped(
        model,
        taken,
        transform,
        size=spec.input.size if spec.input.size != "any" else None,
        amap=exposed["map"],
        score=exposed.get("score"),
        embedding=exposed.get("embedding"),
        map_follows=look.follows,
    )
    warnings = warnings_of(look, taken.batch or 1, outputs["map"], outputs.get("score"))
    light, rewritten = lightened(wrapper)
    if rewritten:
        try:
            check = compare(light, pictures, runs, tensors, path)
        except UserError:  # a model whose numbers hang on the order of its sums: it stays as it is
            rewritten = ()
        else:
            return _Built(light, outputs, check, rewritten, tuple(warnings))
    return _Built(wrapper, outputs, compare(wrapper, pictures, runs, tensors, path), rewritten, tuple(warnings))


def _run(session: ort.InferenceSession, feed: NDArray[Any], picture: str, path: Path) -> dict[str, NDArray[Any]]:
    try:
        return graphs.run_graph(session, feed)
    except Exception as error:  # noqa: BLE001  (the runtime's exceptions have no common base but this)
        what = f"{path}: the model does not run on {picture}, shape {feed.shape}"
        raise UserError(what, received=graphs.first_line(error)) from None


def _host_resize(size: tuple[int, int] | None, options: BuildOptions) -> ResizeSpec:
    if options.fit == "stretch":
        if options.short_side is not None:
            raise UserError("--short-side goes with --fit crop")
        return ResizeSpec(where="none" if size is None else "host", kernel=options.kernel or "area", size=size)
    if size is None or options.tile is not None:
        what = "tiles" if options.tile is not None else "a model that takes any size"
        raise UserError(f"--fit {options.fit}", received=what, expected="a model that sees pictures of one size")
    if options.short_side is not None and (options.fit != "crop" or options.short_side < max(size)):
        raise UserError(
            "--short-side",
            received=f"{options.short_side} with --fit {options.fit}",
            expected=f"at least {max(size)}, with --fit crop: the picture of {size[0]}x{size[1]} is cut out of it",
        )
    return ResizeSpec(
        where="host",
        kernel=options.kernel or "area",
        size=size,
        fit=options.fit,
        pad=options.pad,
        short_side=options.short_side,
    )


def _spec(name: str, original: _Original, transform: InputTransform, options: BuildOptions) -> BundleSpec:
    """Make the spec as far as frames are concerned."""
    look = original.look
    channels: Any = transform.channels
    if options.resize == "host":
        size: Any = None if look.follows else look.size
        where = _host_resize(size, options)
        taken = InputSpec(channels=channels, size=size or "any", bits=transform.bits)
        spec = BundleSpec(name=name, input=taken, resize=where)
        return spec if options.tile is None else tiled(spec, options.tile, options.size)
    if options.fit != "stretch":
        raise UserError(f"--fit {options.fit} with --resize graph", fix="resize on the host: --resize host")
    if look.follows:
        raise UserError(
            "--resize graph",
            received="a model that takes any size",
            fix="say to which size it resizes: --size WIDTH,HEIGHT",
        )
    if original.taken.dtype == "uint8":
        raise UserError(
            "--resize graph", received="a model that takes uint8 pixels", fix="resize on the host: --resize host"
        )
    exporters = look.geometry.mode if look.own_resize and options.size is None else None
    known = (exporters,) if exporters else GRAPH_KERNELS
    chosen: Any = options.kernel or known[0]
    if chosen not in known:
        raise UserError("--kernel of a resize in the graph", received=options.kernel, expected=" or ".join(known))
    where = ResizeSpec(where="graph", kernel=chosen, size=look.size)
    return BundleSpec(name=name, input=InputSpec(channels=channels, size="any", bits=transform.bits), resize=where)


def _outputs(original: _Original, feeds: Sequence[NDArray[Any]], options: BuildOptions) -> dict[str, ModelOutput]:
    """Return by the bundle's names for them: map and score in front of the exporter's normalisation if there is one."""
    outputs, path, batch = original.look.outputs, original.path, original.taken.batch or 1

    def tapped(name: str) -> ModelOutput:
        tail = find_tail(original.model, name, feeds, path)
        return ModelOutput(name, tail.raw if tail else name, tail)

    amap = find_map(outputs, batch, path, options.map_name)
    others = {n: a for n, a in outputs.items() if n != amap}
    score, embedding = find_score(others, batch, path, options.score_name), find_embedding(others, batch)
    tapped_outputs = {"map": tapped(amap)}
    if score is not None:
        tapped_outputs["score"] = tapped(score)
    if embedding is not None and embedding != score:
        tapped_outputs["embedding"] = ModelOutput(embedding, embedding)
    return tapped_outputs
