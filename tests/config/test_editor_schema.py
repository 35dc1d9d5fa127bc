"""An editor that checks a line's YAML by the schema says of shipped configs what the program says."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from edge.config.editor_schema import editor_schema
from edge.config.yaml_reader import read_yaml

CONFIGS = Path(__file__).parents[2] / "configs"
SCHEMA = json.loads(editor_schema())


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda p: p.name)
def test_shipped_configs_name_the_schema_and_keep_it(path: Path) -> None:
    assert path.read_text().startswith("# yaml-language-server: $schema=line.schema.json\n")
    data, _, _ = read_yaml(path)
    jsonschema.Draft202012Validator(SCHEMA).validate(data)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"camer": "cam1"}, "Additional properties are not allowed ('camer' was unexpected)"),
        ({"ring": {"slots": 2}}, "2 is less than the minimum of 4"),
        ({"regions": {"threshold": {"hig": 1.0}}}, "is not valid under any of the given schemas"),
    ],
)
def test_a_wrong_key_or_value_is_marked(change: dict[str, object], said: str) -> None:
    data, _, _ = read_yaml(CONFIGS / "simulated-camera.yaml")
    errors = [e.message for e in jsonschema.Draft202012Validator(SCHEMA).iter_errors(data | change)]
    assert len(errors) == 1
    assert said in errors[0]


def test_every_key_has_words_and_no_markup_of_docstrings() -> None:
    text = json.dumps(SCHEMA)
    assert "``" not in text
    described = [p for d in SCHEMA["$defs"].values() for p in d.get("properties", {}).items()]
    assert [name for name, node in described if name != "kind" and "description" not in node] == []
