"""A bundle is whole, unchanged and inside its folder, or it is refused with words."""

from __future__ import annotations

import hashlib
import os
import string
from pathlib import Path

import numpy as np
import onnx
import orjson
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper
from support.graphs import identity_model, write_identity_bundle

from edge.config.bundle import Bundle, load_bundle, unlisted
from edge.config.bundle_spec import BundleSpec, DisplaySpec, InputSpec, ResizeSpec
from edge.config.yaml_reader import dump_yaml, parse_yaml
from edge.errors import UserError
from edge.models import write
from edge.models.write import write_bundle


def spec(**changes: object) -> BundleSpec:
    base = BundleSpec(
        name="tile",
        input=InputSpec(channels=1, size=(16, 12)),
        resize=ResizeSpec(where="host", kernel="area", size=(16, 12)),
    )
    return base.model_copy(update=changes)


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        load_bundle(path)
    return str(caught.value)


def edit(bundle: Bundle, **changes: object) -> None:
    path = bundle.folder / "bundle.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changes, sort_keys=False))


def test_a_written_bundle_is_read_back_as_it_was(tmp_path: Path) -> None:
    model = identity_model(1, (16, 12))
    given_spec = spec(
        display=DisplaySpec(threshold=0.5, range=(0.0, 2.0)), provenance={"frames": 3, "built_at": "2026-01-02"}
    )
    bundle = write_bundle(tmp_path / "b", model, given_spec)
    data = model.SerializeToString()
    assert bundle.spec == given_spec.model_copy(update={"files": {"model.onnx": hashlib.sha256(data).hexdigest()}})
    assert bundle.model_path.read_bytes() == data
    assert load_bundle(tmp_path / "b") == bundle
    assert sorted(p.name for p in (tmp_path / "b").iterdir()) == ["bundle.yaml", "model.onnx"]
    assert [p.name for p in tmp_path.iterdir()] == ["b"]


def test_another_user_can_read_it(tmp_path: Path) -> None:
    assert write_identity_bundle(tmp_path / "b").folder.stat().st_mode & 0o777 == 0o755


def test_the_hash_is_of_what_the_model_computes_and_not_of_its_name(tmp_path: Path) -> None:
    def sha(folder: str, **changes: object) -> str:
        return write_bundle(tmp_path / folder, identity_model(1, (16, 12)), spec(**changes)).sha256

    original = sha("a")
    assert original == sha("b", name="other", display=DisplaySpec(threshold=9.0), provenance={"by": "me"})
    assert original != sha("c", resize=ResizeSpec(where="host", kernel="linear", size=(16, 12)))
    assert original != sha("d", map_to_image=(2.0, 2.0, 0.0, 0.0))
    assert original != write_bundle(tmp_path / "e", identity_model(1, (16, 12), score=False), spec()).sha256


def test_the_maps_size_changes_no_hash(tmp_path: Path) -> None:
    """A bundle from before it was told keeps its identity, and with it its calibrations."""
    old = write_bundle(tmp_path / "a", identity_model(1, (16, 12)), spec())
    assert write_bundle(tmp_path / "b", identity_model(1, (16, 12)), spec(map_size=(16, 12))).sha256 == old.sha256
    path = old.folder / "bundle.yaml"
    path.write_text(path.read_text().replace("map_size: null\n", ""))
    assert load_bundle(old.folder) == old


def test_files_that_are_not_listed_are_known(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "b", identity_model(1, (16, 12)), spec())
    assert unlisted(bundle) == []
    (bundle.folder / "more").mkdir()
    (bundle.folder / "more" / "evil.so").write_bytes(b"x")
    (bundle.folder / "link").symlink_to("/nowhere")
    assert unlisted(bundle) == ["link", "more/evil.so"]


def test_the_hash_is_the_one_that_the_docstring_tells(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "b", identity_model(1, (16, 12)), spec())
    content = {
        "schema": 1,
        "files": bundle.spec.files,
        "input": {"channels": 1, "size": [16, 12], "bits": 8},
        "resize": {"where": "host", "kernel": "area", "size": [16, 12]},
        "illumination": None,
        "tile": None,
        "map_to_image": [1.0, 1.0, 0.0, 0.0],
    }
    assert bundle.sha256 == hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()


@given(st.text(alphabet=string.ascii_letters + string.digits + "+-.~_:#'\" eEoxnN\n\té", min_size=1, max_size=8))
def test_any_name_survives_the_file(name: str) -> None:
    """``1e3``, ``on``, ``0o7``, ``null`` and ``12:30`` are numbers and booleans to one YAML or another."""
    text = dump_yaml(spec(name=name, provenance={name: name}).model_dump(mode="json", by_alias=True))
    data, _, _ = (*parse_yaml(text, "x"), None)
    assert data["name"] == name
    assert data["provenance"] == {name: name}


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            lambda p: None,
            "{p}: there is no such bundle\n  expected: a bundle's folder\n"
            "  fix: make one: `edge build MODEL.onnx -o {p}` or `edge fit FOLDER_OF_GOOD_FRAMES -o {p}`",
        ),
        (
            lambda p: p.mkdir(),
            "{p}: not a bundle\n  received: a folder without bundle.yaml\n  expected: a bundle's folder",
        ),
        (lambda p: p.write_text("x"), "{p}: not a bundle\n  received: a file\n  expected: a bundle's folder"),
    ],
)
def test_what_is_no_bundle_is_named(tmp_path: Path, make: object, text: str) -> None:
    path = tmp_path / "tile"
    make(path)  # type: ignore[operator]
    assert refusal(path) == text.format(p=path)


