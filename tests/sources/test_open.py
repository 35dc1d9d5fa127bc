"""The table of sources: a row for each kind of the config, and what a row says without asking the device."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from edge.config.sources import GenicamConfig, OpencvConfig, RecordedConfig, SourceConfig, SyntheticConfig
from edge.errors import UserError
from edge.sources import open as table
from edge.sources.open import check_source, device_findings
from edge.sources.protocol import DeviceFinding


def test_each_kind_of_the_config_has_its_row_and_no_other_has() -> None:
    (union, _) = get_args(SourceConfig)
    kinds = {get_args(section.model_fields["kind"].annotation)[0] for section in get_args(union)}
    assert set(table._KINDS) == kinds


def test_a_recording_that_is_not_there_is_refused_before_the_line_starts(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        check_source(RecordedConfig(kind="recorded", path=Path("none")), tmp_path)
    assert caught.value.what == f"{tmp_path}/none: no such file or folder"


def test_a_producer_that_only_the_environment_names_is_not_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GENICAM_GENTL64_PATH", raising=False)
    check_source(GenicamConfig(kind="genicam"), tmp_path)
    with pytest.raises(UserError, match="no such file"):
        check_source(GenicamConfig(kind="genicam", producer="none.cti"), tmp_path)


def test_sources_without_a_device_have_nothing_to_examine(tmp_path: Path) -> None:
    check_source(SyntheticConfig(kind="synthetic"), tmp_path)
    assert list(device_findings(SyntheticConfig(kind="synthetic"))) == []
    assert list(device_findings(RecordedConfig(kind="recorded", path=tmp_path))) == []
    assert list(device_findings(OpencvConfig(kind="opencv", device="rtsp://10.0.0.7/a"))) == []


def test_a_device_that_is_not_there_is_waited_for() -> None:
    assert list(device_findings(OpencvConfig(kind="opencv", device=99))) == [
        DeviceFinding("warn", "device", "/dev/video99 is not there; the daemon waits for it", "plug the camera in")
    ]
