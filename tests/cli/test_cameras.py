"""``edge cameras`` on the simulated cameras."""

from __future__ import annotations

import json

import pytest
from pydantic import TypeAdapter

from edge.cli.cameras import _print_cameras, cameras, config_block
from edge.config.sources import GenicamConfig as Config
from edge.config.sources import SourceConfig
from edge.config.yaml_reader import read_yaml
from edge.errors import UserError
from edge.sources.genicam.camera_info import CameraChoice, CameraInfo
from edge.sources.genicam.cameras import read_camera
from edge.sources.genicam.producers import producer_files
from edge.sources.genicam.source import GenicamSource

pytest.importorskip("genicam", reason="the extra 'camera' is not installed")


def test_saved_features_are_a_config_that_brings_them_back(tmp_path, capsys):
    """Selectors stand before what they select, and texts that YAML 1.1 would take for something else are quoted."""
    cameras(producer="simulated", serial="0", save=tmp_path / "cam.yaml")
    assert capsys.readouterr().out.endswith(f"{tmp_path}/cam.yaml: 15 features of camera 0\n")
    data, _, _ = read_yaml(tmp_path / "cam.yaml")
    config = TypeAdapter(SourceConfig).validate_json(json.dumps(data["source"]))
    assert isinstance(config, Config)
    assert (config.producer, config.serial) == ("simulated", "0")
    assert config.features == tuple(read_camera("simulated", CameraChoice("serial", "0"))[2])
    names = [name for name, _ in config.features]
    assert names[names.index("ChunkEnable") - 1] == "ChunkSelector"
    source = GenicamSource(config, "cam1")
    try:
        source.open()
        assert source.status().state == "configured"
    finally:
        source.close()
    with pytest.raises(UserError) as error:
        cameras(producer="simulated", serial="0", save=tmp_path / "cam.yaml")
    assert str(error.value) == f"{tmp_path}/cam.yaml: exists already\n  fix: choose another name for --save"


def test_the_command_lists_cameras_and_features(capsys):
    cameras(producer="simulated", as_json=True)
    assert [camera["serial"] for camera in json.loads(capsys.readouterr().out)] == ["0", "1", "2"]
    cameras(producer="simulated", serial="1", as_json=True)
    (rate,) = [f for f in json.loads(capsys.readouterr().out) if f["name"] == "AcquisitionFrameRate"]
    assert (rate["low"], rate["high"], rate["unit"], rate["access"]) == (1.0, 200.0, "Hz", "RW")
    cameras(producer="simulated")
    assert "3 camera(s)" in capsys.readouterr().out
    cameras(producer="simulated", serial="1")
    assert "Machine Vision Games Ltd. Viky, serial 1" in capsys.readouterr().out


def test_a_camera_is_found_by_other_marks_and_those_present_are_named_by_them():
    viky = "Machine Vision Games Ltd. Viky"
    for marks, wanted, present in (
        ({"device_user_id": "left"}, "DeviceUserID left", "no DeviceUserID"),
        ({"mac": "00-30-53-1A-2B-3C"}, "MAC 00:30:53:1a:2b:3c", "no MAC"),
        ({"ip": "192.168.1.10"}, "IP 192.168.1.10", "no IP"),
    ):
        with pytest.raises(UserError) as error:
            cameras(producer="simulated", **marks)
        there = ", ".join(f"{present}: {n} ({viky})" for n in range(3))
        assert str(error.value) == f"the camera cannot be read: no camera with {wanted}; present: {there}"


@pytest.mark.parametrize(
    ("marks", "text"),
    [
        (
            {"serial": "1", "ip": "192.168.1.10"},
            "one of --serial, --device-user-id, --mac and --ip\n  received: --serial and --ip\n  expected: one of them",
        ),
        ({"mac": "00:30:53"}, "--mac\n  received: 00:30:53\n  expected: a MAC address, for example 00:30:53:1a:2b:3c"),
        ({"ip": "cam.plant"}, "--ip\n  received: cam.plant\n  expected: an IPv4 address, for example 192.168.1.10"),
    ],
)
def test_marks_that_are_none_are_refused(marks, text):
    with pytest.raises(UserError) as error:
        cameras(producer="simulated", **marks)
    assert str(error.value) == text


def test_addresses_have_columns_where_a_camera_has_them_and_a_saved_config_keeps_the_mark(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    left = CameraInfo("7", "V", "M", "left", "id", "GEV", "free", "/a.cti", "00:30:53:1a:2b:3c", "192.168.1.10")
    _print_cameras([left], as_json=False)
    out = capsys.readouterr().out
    assert (
        "│ 7      │ V      │ M     │ left         │ 00:30:53:1a:2b:3c │ 192.168.1.10 │ GEV       │ free   │ a.cti    │"
        in out
    )
    _print_cameras([left], as_json=True)
    told = json.loads(capsys.readouterr().out)[0]
    assert (told["device_user_id"], told["mac"], told["ip"]) == ("left", left.mac, left.ip)
    assert (
        config_block(None, left, [], "ip")
        == "# V M, serial 7\nsource:\n  kind: genicam\n  ip: 192.168.1.10\n  features: []\n"
    )


def test_a_table_in_a_pipe_is_as_wide_as_columns_says_and_cuts_no_name(capsys, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    cameras(producer="simulated")
    row = "│ 0      │ Machine Vision Games Ltd. │ Viky  │              │ Custom    │ free   │ viky.cti │"
    assert row in capsys.readouterr().out.splitlines()
    choices = "RotationX, RotationY, RotationZ, TranslationX, TranslationY, TranslationZ"
    for columns in (120, 200):
        monkeypatch.setenv("COLUMNS", str(columns))
        cameras(producer="simulated", serial="1")
        out = capsys.readouterr().out
        assert all(choice in out for choice in choices.split(", "))
        assert (choices in out) == (columns == 200)
        assert max(map(len, out.splitlines())) <= columns
        assert len({len(line) for line in out.splitlines()[1:]}) == 1


def test_a_producer_that_cannot_be_loaded_is_told_beside_the_cameras_of_the_others(tmp_path, monkeypatch, capsys):
    (viky,) = producer_files("simulated")
    broken = tmp_path / "broken.cti"
    broken.write_bytes(b"\x7fELF")
    monkeypatch.setenv("GENICAM_GENTL64_PATH", f"{viky.parent}:{tmp_path}")
    cameras(as_json=True)
    captured = capsys.readouterr()
    assert [camera["serial"] for camera in json.loads(captured.out)] == ["0", "1", "2"]
    assert captured.err == f"{broken} cannot be loaded ({broken}: file too short)\n"
