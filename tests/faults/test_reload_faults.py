"""Reloads and changes of model while frames come as fast as they can: none is lost, each says what it was judged with."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from support.graphs import write_identity_bundle
from support.lines import loaded, records
from support.reloads import Driven
from support.sums import sum_rule_of

from edge.config.load import load_config


@pytest.mark.parametrize("times", [8, pytest.param(50, marks=[pytest.mark.soak, pytest.mark.timeout(300)])])
def test_reloads_and_refusals_under_load(tmp_path: Path, times: int) -> None:
    """Every third config is wrong. The source waits for the line, which is never idle."""
    config = loaded(tmp_path, "source.fps=null", "source.frames=null", "ring.slots=4")
    write_identity_bundle(tmp_path / "other", name="other")
    text = config.path.read_text()
    names = ("other", "bundle", "none")
    driven = Driven(config)
    try:
        for index in range(times):
            name = names[index % 3]
            config.path.write_text(text.replace("bundle: bundle", f"bundle: {name}").replace("2.0", f"{2.0 + index}"))
            driven.reloader.ask()
            if name == "none":
                driven.wait(lambda: driven.line.fault)
            else:
                wanted = load_config(config.path, config.overrides).sha256
                driven.wait(lambda wanted=wanted: driven.line.identity.config_sha256 == wanted)  # type: ignore[misc]
                driven.wait(lambda: not driven.line.fault)
            driven.inspected(20)
    finally:
        driven.stop()
    found = records(tmp_path / "log")
    assert {r["verdict"] for r in found if r["kind"] == "inspection"} == {"pass"}
    assert {r["reason"] for r in found if r["kind"] == "skip"} <= {"shutdown"}, "of the frame that was read as it ended"
    good = times - times // 3
    hashes = [h for h, _ in itertools.groupby(r["config_sha256"] for r in found)]
    assert len(hashes) == len(set(hashes)) == good + 1
    made_by = {(r["config_sha256"], r["model"]["name"], r["threshold"]) for r in found if r["kind"] == "inspection"}
    assert len(made_by) == good + 1, "no record mixes two configs"
    sum_rule_of(driven.line, found)
