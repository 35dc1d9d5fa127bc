"""The container files: what they copy is there, nothing runs as root, and the composed line is a line."""

from __future__ import annotations

import itertools
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from edge.config.load import load_config

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
INSTRUCTIONS = [line.split(maxsplit=1) for line in re.sub(r"\\\n", " ", DOCKERFILE).splitlines() if line and line[0] != "#"]


def told(name: str) -> list[str]:
    return [words for instruction, words in INSTRUCTIONS if instruction == name]


def test_what_the_image_copies_is_there_and_is_not_ignored() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    sources = [word for words in told("COPY") if "--from" not in words for word in words.split()[:-1]]
    assert len(sources) == 5
    assert set(sources) == kept
    assert all((ROOT / source).exists() for source in sources)


def test_the_image_runs_as_its_own_user_and_says_how_it_is() -> None:
    assert told("USER") == ["edge"]
    assert all(re.search(r":\d", words) for words in told("FROM"))  # no tag that moves without a version
    assert told("HEALTHCHECK")[0].endswith('CMD ["edge", "fleet", "--json"]')
    assert told("ENTRYPOINT") == ['["edge"]']
    after_user = INSTRUCTIONS.index(["USER", "edge"])
    assert all(instruction != "RUN" for instruction, _ in INSTRUCTIONS[after_user:])


def test_the_extras_of_the_image_are_extras() -> None:
    extras = re.findall(r"\.\[([\w,]+)\]", DOCKERFILE)[0].split(",")
    project = (ROOT / "pyproject.toml").read_text()
    assert [extra for extra in extras if not re.search(rf"^{extra} = \[", project, re.MULTILINE)] == []


def test_the_composed_line_is_a_line() -> None:
    command = COMPOSE["services"]["cam1"]["command"]
    assert command[:2] == ["run", "-c"]
    config = ROOT / "configs" / Path(command[2]).name
    loaded = load_config(config, [word for before, word in itertools.pairwise(command) if before == "--set"])
    assert loaded.config.health.bind == "127.0.0.1:9101"
    targets = yaml.safe_load((ROOT / "configs" / "monitoring" / "prometheus.yml").read_text())
    assert loaded.config.health.bind in targets["scrape_configs"][0]["static_configs"][0]["targets"]


@pytest.mark.parametrize("name", list(COMPOSE["services"]))
def test_a_service_mounts_what_is_there_and_moves_with_no_tag(name: str) -> None:
    service = COMPOSE["services"][name]
    for mount in service.get("volumes", ()):
        source = mount.split(":")[0]
        assert (ROOT / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]
    assert not service["image"].endswith(":latest")
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


def test_without_a_builder_the_script_says_so(tmp_path: Path) -> None:
    for tool in ("dirname", "bash", "env"):
        (tmp_path / tool).symlink_to(f"/usr/bin/{tool}")
    result = subprocess.run(
        [ROOT / "scripts" / "container"], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=True
    )
    assert result.stdout == "no builder of images here (docker, podman or buildah): nothing was built\n"