def test_a_bare_onnx_file_is_told_how_to_become_a_bundle(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(identity_model(), path)
    assert refusal(path) == (
        f"{path}: a bare ONNX file is no bundle\n  expected: a bundle's folder\n"
        f"  fix: run `edge build {path} -o FOLDER` and name FOLDER here"
    )


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    bundle = write_identity_bundle(tmp_path / "b")
    bundle.model_path.write_bytes(b"other")
    assert refusal(bundle.folder) == (
        f"{bundle.model_path}: the file is not the one that the bundle was built with\n"
        f"  received: SHA-256 {hashlib.sha256(b'other').hexdigest()}\n"
        f"  expected: SHA-256 {bundle.spec.files['model.onnx']}\n"
        "  fix: copy the bundle again, or build it again"
    )


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    bundle = write_identity_bundle(tmp_path / "b")
    bundle.model_path.unlink()
    where = bundle.folder / "bundle.yaml"
    assert refusal(bundle.folder) == (
        f"{where}: files: the file is missing\n  received: model.onnx\n  expected: a file inside {bundle.folder}"
    )


def test_an_unreadable_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = write_identity_bundle(tmp_path / "b")

    def denied(path: Path) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("edge.config.bundle.sha256_of", denied)
    assert refusal(bundle.folder) == f"{bundle.model_path}: cannot be read: Permission denied"


def test_a_newer_schema_is_refused_before_its_keys(tmp_path: Path) -> None:
    bundle = write_identity_bundle(tmp_path / "b")
    edit(bundle, schema=2, unheard_of=1)
    assert refusal(bundle.folder) == (
        f"{bundle.folder / 'bundle.yaml'}: the bundle was built by a newer version\n  received: schema 2\n"
        "  expected: schema 1\n  fix: update this installation, or build the bundle again with it"
    )


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"nam": "x"},
            "{p}:37: nam: unknown key\n  expected: did you mean 'name'?",
        ),
        (
            {"resize": {"where": "none", "kernal": "area"}},
            "{p}:11: resize.kernal: unknown key\n  expected: did you mean 'kernel'?",
        ),
        ({"name": 7}, "{p}:2: name\n  received: 7\n  expected: text: write it in quotes, exactly as it stands there"),
        (
            {"input": {"channels": 2, "size": "any"}},
            "{p}:6: input.channels\n  received: 2\n  expected: input should be 1 or 3",
        ),
        ({"resize": {"kernel": "area"}}, "{p}:9: resize.where: missing\n  expected: a value: this key has no default"),
        (
            {"resize": {"where": "host"}},
            "{p}: bundle: resize.size must be given where resize.where is host",
        ),
        (
            {"resize": {"where": "host", "size": [8, 8]}, "input": {"channels": 1, "size": [9, 9]}},
            "{p}: bundle: resize.size 8x8 and input.size 9x9 must be equal: the host feeds the graph",
        ),
        ({"map_to_image": [0, 1, 0, 0]}, "{p}: bundle: map_to_image must have scales above 0"),
        ({"files": {}}, "{p}: files: model.onnx is not among them\n  received: none"),
    ],
)
def test_each_mistake_in_the_spec_is_named(tmp_path: Path, changes: dict[str, object], text: str) -> None:
    bundle = write_identity_bundle(tmp_path / "b")
    edit(bundle, **changes)
    assert refusal(bundle.folder) == text.format(p=bundle.folder / "bundle.yaml")


@pytest.mark.parametrize("name", ["../outside.onnx", "/etc/hostname", "link.onnx"])
def test_files_outside_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    bundle = write_identity_bundle(tmp_path / "b")
    (tmp_path / "outside.onnx").write_bytes(b"x")
    (bundle.folder / "link.onnx").symlink_to(tmp_path / "outside.onnx")
    edit(bundle, files=dict(bundle.spec.files) | {name: "0" * 64})
    assert refusal(bundle.folder) == (
        f"{bundle.folder / 'bundle.yaml'}: files: the file lies outside the folder\n"
        f"  received: {name}\n  expected: a file inside {bundle.folder}"
    )


