"""Readers of what people and crashes leave behind: whatever the bytes, nothing but the documented errors."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
import zstandard
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support.lines import BASE
from support.records import WIRE, inspection, paths_in, record, skip, with_value

from edge.config.load import Loaded, load_config
from edge.errors import UserError
from edge.storage.log_files import read_messages
from edge.wire.read import WireError, read

FULL = yaml.safe_load((Path(__file__).parents[2] / "configs" / "full.yaml").read_text())
HEADER, LINES = WIRE.header(1), [record(0).line, WIRE.skip(1, skip(), 2).line]
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=10,
)
BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n + 1}: &a{n + 1} [*a{n}, *a{n}]\n" for n in range(40))
BY_HAND = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def load(folder: Path, text: str | bytes, overrides: tuple[str, ...] = ()) -> None:
    path = folder / "fuzz.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    with contextlib.suppress(UserError):
        assert isinstance(load_config(path, overrides), Loaded)


@given(st.binary(max_size=200) | st.text(max_size=200))
@example("a: &a [*a]")
@example("? {a: b}\n: c")
@example("a: !!python/object:os.system x")
@example("a: 2026-11-21")
@example("- " * 400)
@example("[" * 2000)
@example("<<: {a: 1}")
@example("a: !!float x")
@example("a: !!int 0x")
@example("%YAML 9.9\n---\na: 1")
@example("a: 1\n---\nb: 2")
@example(b"\xff\xfe\x00\x00")
@example("camera: \x00")
@example(BOMB)
@example(BASE + "deadline_ms: " + "9" * 5000)
@BY_HAND
def test_any_file_is_a_config_or_a_mistake_that_is_told(tmp_path: Path, text: str | bytes) -> None:
    load(tmp_path, text)


@given(st.sampled_from(paths_in(FULL)), JSON)
@BY_HAND
def test_any_value_at_any_key_is_taken_or_told(tmp_path: Path, path: tuple[Any, ...], value: Any) -> None:
    load(tmp_path, orjson.dumps(orjson.loads(_json(with_value(FULL, path, value)))))


@given(st.sampled_from(paths_in(FULL)), st.text(max_size=12))
@BY_HAND
def test_any_name_of_a_key_is_taken_or_told(tmp_path: Path, path: tuple[Any, ...], name: str) -> None:
    load(tmp_path, orjson.dumps(orjson.loads(_json(with_value(FULL, path, {name: 1})))))


@given(st.text(max_size=40) | st.builds("{}={}".format, st.sampled_from(["camera", "a.b", "regions.roi"]), st.text()))
@example("regions.threshold.high=[")
@example("camera.x=1")
@example(".=1")
@example("=1")
@BY_HAND
def test_any_override_is_taken_or_told(tmp_path: Path, item: str) -> None:
    load(tmp_path, BASE, (item,))


@given(st.sampled_from([HEADER, *LINES]), st.data())
@BY_HAND
def test_a_changed_message_is_read_or_refused(line: bytes, data: st.DataObject) -> None:
    message = orjson.loads(line)
    path = data.draw(st.sampled_from(paths_in(message)))
    changed = _json(with_value(message, path, data.draw(JSON)))
    with contextlib.suppress(WireError):
        assert isinstance(read(changed), dict)


@given(st.binary(max_size=400), st.integers(0, 1000), st.sampled_from(["edge.jsonl", "edge.jsonl.zst"]))
@BY_HAND
def test_any_bytes_in_a_log_are_read_over(tmp_path: Path, noise: bytes, at: int, name: str) -> None:
    """Noise among whole records; and a compressed file that is cut and followed by noise."""
    text = b"".join(line + b"\n" for line in (HEADER, *LINES))
    packed = zstandard.ZstdCompressor().compress(text) if name.endswith("zst") else text
    path = tmp_path / name
    path.write_bytes(packed[: at % (len(packed) + 1)] + noise)
    counts: dict[str, int] = {}
    found = list(read_messages(path, counts))
    assert set(counts) == {"torn", "unreadable"}
    assert all(isinstance(message, dict) for message in found)


@given(st.lists(st.binary(max_size=30).map(lambda b: b.replace(b"\n", b"")), max_size=8))
@BY_HAND
def test_noise_between_records_costs_no_record(tmp_path: Path, noise: list[bytes]) -> None:
    path = tmp_path / "edge.jsonl"
    path.write_bytes(b"".join(n + b"\n" + LINES[0] + b"\n" for n in noise))
    counts: dict[str, int] = {}
    found = list(read_messages(path, counts))
    assert [m["seq"] for m in found if m["kind"] == "inspection"] == [0] * len(noise)
    assert counts["torn"] == 0


@pytest.mark.parametrize("value", [float("nan"), 2**70, "\udcff", {"a": 1}])
def test_what_json_cannot_hold_is_written_as_something_that_is_read(value: Any) -> None:
    line = WIRE.inspection(0, inspection(score=value if isinstance(value, float) else None, reason=str(value)), 1).line
    assert read(line)["seq"] == 0


def _json(value: Any) -> bytes:
    """JSON of whatever hypothesis made; what has none becomes text."""
    try:
        return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:
        return orjson.dumps(repr(value))
