"""The model folder: ``model.onnx`` and ``bundle.yaml``, which says how a frame gets into the graph and its map back out.

The graph takes one input ``frame`` uint8 (n, H, W, C), uint16 where ``input.bits`` is above 8, and gives outputs by name:
``map`` float32 (n, h, w), optionally ``score`` float32 (n) and ``embedding`` float32 (n, d), all raw and unclamped.
A bundle is written once and never changed; every file in it is checked against its hash before anything runs it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import orjson
from pydantic import Field, ValidationError, model_validator

from edge.config.yaml_reader import Lines, Section, read_yaml
from edge.errors import UserError
from edge.preprocess.illumination import IlluminationSpec
from edge.preprocess.tiling import TileSpec

if TYPE_CHECKING:
    import onnx

SCHEMA = 1
SPEC_NAME = "bundle.yaml"
MODEL_NAME = "model.onnx"

Pixels: TypeAlias = Annotated[int, Field(ge=1, le=32768)]
_NOT_COMPUTED = {"name", "map_size", "tolerance", "display", "provenance"}
"""Keys of ``bundle.yaml`` that leave every number of a frame's map as it is."""
Size: TypeAlias = tuple[Pixels, Pixels]
"""Width, height."""
Kernel: TypeAlias = Literal["area", "linear", "nearest", "cubic", "lanczos"]


class InputSpec(Section):
    """What the graph's ``frame`` takes."""

    channels: Literal[1, 3]
    """1: grey. 3: RGB. Frames are converted on the host where they differ."""
    size: Size | Literal["any"]
    """Width and height of ``frame`` in px. ``any``: whatever comes."""
    bits: Annotated[int, Field(ge=8, le=16)] = 8
    """Bits of a pixel's value. Above 8 ``frame`` is uint16, aligned to the low bit; frames of other depth are shifted."""


class ResizeSpec(Section):
    """How a frame becomes the picture that the network sees."""

    where: Literal["host", "graph", "none"]
    """``host``: before the graph, on integer pixels. ``graph``: inside. ``none``: frames go in as they are."""
    kernel: Kernel = "area"
    """``area`` averages what a pixel covers; the others take samples, and fine texture aliases where they shrink."""
    size: Size | None = None
    """Width and height after the resize, in px. null: no resize."""


class ToleranceSpec(Section):
    """How far an engine's map may lie from the reference, as a share of the map's range.

    That is ``display.range`` where ``display.threshold`` is known, for then both are the model's maker's; else what the
    reference's own maps span.
    """

    fp32: Annotated[float, Field(gt=0, lt=1)] = 1e-3
    """Largest difference in float32."""
    reduced: Annotated[float, Field(gt=0, lt=1)] = 5e-2
    """99.9th percentile of the difference in fp16, bf16 and int8."""


class DisplaySpec(Section):
    """For pictures only; verdicts never read it."""

    threshold: float | None = None
    """Where the model's maker drew the line, in the map's own values. null: unknown."""
    range: tuple[float, float] = (0.0, 1.0)
    """Map values shown as the lowest and the highest colour."""

    @model_validator(mode="after")
    def _ordered(self) -> DisplaySpec:
        if self.range[0] >= self.range[1]:
            raise ValueError(f"range must rise, not go from {self.range[0]} to {self.range[1]}")
        return self


