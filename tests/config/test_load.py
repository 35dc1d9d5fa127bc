"""A wrong config says file, line, key, what was received and what was expected; a right one means what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.config.load import Loaded, load_config
from edge.config.regions import ThresholdConfig
from edge.config.sources import GenicamConfig
from edge.errors import ExitCode, UserError

GOOD = """\
camera: cam1
source: {kind: genicam, serial: "40012345", features: [[TriggerMode, On], [ExposureTime, 8e2], [TriggerSoftware, execute]]}
model: {bundle: models/tile-40}
regions:
  threshold: {high: 0.6, low: 0.45}
"""


def load(tmp_path: Path, text: str, *overrides: str) -> Loaded:
    path = tmp_path / "cam1.yaml"
    path.write_text(text)
    return load_config(path, overrides)


def error(tmp_path: Path, text: str, *overrides: str) -> str:
    with pytest.raises(UserError) as caught:
        load(tmp_path, text, *overrides)
    return str(caught.value).replace(str(tmp_path) + "/", "")


def test_on_is_a_text_and_1e3_a_number_as_yaml_1_2_has_it(tmp_path: Path) -> None:
    source = load(tmp_path, GOOD).config.source
    assert isinstance(source, GenicamConfig)
    assert source.features == (("TriggerMode", "On"), ("ExposureTime", 800.0), ("TriggerSoftware", "execute"))


def test_a_misspelt_key_names_the_nearest_one(tmp_path: Path) -> None:
    assert error(tmp_path, GOOD + "  min_aera_px: 16\n") == (
        "cam1.yaml:6: regions.min_aera_px: unknown key\n  expected: did you mean 'min_area_px'?"
    )


def test_an_unknown_key_of_a_source_lists_the_keys_of_that_kind(tmp_path: Path) -> None:
    text = GOOD.replace("kind: genicam,", "kind: genicam, zzz: 1,")
    assert error(tmp_path, text) == (
        f"cam1.yaml:2: source.zzz: unknown key\n  expected: one of {', '.join(GenicamConfig.model_fields)}"
    )


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("regions.zones=[{shape: [0, 0, 1, 1], min_aera_px: 3}]", "regions.zones.0.min_aera_px: unknown key"),
        ("outputs.zmq={curve: {clienst: x}}", "outputs.zmq.curve.clienst: unknown key"),
    ],
)
def test_a_misspelt_key_in_a_list_or_an_optional_section_names_the_nearest_one(
    tmp_path: Path, override: str, text: str
) -> None:
    right = {"min_aera_px": "min_area_px", "clienst": "clients"}[text.split(": ")[0].split(".")[-1]]
    assert f"cam1.yaml: {text}\n  expected: did you mean '{right}'?" in error(tmp_path, GOOD, override)


def test_a_duplicate_key_names_both_lines(tmp_path: Path) -> None:
    assert error(tmp_path, GOOD + "camera: cam2\n") == (
        "cam1.yaml:6: camera: the key stands twice\n  received: line 1 and line 6\n  fix: keep one of them"
    )


def test_bad_yaml_names_the_line(tmp_path: Path) -> None:
    assert error(tmp_path, "camera: cam1\nsource: [1, 2\nmodel: 3\n").startswith("cam1.yaml:3: not valid YAML: ")


def test_all_errors_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = GOOD.replace("cam1", "Cam 1").replace("low: 0.45", "low: 0.7") + "ring: {slots: 3}\n"
    assert error(tmp_path, text) == (
        "cam1.yaml:1: camera\n  received: 'Cam 1'\n  expected: a to z, 0 to 9 and _, at most 32 characters\n"
        "cam1.yaml:5: regions.threshold: low (0.7) must not be above high (0.6)\n"
        "cam1.yaml:6: ring.slots\n  received: 3\n  expected: input should be greater than or equal to 4"
    )


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("deadline_ms: true", "cam1.yaml:6: deadline_ms\n  received: true\n  expected: input should be a valid number"),
        ("deadline_ms: '80'", "cam1.yaml:6: deadline_ms\n  received: '80'\n  expected: input should be a valid number"),
        ("deadline_ms: .nan", "cam1.yaml:6: deadline_ms: not a finite number\n  received: .nan"),
        ("1: x", "cam1.yaml:6: a key must be text\n  received: 1"),
        (
            'outputs: {zmq: {bind: "tcp://0.0.0.0:5556"}}',
            "cam1.yaml:6: outputs.zmq: bind: 'tcp://0.0.0.0:5556' would open the records to the network without keys; "
            "expected ipc:// or tcp:// on 127.0.0.1, or keys under curve",
        ),
    ],
)
def test_a_wrong_value_says_what_came_and_what_was_expected(tmp_path: Path, line: str, text: str) -> None:
    assert error(tmp_path, GOOD + line + "\n") == text


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ("window: [0, 255]", "source: window belongs to bit_depth: 8; 16 keeps every value"),
        (
            "bit_depth: 8, window: [900, 900]",
            "source: window is [value that becomes 0, value that becomes 255], rising; got [900, 900]",
        ),
        (
            "bit_depth: 8, window: [0, 70000]",
            "source.window.1\n  received: 70000\n  expected: input should be less than or equal to 65535",
        ),
        ("bit_depth: 12", "source.bit_depth\n  received: 12\n  expected: input should be 8 or 16"),
        ("bayer: RGGB", "source.bayer\n  received: 'RGGB'\n  expected: input should be 'RG', 'GR', 'GB' or 'BG'"),
        (
            "max_reconnects: 0",
            "source.max_reconnects\n  received: 0\n  expected: input should be greater than or equal to 1",
        ),
    ],
)
def test_a_camera_s_depth_window_pattern_and_reconnections(tmp_path: Path, keys: str, text: str) -> None:
    assert error(tmp_path, GOOD.replace("kind: genicam", f"kind: genicam, {keys}")) == f"cam1.yaml:2: {text}"


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    assert error(tmp_path, "camera: cam1\nsource: {kind: synthetic}\n") == (
        "cam1.yaml: model: missing\n  expected: a value: this key has no default"
    )


def test_an_unknown_kind_of_source_lists_those_there_are(tmp_path: Path) -> None:
    text = error(tmp_path, GOOD.replace("kind: genicam", "kind: gige"))
    assert text == (
        "cam1.yaml:2: source.kind\n  received: 'gige'\n"
        "  expected: one of 'genicam', 'opencv', 'snapshot', 'watched_folder', 'recorded', 'synthetic'"
    )


@pytest.mark.parametrize("text", ["", "- 1\n", "cam1\n"])
def test_a_file_that_is_no_mapping_is_no_config(tmp_path: Path, text: str) -> None:
    assert error(tmp_path, text).startswith("cam1.yaml: not a config\n  received: ")


def test_a_config_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        load_config(tmp_path / "none.yaml")
    assert str(caught.value) == f"{tmp_path}/none.yaml: cannot be read: No such file or directory"
    (tmp_path / "latin.yaml").write_bytes(b"camera: c\xe4m\n")
    with pytest.raises(UserError) as caught:
        load_config(tmp_path / "latin.yaml")
    assert str(caught.value) == f"{tmp_path}/latin.yaml: not UTF-8 text: invalid continuation byte at byte 9"


def test_set_overrides_a_value_a_section_and_a_missing_one(tmp_path: Path) -> None:
    loaded = load(tmp_path, GOOD, "regions.min_area_px=16", "outputs.zmq=null", "ring.slots=9", "recipe_id=tile 40")
    assert loaded.config.regions.min_area_px == 16
    assert loaded.config.outputs.zmq is None
    assert loaded.config.ring.slots == 9
    assert loaded.config.recipe_id == "tile 40"


@pytest.mark.parametrize(
    ("item", "text"),
    [
        ("ring", "--set\n  received: ring\n  expected: key=value, for example regions.min_area_px=16"),
        (
            "camera.x=1",
            "--set camera.x=1: camera is a value, not a section\n  fix: --set 'camera={x: 1}'",
        ),
        (
            "source.features.Width=400",
            "--set source.features.Width=400: features is a list, not a section\n"
            "  fix: a list is replaced whole: "
            "--set 'source.features=[[TriggerMode, On], [ExposureTime, 800.0], [TriggerSoftware, execute]]'",
        ),
        ("ring.slos=9", "cam1.yaml: ring.slos: unknown key\n  expected: did you mean 'slots'?"),
    ],
)
def test_a_wrong_override_is_told(tmp_path: Path, item: str, text: str) -> None:
    assert error(tmp_path, GOOD, item) == text


def test_the_advice_for_a_part_of_a_value_is_that_key(tmp_path: Path) -> None:
    calibrated = GOOD.replace("{high: 0.6, low: 0.45}", "calibrated")
    assert error(tmp_path, calibrated, "regions.threshold.high=4") == (
        "--set regions.threshold.high=4: threshold is a value, not a section\n  fix: --set 'regions.threshold={high: 4}'"
    )
    assert load(tmp_path, calibrated, "regions.threshold={high: 4}").config.regions.threshold == ThresholdConfig(high=4)


def test_the_hash_is_of_the_meaning_not_of_the_text(tmp_path: Path) -> None:
    base = load(tmp_path, GOOD).sha256
    assert load(tmp_path, "# a comment\n" + GOOD + "deadline_ms: null\n").sha256 == base
    assert load(tmp_path, GOOD, "regions.min_area_px=16").sha256 != base


@pytest.mark.parametrize(
    ("override", "text"),
    [
        (
            "source.serial=99",
            "source.serial\n  received: 99\n  expected: text: write it in quotes, exactly as it stands there",
        ),
        *(  # digits that a number loses: "12345" in quotes would be waited for for ever
            (
                f"source.serial={text}",
                f"source.serial\n  received: {number}\n  expected: text: write it in quotes, exactly as it stands there",
            )
            for text, number in (("0012345", "12345"), ("0x1F", "31"), ("1e3", "1000.0"))
        ),
        ("recipe_id=true", "recipe_id\n  received: true\n  expected: text: write it in quotes, exactly as it stands there"),
        ("camera=null", "camera\n  received: null\n  expected: text"),
        (
            "health.bind=0.0.0.0:9100",
            "health.bind\n  received: '0.0.0.0:9100'\n"
            "  expected: 127.0.0.1:PORT or localhost:PORT, PORT 0 to 65535; 0 takes any free one",
        ),
        (
            "health.bind=127.0.0.1:65536",
            "health.bind\n  received: '127.0.0.1:65536'\n"
            "  expected: 127.0.0.1:PORT or localhost:PORT, PORT 0 to 65535; 0 takes any free one",
        ),
    ],
)
def test_what_is_expected_stands_in_words_not_in_a_pattern(tmp_path: Path, override: str, text: str) -> None:
    assert error(tmp_path, GOOD, override) == f"cam1.yaml: {text}"


@pytest.mark.parametrize(
    ("features", "where", "received"),
    [
        ("[[Width, null]]", "source.features.0", '["Width",null]'),
        ("[[Gain, 1], [Width]]", "source.features.1", '["Width"]'),
        ("[[Width, 1, 2]]", "source.features.0", '["Width",1,2]'),
        ("[[3, 4]]", "source.features.0", "[3,4]"),
        ("[Width, 400]", "source.features", '["Width",400]'),
        ("{Width: 400}", "source.features", '{"Width":400}'),
    ],
)
def test_a_feature_that_is_no_pair_is_told_in_one_sentence(
    tmp_path: Path, features: str, where: str, received: str
) -> None:
    expected = (
        "a list of features, each [name, value], for example [[ExposureTime, 800.0]]"
        if where.endswith("features")
        else "a feature is [name, value], for example [ExposureTime, 800.0]"
    )
    assert error(tmp_path, GOOD, f"source.features={features}") == (
        f"cam1.yaml: {where}\n  received: {received}\n  expected: {expected}"
    )


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("source.features[1]: Wdth: the camera has no such feature", "cam1.yaml:3: "),
        ("source.features.1: as the config's own errors count", "cam1.yaml:3: "),
        ("regions.threshold: of a later line", "cam1.yaml:6: "),
        ("health.bind: a key that only has its default", "cam1.yaml: "),
        ("camera cam1: another instance is running", ""),
        ("/opt/x: no such file", ""),
        ("cam1.yaml:3: source.features: told already", ""),
    ],
)
def test_an_error_that_begins_with_a_key_is_told_of_the_file_and_the_keys_line(
    tmp_path: Path, said: str, told: str
) -> None:
    text = GOOD.replace("[[TriggerMode, On], ", "[[TriggerMode, On],\n    ")
    loaded = load(tmp_path, text)
    located = loaded.located(UserError(said, received=1, exit_code=ExitCode.LOCKED))
    assert str(located).replace(f"{tmp_path}/", "") == f"{told}{said}\n  received: 1"
    assert (located.exit_code, located.what.endswith(said)) == (6, True)


def test_what_set_overrides_has_no_line(tmp_path: Path) -> None:
    loaded = load(tmp_path, GOOD, "source.features=[[Width, 400]]")
    assert str(loaded.located(UserError("source.features[0]: Width: no"))).endswith(
        "cam1.yaml: source.features[0]: Width: no"
    )


def test_relative_paths_lie_beside_the_config(tmp_path: Path) -> None:
    loaded = load(tmp_path, GOOD)
    assert loaded.resolve(loaded.config.model.bundle) == tmp_path / "models/tile-40"
    assert loaded.resolve(Path("/opt/x")) == Path("/opt/x")


@pytest.mark.parametrize(
    ("endpoint", "why"),
    [
        ("ipc://", "names no file; expected ipc://PATH"),
        ("ipc://*", "names no file; expected ipc://PATH"),
        ("ipc://@edge", "has no file whose owner and mode keep others out; expected ipc://PATH"),
        ("ipc:///run/\\0x", "names no file; expected ipc://PATH"),
        ("tcp://127.0.0.1:*", "names no port; expected 0 to 65535, where 0 takes any free one"),
        ("tcp://127.0.0.1:", "names no port; expected 0 to 65535, where 0 takes any free one"),
        ("tcp://127.0.0.1:70000", "names no port; expected 0 to 65535, where 0 takes any free one"),
        ("tcp://127.0.0.1", "is no endpoint; expected ipc://PATH or tcp://127.0.0.1:PORT"),
        ("inproc://x", "is no endpoint; expected ipc://PATH or tcp://127.0.0.1:PORT"),
    ],
)
@pytest.mark.parametrize("key", ["bind", "preview"])
def test_an_endpoint_that_cannot_be_bound_as_it_says_is_refused_by_the_check(
    tmp_path: Path, key: str, endpoint: str, why: str
) -> None:
    text = f'{GOOD}outputs:\n  zmq: {{{key}: "{endpoint}"}}\n'
    line = text[: text.index("zmq:")].count("\n") + 1
    endpoint = endpoint.replace("\\0", "\0")
    assert error(tmp_path, text) == f"cam1.yaml:{line}: outputs.zmq: {key}: {endpoint!r} {why}"


@pytest.mark.parametrize("key", ["before_fail", "after_fail"])
def test_frames_around_a_fail_need_the_fail_itself(tmp_path: Path, key: str) -> None:
    text = f"{GOOD}outputs:\n  evidence: {{dir: e, keep: [invalid], {key}: 3}}\n"
    line = text[: text.index("evidence:")].count("\n") + 1
    assert error(tmp_path, text) == (
        f"cam1.yaml:{line}: outputs.evidence: {key}: 3 frames around each fail, which keep leaves out; "
        "expected fail in keep, or 0"
    )


def test_what_set_brought_is_not_blamed_on_a_line_of_the_file(tmp_path: Path) -> None:
    text = GOOD + "outputs:\n  zmq: {}\n"
    told = error(tmp_path, text, "outputs.zmq.bind=tcp://0.0.0.0:5556")
    assert told.startswith("cam1.yaml: outputs.zmq: bind: 'tcp://0.0.0.0:5556' would open the records to the network")
