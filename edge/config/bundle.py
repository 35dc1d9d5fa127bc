"""A bundle is the model's folder: ``model.onnx``, and ``bundle.yaml``, which says how a frame gets in and its map back out.

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
from typing import TYPE_CHECKING

import orjson

from edge.config.bundle_spec import NOT_COMPUTED, REPORTS, BundleSpec
from edge.config.validate import validate
from edge.config.yaml_reader import read_yaml
from edge.errors import UserError, may_pass

if TYPE_CHECKING:
    import onnx

BUNDLE_SCHEMA = 1
SPEC_NAME = "bundle.yaml"
MODEL_NAME = "model.onnx"


@dataclass(frozen=True)
class Bundle:
    """A bundle's files have all been checked against their hashes.

    ``sha256`` identifies what the model computes: SHA-256 of the spec as JSON with sorted keys, without ``name``,
    ``map_size``, ``tolerance``, ``display`` and ``provenance``, and without files that only report. The file hashes are in
    it, so it changes with every weight, and with every change of what happens to a frame on its way; a new name or another
    display colour leaves it as it is.
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
        _check_folder(path)
        spec = _read_spec(path / SPEC_NAME)
        for name, expected in spec.files.items():
            actual = sha256_of(confined(path, name, f"{path / SPEC_NAME}: files"))
            if actual != expected:
                raise UserError(
                    f"{path / name}: the file is not the one that the bundle was built with",
                    received=f"SHA-256 {actual}",
                    expected=f"SHA-256 {expected}",
                    fix="copy the bundle again, or build it again",
                    passes=True,  # it may be on its way here
                )
        _check_external(path, spec)
    except OSError as error:
        raise UserError(f"{error.filename or path}: cannot be read: {error.strerror}", passes=may_pass(error)) from None
    return Bundle(path, spec, _identity(spec))


def unlisted(bundle: Bundle) -> list[str]:
    """Return the files in the bundle's folder that ``bundle.yaml`` does not list; nothing reads them."""
    names = (p.relative_to(bundle.folder).as_posix() for p in bundle.folder.rglob("*") if not p.is_dir() or p.is_symlink())
    return sorted(name for name in names if name != SPEC_NAME and name not in bundle.spec.files)


def spec_sha256(path: Path) -> str:
    """Return ``Bundle.sha256`` for the ``bundle.yaml`` at ``path`` without reading the bundle's other files.

    Raises:
        UserError: ``bundle.yaml`` is missing, unreadable, wrong or written by a newer version.
    """
    return _identity(_read_spec(path))


def confined(folder: Path, name: str, what: str) -> Path:
    """Return ``folder / name``; refuse a name that leads out of the folder (absolute, through ``..`` or through a link).

    Raises:
        UserError: ``what`` names who asked for the file.
    """
    base = Path(os.path.realpath(folder))
    path = base / name
    if Path(name).is_absolute() or ".." in Path(name).parts or Path(os.path.realpath(path)) != path:
        raise UserError(f"{what}: the file lies outside the folder", received=name, expected=f"a file inside {folder}")
    if not path.is_file():
        raise UserError(f"{what}: the file is missing", received=name, expected=f"a file inside {folder}", passes=True)
    return folder / name


def external_files(model: onnx.ModelProto) -> set[str]:
    """Return the names of the files outside ``model`` that hold its tensors, as they stand in it."""
    import onnx

    return {
        entry.value
        for tensor in tensors(model.graph)
        if tensor.data_location == onnx.TensorProto.EXTERNAL
        for entry in tensor.external_data
        if entry.key == "location"
    }


def tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Yield every tensor of the graph and of the graphs inside its nodes."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for inner in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
                yield from tensors(inner)


def _check_folder(path: Path) -> None:
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
            passes=True,
        )
    if not (path / SPEC_NAME).is_file():
        raise UserError(
            f"{path}: not a bundle",
            received=f"a folder without {SPEC_NAME}",
            expected="a bundle's folder",
            # where something will be mounted, or is on its way
            passes=not any(path.iterdir()) or any((path / name).exists() for name in (SPEC_NAME, MODEL_NAME)),
        )


def _read_spec(path: Path) -> BundleSpec:
    try:
        data, lines, _ = read_yaml(path)
        if not isinstance(data, dict):
            raise UserError(f"{path}: not a bundle", received="no mapping of keys")
    except UserError as error:
        error.passes = True  # torn, or on its way here: tools write it, and nobody edits it
        raise
    schema = data.get("schema")
    if isinstance(schema, int) and schema > BUNDLE_SCHEMA:
        raise UserError(
            f"{path}: the bundle was built by a newer version",
            received=f"schema {schema}",
            expected=f"schema {BUNDLE_SCHEMA}",
            fix="update this installation, or build the bundle again with it",
        )
    spec = validate(BundleSpec, data, path, lines=lines, whole="bundle")
    if MODEL_NAME not in spec.files:
        raise UserError(f"{path}: files: {MODEL_NAME} is not among them", received=", ".join(spec.files) or "none")
    return spec


def _check_external(folder: Path, spec: BundleSpec) -> None:
    """Check that the weights that the graph itself asks for are among the files whose hashes were checked."""
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
    content = spec.model_dump(mode="json", by_alias=True, exclude=NOT_COMPUTED)
    content["files"] = {name: sha256 for name, sha256 in spec.files.items() if name not in REPORTS}
    if content["register"] is None:  # bundles from before there was a registration keep their identity
        del content["register"]
    if spec.resize.fit == "stretch":  # so that bundles from before these keys keep their hash
        for key in ("fit", "pad", "short_side"):
            del content["resize"][key]
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