class BundleSpec(Section):
    """``bundle.yaml``."""

    schema_: Annotated[Literal[1], Field(alias="schema")] = 1
    """Version of this file's form."""
    name: Annotated[str, Field(min_length=1)]
    """What records call the model."""
    files: dict[str, Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]] = Field(default_factory=dict)
    """SHA-256 of every other file of the folder, by its name relative to it."""
    input: InputSpec
    resize: ResizeSpec
    illumination: IlluminationSpec | None = None
    """What happens to the pixels before the resize. null: nothing."""
    tile: TileSpec | None = None
    """How the picture is cut after the resize; ``input`` is then a tile's. null: it goes in whole."""
    map_to_image: tuple[float, float, float, float] = (1.0, 1.0, 0.0, 0.0)
    """sx, sy, ox, oy: a map edge at x lies at ``x * sx + ox`` in the picture after the resize (host or graph). Of tiles:
    the whole map's."""
    map_size: Size | None = None
    """Width and height of the map that the graph gives, of one tile where there are tiles; engines refuse another. null: it
    follows the picture, or the bundle is from before this was told."""
    tolerance: ToleranceSpec = ToleranceSpec()
    display: DisplaySpec = DisplaySpec()
    provenance: dict[str, Any] = Field(default_factory=dict)
    """Where the model comes from: free text and numbers, read by people."""

    @model_validator(mode="after")
    def _fits(self) -> BundleSpec:
        where, size, taken = self.resize.where, self.resize.size, self.input.size
        if (where == "none") != (size is None):
            raise ValueError(f"resize.size must be {'null' if where == 'none' else 'given'} where resize.where is {where}")
        if where == "host" and self.tile is None and taken not in ("any", size):
            raise ValueError(f"resize.size {_by(size)} and input.size {_by(taken)} must be equal: the host feeds the graph")
        if where == "graph" and taken != "any":
            raise ValueError("input.size must be any where the graph resizes")
        if min(self.map_to_image[:2]) <= 0:
            raise ValueError("map_to_image must have scales above 0")
        if self.tile is not None:
            self._check_tile(self.tile)
        if self.illumination is not None:
            self._check_illumination(self.illumination)
        return self

    @property
    def tile_scale(self) -> tuple[int, int]:
        """Px of the picture for each px of the map, where there are tiles."""
        return int(self.map_to_image[0]), int(self.map_to_image[1])

    def _check_tile(self, tile: TileSpec) -> None:
        if self.resize.where == "graph":
            raise ValueError("tile goes with a resize on the host or none, not with one in the graph")
        if self.input.size not in ("any", tile.size):
            raise ValueError(f"tile.size {_by(tile.size)} and input.size {_by(self.input.size)} must be equal")
        sx, sy, ox, oy = self.map_to_image
        if (ox, oy) != (0, 0) or sx % 1 or sy % 1:
            raise ValueError("map_to_image of tiles must have whole scales and no offset")
        for key, pair in (("size", tile.size), ("stride", tile.stride), ("border_px", (tile.border_px, tile.border_px))):
            if any(px % scale for px, scale in zip(pair, self.tile_scale, strict=True)):
                raise ValueError(f"tile.{key} must be a multiple of map_to_image's scale, {sx:g} across and {sy:g} down")

    def _check_illumination(self, illumination: IlluminationSpec) -> None:
        if self.input.bits != 8:
            raise ValueError(f"illumination works on 8-bit pictures, and input.bits is {self.input.bits}")
        missing = illumination.missing(self.input.channels)
        if missing:
            raise ValueError(f"illumination.frozen lacks the statistics of {' and '.join(missing)}; build the bundle again")


@dataclass(frozen=True)
class Bundle:
    """A folder whose files have been checked.

    ``sha256`` identifies what the model computes: SHA-256 of the spec as JSON with sorted keys, without ``name``,
    ``map_size``, ``tolerance``, ``display`` and ``provenance``. The file hashes are in it, so it changes with every weight,
    and with every change of what happens to a frame on its way; a new name or another display colour leaves it as it is.
    """

    folder: Path
    spec: BundleSpec
    sha256: str

    @property
    def model_path(self) -> Path:
        return self.folder / MODEL_NAME


def load_bundle(path: Path) -> Bundle:
    """Read ``bundle.yaml`` and check every file.

    Raises:
        UserError: no folder, a bare .onnx file, a bad or newer ``bundle.yaml``, a file that is missing, unreadable,
            changed or outside the folder.
    """
    try:
        _expect_folder(path)
        spec = _read_spec(path / SPEC_NAME)
        for name, expected in spec.files.items():
            actual = sha256_of(confined(path, name, f"{path / SPEC_NAME}: files"))
            if actual != expected:
                raise UserError(
                    f"{path / name}: the file is not the one that the bundle was built with",
                    received=f"SHA-256 {actual}",
                    expected=f"SHA-256 {expected}",
                    fix="copy the bundle again, or build it again",
                )
        _check_external(path, spec)
    except OSError as error:
        raise UserError(f"{error.filename or path}: cannot be read: {error.strerror}") from None
    return Bundle(path, spec, _identity(spec))


def unlisted(bundle: Bundle) -> list[str]:
    """Files in the bundle's folder that ``bundle.yaml`` does not list, relative to it; nothing reads them."""
    found = (p.relative_to(bundle.folder).as_posix() for p in bundle.folder.rglob("*") if not p.is_dir() or p.is_symlink())
    return sorted(name for name in found if name != SPEC_NAME and name not in bundle.spec.files)


def spec_sha256(path: Path) -> str:
    """``Bundle.sha256`` of the bundle whose ``bundle.yaml`` this is; its other files are not read. UserError as there."""
    return _identity(_read_spec(path))


