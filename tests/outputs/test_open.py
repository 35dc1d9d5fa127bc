"""Outputs come from a table, and a trial reaches only those that say where else they go."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
from support.lines import loaded
from support.records import IDENTITY

from edge.config.load import Loaded
from edge.config.outputs import EvidenceConfig, JsonlConfig, OutputConfig, OutputsConfig, ZmqConfig
from edge.frames import Record
from edge.outputs import open as table
from edge.outputs.open import KINDS, OutputKind, live_outputs
from edge.outputs.protocol import Run
from edge.outputs.sink import Sink
from edge.service.doctor.capacity import measure_capacity


def names(config: Loaded, folder: Path) -> list[str]:
    return [output.name for output in live_outputs(config.resolved, folder, IDENTITY, config.texts)]


def test_those_who_act_on_a_record_get_it_first_unless_the_log_leads(tmp_path: Path) -> None:
    preview = f"outputs.zmq={{preview: ipc://{tmp_path}/see}}"
    everything = [preview, "outputs.evidence={dir: e}"]
    acting, keeping = ["zmq", "preview"], ["jsonl", "evidence"]
    assert names(loaded(tmp_path, *everything), tmp_path) == acting + keeping
    for strict in ("outputs.jsonl.sync=each", "outputs.jsonl.audit_required=true"):
        assert names(loaded(tmp_path, *everything, strict), tmp_path) == keeping + acting


def test_only_the_publisher_waits_for_the_log(tmp_path: Path) -> None:
    config = loaded(tmp_path, f"outputs.zmq={{preview: ipc://{tmp_path}/see}}", "outputs.jsonl.sync=each")
    waiting = {o.name for o in live_outputs(config.resolved, tmp_path, IDENTITY, config.texts) if o._after is not None}  # type: ignore[attr-defined]
    assert waiting == {"zmq"}


def test_an_output_that_is_off_is_not_made(tmp_path: Path) -> None:
    assert names(loaded(tmp_path, "outputs={zmq: null, jsonl: null}"), tmp_path) == []


def test_every_row_names_a_section_of_the_config() -> None:
    assert {kind.section for kind in KINDS} == set(OutputsConfig.model_fields)


def test_a_trial_has_a_log_and_a_socket_of_its_own_and_no_pictures(tmp_path: Path) -> None:
    log = JsonlConfig(dir=Path("/var/log/edge"), sync="each", keep_days=3)
    live = OutputsConfig(
        zmq=ZmqConfig(bind="tcp://127.0.0.1:5556", preview="tcp://127.0.0.1:5557"),
        jsonl=log,
        evidence=EvidenceConfig(dir=Path("/var/lib/edge")),
    )
    assert live.elsewhere(tmp_path) == OutputsConfig(
        zmq=ZmqConfig(bind=f"ipc://{tmp_path}/pub"), jsonl=log.model_copy(update={"dir": tmp_path}), evidence=None
    )
    assert OutputsConfig(zmq=None).elsewhere(tmp_path) == OutputsConfig(zmq=None)


class BrokerConfig(OutputConfig):
    """A new kind of output, whose author thought of nothing else."""

    host: str = "broker"


class MovingConfig(BrokerConfig):
    """The same, whose author said what becomes of it in a trial."""

    def elsewhere(self, folder: Path) -> MovingConfig:
        return MovingConfig(host=str(folder / "nobody"))


class PlantedConfig(OutputsConfig):
    broker: BrokerConfig | None = None
    address: str | None = None
    """No section at all, but somewhere to publish to."""


class Broker(Sink):
    name = "broker"
    hosts: ClassVar[list[str]] = []
    """Of every one that was made since the test began."""

    def write(self, record: Record, kept: Any) -> None: ...

    @classmethod
    def of(cls, config: BrokerConfig, _run: Run) -> Broker:
        cls.hosts.append(config.host)
        return cls()


def planted(config: Loaded, section: BrokerConfig, monkeypatch: pytest.MonkeyPatch) -> Loaded:
    monkeypatch.setattr(table, "KINDS", (*KINDS, OutputKind("broker", Broker.of)))
    monkeypatch.setattr(Broker, "hosts", [])
    outputs = PlantedConfig(jsonl=config.config.outputs.jsonl, broker=section, address="tcp://door")
    return Loaded(config.config.model_copy(update={"outputs": outputs}), config.path, config.text)


def test_a_new_kind_of_output_is_one_row_and_doctor_never_publishes_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = planted(loaded(tmp_path), BrokerConfig(), monkeypatch)
    measure_capacity(config, 0.2)
    assert Broker.hosts == []
    assert config.config.outputs.elsewhere(tmp_path).address is None  # type: ignore[attr-defined]
    assert names(config, tmp_path) == ["zmq", "jsonl", "broker"]
    assert Broker.hosts == ["broker"]


def test_a_new_kind_that_says_where_else_it_goes_is_part_of_the_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure_capacity(planted(loaded(tmp_path), MovingConfig(), monkeypatch), 0.2)
    assert set(Broker.hosts) != set()
    assert all(host.endswith("/nobody") and "edge-doctor-" in host for host in Broker.hosts)
