"""The reference pages say what the code says, and the configs that are shipped are configs."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from edge.config.bundle import load_bundle
from edge.config.line import Config
from edge.config.load import load_config
from edge.config.sources import GenicamConfig
from edge.config.yaml_reader import Section
from edge.line.recipe import open_model
from edge.wire.encode import SCHEMA

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
import make_docs  # noqa: E402

CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))


@pytest.mark.parametrize("name", list(make_docs.PAGES))
def test_a_reference_page_is_what_the_code_says(name: str) -> None:
    assert (ROOT / name).read_text() == make_docs.PAGES[name](), "run scripts/make_docs.py"


def test_every_config_key_is_documented() -> None:
    missing = [
        f"{path}.{name}"
        for path, model in make_docs.sections(Config, "")
        for name, field in model.model_fields.items()
        if not field.description
    ]
    assert missing == ["source (kind: genicam).kind"] or all(m.endswith(".kind") for m in missing)


def test_every_field_of_a_message_is_documented() -> None:
    page = (ROOT / "docs" / "record.md").read_text()
    names: set[str] = set()

    def walk(node: object) -> None:
        if isinstance(node, dict):
            properties = node.get("properties")
            if isinstance(properties, dict):
                names.update(properties)
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(SCHEMA)
    assert len(names) > 40
    header = {"started_ns"}
    assert [n for n in sorted(names - header) if not re.search(rf"`[^`]*\b{n}\b[^`]*`", page)] == []


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.name)
def test_a_shipped_config_can_run_as_it_is(path: Path) -> None:
    engine, _ = open_model(load_config(path))
    engine.close()


def test_the_full_config_shows_every_key() -> None:
    text = (ROOT / "configs" / "full.yaml").read_text()
    shown = set(re.findall(r"^\s*(?:# )?([a-z_]+):", text, flags=re.M))
    sections: list[type[Section]] = [m for p, m in make_docs.sections(Config, "") if "kind:" not in p or m is GenicamConfig]
    wanted = {name for model in sections for name in model.model_fields}
    assert sorted(wanted - shown) == []


def test_shipped_bundles_are_whole() -> None:
    bundles = sorted((ROOT / "configs" / "bundles").iterdir())
    assert [b.name for b in bundles] == ["synthetic-part", "white-scene"]
    for bundle in bundles:
        load_bundle(bundle)


def test_the_readme_begins_with_the_two_commands() -> None:
    first_screen = (ROOT / "README.md").read_text().splitlines()[:25]
    assert any("./scripts/demo" in line for line in first_screen)
    assert any("./scripts/test" in line for line in first_screen)


def test_what_troubleshooting_quotes_is_said_by_the_code() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    code = "".join(path.read_text() for path in (ROOT / "edge").rglob("*.py"))
    code = re.sub(r'"\n\s+f?"', "", code)  # texts that go on on the next line
    rows = re.findall(r"^\| (.+?) \|", page, re.MULTILINE)
    quoted = [text for row in rows for text in re.findall(r"`([^`]+)`", row)]
    assert len(quoted) >= 55
    assert [text for text in quoted if text not in code] == []
    reasons = re.findall(r"^\| `([a-z_]+)`", page.split("every frame is invalid")[1].split("## Verdicts")[0], re.MULTILINE)
    assert len(reasons) >= 14
    assert [reason for reason in reasons if f'"{reason}"' not in code and reason != "drift_"] == []


def test_the_index_names_every_page() -> None:
    index = (ROOT / "docs" / "index.md").read_text()
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"index.md"}
    assert [name for name in sorted(pages) if f"({name})" not in index] == []