def confined(folder: Path, name: str, what: str) -> Path:
    """``folder / name``, refused where it leads out of the folder: absolute, through ``..`` or through a link.

    Raises:
        UserError: ``what`` names who asked for the file.
    """
    base = Path(os.path.realpath(folder))
    path = base / name
    if Path(name).is_absolute() or ".." in Path(name).parts or Path(os.path.realpath(path)) != path:
        raise UserError(f"{what}: the file lies outside the folder", received=name, expected=f"a file inside {folder}")
    if not path.is_file():
        raise UserError(f"{what}: the file is missing", received=name, expected=f"a file inside {folder}")
    return folder / name


def external_files(model: onnx.ModelProto) -> set[str]:
    """Names of the files outside ``model`` that hold its tensors, as they stand in it."""
    import onnx

    return {
        entry.value
        for tensor in tensors(model.graph)
        if tensor.data_location == onnx.TensorProto.EXTERNAL
        for entry in tensor.external_data
        if entry.key == "location"
    }


def tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Every tensor that the graph and the graphs inside its nodes hold."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for inner in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
                yield from tensors(inner)


def _expect_folder(path: Path) -> None:
    if path.is_file():
        if path.suffix.lower() == ".onnx":
            raise UserError(
                f"{path}: a bare ONNX file is no bundle",
                expected="a bundle's folder",
                fix=f"run `edge build {path} -o FOLDER` and name FOLDER here",
            )
        raise UserError(f"{path}: not a bundle", received="a file", expected="a bundle's folder")
    if not path.is_dir():
        raise UserError(
            f"{path}: there is no such bundle",
            expected="a bundle's folder",
            fix=f"make one: `edge build MODEL.onnx -o {path}` or `edge fit FOLDER_OF_GOOD_FRAMES -o {path}`",
        )
    if not (path / SPEC_NAME).is_file():
        raise UserError(f"{path}: not a bundle", received=f"a folder without {SPEC_NAME}", expected="a bundle's folder")


def _read_spec(path: Path) -> BundleSpec:
    data, lines, _ = read_yaml(path)
    if not isinstance(data, dict):
        raise UserError(f"{path}: not a bundle", received="no mapping of keys")
    schema = data.get("schema")
    if isinstance(schema, int) and schema > SCHEMA:
        raise UserError(
            f"{path}: the bundle was built by a newer version",
            received=f"schema {schema}",
            expected=f"schema {SCHEMA}",
            fix="update this installation, or build the bundle again with it",
        )
    try:
        # through JSON: strict mode then still takes lists for tuples
        spec = BundleSpec.model_validate_json(orjson.dumps(data))
    except ValidationError as error:
        raise UserError("\n".join(explain(e, lines, path) for e in error.errors())) from None
    if MODEL_NAME not in spec.files:
        raise UserError(f"{path}: files: {MODEL_NAME} is not among them", received=", ".join(spec.files) or "none")
    return spec


def explain(error: Any, lines: Lines, path: Path | str) -> str:
    """One of pydantic's errors in words, with the line of ``path`` where the key stands."""
    loc = tuple(part for part in error["loc"] if not str(part).startswith(("tuple[", "literal[")))
    where = f"{path}:{lines[loc]}" if loc in lines else str(path)
    key = ".".join(map(str, loc))
    where = f"{where}: {key}" if key else where if isinstance(path, str) else f"{where}: bundle"
    if error["type"] == "extra_forbidden":
        return str(UserError(f"{where}: unknown key"))
    if error["type"] == "missing":
        return str(UserError(f"{where}: missing"))
    if error["type"] == "value_error":
        return str(UserError(f"{where}: {error['ctx']['error']}"))
    return str(UserError(where, received=repr(error["input"])[:80], expected=error["msg"]))


def _check_external(folder: Path, spec: BundleSpec) -> None:
    """The weights that the graph itself asks for are among the files whose hashes were checked."""
    import onnx
    from google.protobuf.message import DecodeError

    path = folder / MODEL_NAME
    try:
        model = onnx.load(path, load_external_data=False)
    except DecodeError:
        raise UserError(f"{path}: not an ONNX model", fix="build the bundle again") from None
    for name in sorted(external_files(model)):
        confined(folder, name, f"{path}: external data")
        if name not in spec.files:
            raise UserError(f"{path}: external data: {name} has no hash in {SPEC_NAME}", fix="build the bundle again")


def _identity(spec: BundleSpec) -> str:
    content = spec.model_dump(mode="json", by_alias=True, exclude=_NOT_COMPUTED)
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _by(size: tuple[int, int] | str | None) -> str:
    return f"{size[0]}x{size[1]}" if isinstance(size, tuple) else str(size)