def with_external_data(tmp_path: Path, location: str) -> Path:
    """A bundle whose graph asks for weights at ``location``; its own hashes are right."""
    model = identity_model()
    weights = model.graph.initializer[0]
    bundle = write_bundle(
        tmp_path / "b", model, spec(input=InputSpec(channels=1, size="any"), resize=ResizeSpec(where="none"))
    )
    (bundle.folder / "weights").write_bytes(weights.raw_data)
    weights.ClearField("raw_data")
    weights.data_location = onnx.TensorProto.EXTERNAL
    weights.external_data.add(key="location", value=location)
    bundle.model_path.write_bytes(model.SerializeToString())
    edit(
        bundle,
        files={n: hashlib.sha256((bundle.folder / n).read_bytes()).hexdigest() for n in ("model.onnx", "weights")},
    )
    return bundle.folder


def test_external_data_inside_the_folder_is_read(tmp_path: Path) -> None:
    folder = with_external_data(tmp_path, "weights")
    assert set(load_bundle(folder).spec.files) == {"model.onnx", "weights"}


@pytest.mark.parametrize("location", ["../secret", "/etc/hostname", "leak"])
def test_external_data_outside_the_folder_is_refused(tmp_path: Path, location: str) -> None:
    (tmp_path / "secret").write_bytes(b"1234")
    folder = with_external_data(tmp_path, location)
    (folder / "leak").symlink_to(tmp_path / "secret")
    assert refusal(folder) == (
        f"{folder / 'model.onnx'}: external data: the file lies outside the folder\n"
        f"  received: {location}\n  expected: a file inside {folder}"
    )


def test_external_data_without_a_hash_is_refused(tmp_path: Path) -> None:
    folder = with_external_data(tmp_path, "unlisted")
    (folder / "unlisted").write_bytes(b"1234")
    assert refusal(folder) == (
        f"{folder / 'model.onnx'}: external data: unlisted has no hash in bundle.yaml\n  fix: build the bundle again"
    )


def test_weights_too_large_for_one_file_lie_beside_the_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write, "_ONE_FILE_BYTES", 1000)
    model = identity_model(1, (16, 12))
    model.graph.initializer.append(numpy_helper.from_array(np.arange(1000, dtype=np.float32), "unused"))
    bundle = write_bundle(tmp_path / "b", model, spec())
    assert set(bundle.spec.files) == {"model.onnx", "model.onnx.data"}


def test_a_bundle_is_replaced_only_by_force(tmp_path: Path) -> None:
    old = write_identity_bundle(tmp_path / "b")
    with pytest.raises(UserError) as caught:
        write_bundle(tmp_path / "b", identity_model(1, (16, 12)), spec())
    assert str(caught.value) == (
        f"{tmp_path / 'b'}: there is a bundle already\n  fix: give --force to replace it, or name another folder"
    )
    assert load_bundle(tmp_path / "b") == old
    assert write_bundle(tmp_path / "b", identity_model(1, (16, 12)), spec(), force=True).spec.name == "tile"
    assert [p.name for p in tmp_path.iterdir()] == ["b"]


def test_a_folder_that_is_no_bundle_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(b"x")
    with pytest.raises(UserError) as caught:
        write_bundle(tmp_path / "photos", identity_model(1, (16, 12)), spec(), force=True)
    assert str(caught.value) == (
        f"{tmp_path / 'photos'}: exists and is no bundle, so it is not replaced\n"
        "  expected: a new folder, an empty one, or a bundle\n  fix: name another folder"
    )
    assert (tmp_path / "photos" / "a.png").read_bytes() == b"x"


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    assert write_bundle(tmp_path / "b", identity_model(1, (16, 12)), spec()).spec.name == "tile"


@pytest.mark.parametrize("fails", ["_save_model", "_sync", "rename"])
def test_a_write_that_fails_leaves_the_old_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str) -> None:
    old = write_identity_bundle(tmp_path / "b")

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    if fails == "rename":  # the second of the two, when the old folder has been moved away
        rename, calls = Path.rename, []

        def once(self: Path, target: Path) -> Path:
            calls.append(target)
            return full() if len(calls) == 2 else rename(self, target)  # type: ignore[func-returns-value, return-value]

        monkeypatch.setattr(Path, "rename", once)
    else:
        monkeypatch.setattr(write, fails, full)
    with pytest.raises(UserError) as caught:
        write_bundle(tmp_path / "b", identity_model(1, (16, 12)), spec(), force=True)
    monkeypatch.undo()
    assert str(caught.value) == f"{tmp_path / 'b'}: cannot be written: No space left on device"
    assert load_bundle(tmp_path / "b") == old
    assert os.listdir(tmp_path) == ["b"]


def test_a_link_to_a_bundle_stays_a_link(tmp_path: Path) -> None:
    write_identity_bundle(tmp_path / "v1")
    (tmp_path / "current").symlink_to("v1")
    write_bundle(tmp_path / "current", identity_model(1, (16, 12)), spec(), force=True)
    assert (tmp_path / "current").is_symlink()
    assert load_bundle(tmp_path / "v1").spec.name == "tile"
