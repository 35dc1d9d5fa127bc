"""The dashboard and the alerts ask for metrics that the daemon has, by labels that they carry."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from support.drifts import watch
from support.lines import loaded, make_line

from edge.line.run import run_line
from edge.service.health_server import Metrics

FOLDER = Path(__file__).parents[2] / "configs" / "monitoring"
DASHBOARD = json.loads((FOLDER / "grafana-dashboard.json").read_text())
ALERTS = [rule for group in yaml.safe_load((FOLDER / "edge-alerts.yml").read_text())["groups"] for rule in group["rules"]]
EXPRESSIONS = {rule["alert"]: rule["expr"] for rule in ALERTS} | {
    f"{panel['title']} {target['refId']}": target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]
}
OWN = {
    "edge_skipped_frames_total": {"reason"},
    "edge_invalid_total": {"reason"},
    "edge_fault": {"code"},
    "edge_drift": {"cause", "group"},
    "edge_drift_size": {"cause", "unit"},
    "edge_drift_lock": {"reason"},
}
"""Families that have samples only while something is wrong, and what tells their samples apart."""


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Labels of each sample that /metrics shows of a line with every output."""
    folder = tmp_path_factory.mktemp("line")
    line = make_line(loaded(folder, "outputs.zmq={}", "outputs.evidence={dir: evidence, min_free_gb: 0.5}"), watch=watch())
    stop = threading.Event()
    line.start(stop)
    run_line(line, stop, lambda *_: None)
    registry = CollectorRegistry()
    registry.register(Metrics(line.tally, line.ring, line.snapshot))
    text = generate_latest(registry).decode()
    found: dict[str, set[str]] = {name: {"camera", *labels} for name, labels in OWN.items()}
    for name in OWN:
        assert f"# TYPE {name.removesuffix('_total')}" in text or f"# TYPE {name}" in text
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_an_expression_asks_for_what_there_is(name: str, samples: dict[str, set[str]]) -> None:
    expression = EXPRESSIONS[name]
    asked = re.findall(r"(edge_\w+)(?:\{([^}]*)\})?", expression)
    assert asked or expression.startswith("up{")
    for metric, selector in asked:
        assert metric in samples
        assert set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector)) <= samples[metric]
    by = {label for group in re.findall(r"by \(([^)]*)\)", expression) for label in group.split(", ")}
    assert by <= set().union(*(samples[metric] for metric, _ in asked), set())


@pytest.mark.parametrize("rule", ALERTS, ids=lambda r: r["alert"])
def test_an_alert_says_what_is_wrong(rule: dict[str, Any], samples: dict[str, set[str]]) -> None:
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert re.fullmatch(r"\d+[smh]", rule.get("for", "1m"))
    shown = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
    known = {"instance"}.union(*(samples[m] for m in re.findall(r"edge_\w+", rule["expr"])))
    assert shown <= known


def test_the_daemon_s_metrics_are_all_shown_or_alerted_on(samples: dict[str, set[str]]) -> None:
    """But for sums that others contain."""
    asked = {metric for expression in EXPRESSIONS.values() for metric in re.findall(r"edge_\w+", expression)}
    unseen = {name for name in samples if not name.endswith(("_created", "_count", "_sum"))} - asked
    assert unseen <= {
        "edge_announced_frames",
        "edge_drift_events_total",
        "edge_output_events_total",
        "edge_output_fault",
        "edge_output_records_total",
        "edge_source_events_total",
    }


def test_panels_have_an_id_each_and_do_not_overlap() -> None:
    panels = DASHBOARD["panels"]
    assert len({p["id"] for p in panels}) == len(panels)
    cells = [
        (x, y)
        for p in panels
        for x in range(p["gridPos"]["x"], p["gridPos"]["x"] + p["gridPos"]["w"])
        for y in range(p["gridPos"]["y"], p["gridPos"]["y"] + p["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def test_the_scrape_config_names_the_rules() -> None:
    scrape = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    assert [(FOLDER / name).is_file() for name in scrape["rule_files"]] == [True]
    assert scrape["scrape_configs"][0]["job_name"] == "edge"


def test_reconnects_subscribers_disk_and_faults_are_told(samples: dict[str, set[str]]) -> None:
    assert samples["edge_source_reconnects_total"] == {"camera"}
    assert samples["edge_subscribers"] == {"camera", "output"}
    assert samples["edge_disk_free_bytes"] == {"camera", "output"}
