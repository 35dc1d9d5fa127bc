"""``edge doctor``: each finding from a machine made of files, and the capacity of a real line."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import orjson
import pytest
from support.lines import BASE, loaded
from typer.testing import CliRunner

from edge.cli import app
from edge.service.doctor import Finding
from edge.service.doctor.capacity import Capacity, capacity_finding, measure_capacity, pictures
from edge.service.doctor.config import folder_findings, frames_finding, source_findings, sync_times_ms, watchdog_findings
from edge.service.doctor.machine import clock_finding, gpu_finding, network_findings, usb_findings


def genicam(keys: str) -> str:
    return BASE.replace("kind: synthetic, width: 64, height: 64, fps: null, frames: 50", f"kind: genicam, {keys}")


def machine(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


def test_a_small_socket_buffer_and_mtu_matter_to_gige_cameras_only(tmp_path: Path) -> None:
    root = machine(
        tmp_path,
        proc__sys__net__core__rmem_max="212992",
        sys__class__net__eth0__mtu="1500",
        sys__class__net__eth0__operstate="up",
        sys__class__net__eth1__mtu="9000",
        sys__class__net__eth1__operstate="down",
        sys__class__net__lo__mtu="65536",
        sys__class__net__lo__operstate="unknown",
    )
    assert list(network_findings(gige=True, root=root)) == [
        Finding(
            "warn",
            "rmem_max",
            "0.2 MiB; a GigE camera's burst wants 32 MiB",
            "sysctl -w net.core.rmem_max=33554432; edge install-service makes it last",
        ),
        Finding(
            "warn",
            "mtu",
            "eth0 1500; on a GigE camera's own link 8192 and more means a sixth of the packets",
            "ip link set dev INTERFACE mtu 9000, and the camera's GevSCPSPacketSize to match",
        ),
    ]
    assert [f.level for f in network_findings(gige=False, root=root)] == ["ok", "ok"]


def test_a_well_kept_network_is_ok(tmp_path: Path) -> None:
    root = machine(
        tmp_path,
        proc__sys__net__core__rmem_max="33554432",
        sys__class__net__eth0__mtu="9000",
        sys__class__net__eth0__operstate="up",
    )
    assert list(network_findings(gige=True, root=root)) == [
        Finding("ok", "rmem_max", "32.0 MiB"),
        Finding("ok", "mtu", "eth0 9000"),
    ]


def test_usb_cameras_are_known_by_class_or_vendor_and_need_memory_and_an_open_node(tmp_path: Path) -> None:
    root = machine(
        tmp_path,
        sys__module__usbcore__parameters__usbfs_memory_mb="16",
        **{
            "sys/bus/usb/devices/1-1/busnum": "1",
            "sys/bus/usb/devices/1-1/devnum": "7",
            "sys/bus/usb/devices/1-1/idVendor": "ffff",
            "sys/bus/usb/devices/1-1/product": "Any camera",
            "sys/bus/usb/devices/1-1/1-1:1.0/bInterfaceClass": "ef",
            "sys/bus/usb/devices/1-1/1-1:1.0/bInterfaceSubClass": "05",
            "sys/bus/usb/devices/1-2/busnum": "2",
            "sys/bus/usb/devices/1-2/devnum": "12",
            "sys/bus/usb/devices/1-2/idVendor": "2676",
            "sys/bus/usb/devices/1-3/busnum": "1",
            "sys/bus/usb/devices/1-3/devnum": "3",
            "sys/bus/usb/devices/1-3/idVendor": "046d",
            "dev/bus/usb/001/007": "",
        },
    )
    found = list(usb_findings(root))
    assert [(f.level, f.what) for f in found] == [("warn", "usbfs"), ("ok", "usb camera"), ("fail", "usb camera")]
    assert found[0].text == "16 MB for all USB cameras' transfers together"
    assert found[1].text == f"Any camera at {root}/dev/bus/usb/001/007"
    assert found[2].text.startswith(f"1-2: {root}/dev/bus/usb/002/012 is not open to ")
    (root / "sys/module/usbcore/parameters/usbfs_memory_mb").write_text("1000\n")
    assert next(usb_findings(root)) == Finding("ok", "usbfs", "1000 MB for transfers")


def test_no_usb_and_no_gpu_are_no_faults(tmp_path: Path) -> None:
    assert list(usb_findings(tmp_path)) == [Finding("ok", "usbfs", "no USB here")]
    assert gpu_finding(tmp_path) == Finding("ok", "gpu", "no NVIDIA driver is loaded: models run on the CPU")


def test_a_gpu_without_unified_memory_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build"
    root = machine(tmp_path, proc__driver__nvidia__version=version)
    monkeypatch.setattr("edge.service.doctor.machine.importlib.util.find_spec", lambda _name: None)
    monkeypatch.setattr("edge.service.doctor.machine._gpu_names", lambda: "RTX A2000, 6138 MiB")
    assert gpu_finding(root) == Finding(
        "warn",
        "gpu",
        "driver 570.86.15, RTX A2000, 6138 MiB; not used, for TensorRT is not installed",
        "pip install tensorrt",
    )
    monkeypatch.setattr("edge.service.doctor.machine.importlib.util.find_spec", lambda name: name == "tensorrt" or None)
    assert gpu_finding(root).level == "fail"
    machine(root, **{"dev/nvidia-uvm": ""})
    assert gpu_finding(root) == Finding("ok", "gpu", "driver 570.86.15, RTX A2000, 6138 MiB; tensorrt")


def test_the_kernel_is_asked_for_its_clock() -> None:
    found = clock_finding()
    assert found.what == "clock"
    assert found.text.startswith(("synchronised, off by", "not synchronised", "the kernel doesn't say"))


def test_a_missing_producer_fails_and_the_simulated_one_is_there(tmp_path: Path) -> None:
    (found,) = source_findings(loaded(tmp_path, text=genicam("producer: none.cti")))
    assert found == Finding(
        "fail",
        "producer",
        "source.producer: no such file; received: none.cti; expected: the path of a GenTL producer (.cti), or simulated",
        "install the camera vendor's GenTL producer, or correct the path",
    )
    pytest.importorskip("genicam")
    config = loaded(tmp_path, text=genicam("producer: simulated"))
    (found,) = source_findings(config)
    assert (found.level, Path(found.text).name) == ("ok", "viky.cti")


def test_a_camera_device_that_is_not_there_is_a_warning(tmp_path: Path) -> None:
    (found,) = source_findings(loaded(tmp_path, "source={kind: opencv, device: 99}"))
    assert found == Finding("warn", "device", "/dev/video99 is not there; the daemon waits for it", "plug the camera in")


def test_folders_are_checked_for_room(tmp_path: Path) -> None:
    config = loaded(tmp_path, "outputs.evidence={dir: evidence, quota_gb: 1e9}")
    log, sync, evidence = folder_findings(config)
    assert (log.level, log.what, sync.level, sync.what) == ("ok", "log", "ok", "fsync")
    assert log.text.startswith(f"{tmp_path}/log: ")
    assert evidence.level == "warn"
    assert evidence.text.endswith("; the disk will be full before its quota of 1e+09 GB is")
    full = loaded(tmp_path, "outputs.evidence={dir: evidence, min_free_gb: 1e9}")
    *_, evidence = folder_findings(full)
    assert (evidence.level, evidence.fix) == ("fail", "make room, or lower min_free_gb")


def test_a_folder_that_cannot_be_written_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = loaded(tmp_path, "outputs.jsonl.dir=closed/log")
    (tmp_path / "closed").mkdir()
    may = os.access  # root may write everywhere: what another user is told is put in its place
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "closed" and may(path, mode))
    found = next(iter(folder_findings(config)))
    assert (found.level, found.text) == ("fail", f"{tmp_path}/closed/log: this user can't write {tmp_path}/closed")


def test_a_sync_is_timed_twenty_times_and_leaves_no_file(tmp_path: Path) -> None:
    assert len(sync_times_ms(tmp_path)) == 20
    assert list(tmp_path.iterdir()) == []


def test_a_limit_near_the_unit_s_watchdog_is_told(tmp_path: Path) -> None:
    assert list(watchdog_findings(loaded(tmp_path))) == []
    assert list(watchdog_findings(loaded(tmp_path, "supervise.limit_s=10"))) == [
        Finding(
            "warn",
            "watchdog",
            "supervise.limit_s is 10 s, and the unit's WatchdogSec of 15 s is less than twice that",
            "systemctl edit edge@cam1: [Service] WatchdogSec=25",
        )
    ]


def test_pictures_are_what_the_model_takes() -> None:
    grey, rgb = pictures((80, 48), 1), pictures((80, 48), 3)
    assert [p.shape for p in grey] == [(48, 80)] * 8
    assert [p.shape for p in rgb] == [(48, 80, 3)] * 8
    assert all(np.array_equal(a, b[:, :, 1]) for a, b in zip(grey, rgb, strict=True))


def test_capacity_is_judged_by_rate_losses_and_deadline(tmp_path: Path) -> None:
    found = Capacity("onnx", (64, 64), limit_fps=100.0, fps=50.0, p50_ms=2.0, p99_ms=9.0, lost=0.0)
    text = "this box does 6000 frames of 64x64 a minute with this config; at 3000 a minute p99 is 9.0 ms"
    mend = "a smaller or faster model, more model.threads, another engine or precision, fewer frames"
    ask = loaded(tmp_path)
    assert capacity_finding(ask, found) == Finding("ok", "capacity", text)
    too_fast = loaded(tmp_path, "source.fps=120")
    assert capacity_finding(too_fast, found) == Finding("fail", "capacity", f"{text}; the camera sends 7200", mend)
    near = loaded(tmp_path, "source.fps=90")
    assert capacity_finding(near, found).text == f"{text}; the camera sends 5400, which leaves little room"
    late = loaded(tmp_path, "deadline_ms=8")
    assert capacity_finding(late, found) == Finding("fail", "capacity", f"{text}; the deadline is 8 ms", mend)
    lossy = Capacity("onnx", (64, 64), 100.0, 50.0, 2.0, 9.0, lost=0.125)
    assert capacity_finding(loaded(tmp_path, "source.fps=50"), lossy).text == f"{text}, and 12.5% of them are lost"


def test_capacity_is_measured_on_the_real_line_and_leaves_the_config_s_folders_alone(tmp_path: Path) -> None:
    config = loaded(tmp_path, "source.fps=20", "outputs.zmq={}", "outputs.evidence={dir: evidence}")
    found = measure_capacity(config, 1.0)
    assert (found.size, found.fps) == ((64, 64), 20.0)
    assert found.limit_fps > 20.0
    assert 0.0 < found.p50_ms <= found.p99_ms
    assert not (tmp_path / "log").exists()
    assert not (tmp_path / "evidence").exists()


def test_the_command_tells_everything_and_fails_where_something_fails(tmp_path: Path) -> None:
    config = loaded(tmp_path, "source.fps=20")
    run = CliRunner()
    good = run.invoke(app, ["doctor", str(config.path), "--set", "source.fps=20", "--seconds", "0.5", "--json"])
    assert good.exit_code == 0, good.output
    told = [orjson.loads(line) for line in good.output.splitlines() if line.startswith("{")]
    assert [f["what"] for f in told][-6:] == ["config", "frames", "log", "fsync", "model", "capacity"]
    bad = run.invoke(app, ["doctor", str(config.path), "--set", "model.bundle=none"])
    assert bad.exit_code == 1
    assert f"fail model      {tmp_path}/none: there is no such bundle" in bad.output
    broken = run.invoke(app, ["doctor", str(tmp_path / "none.yaml")])
    assert broken.exit_code == 1
    assert f"fail config     {tmp_path}/none.yaml: cannot be read: No such file or directory" in broken.output


def test_doctor_says_what_kind_of_frames_is_judged(tmp_path: Path) -> None:
    finding = frames_finding(loaded(tmp_path))
    assert (finding.level, finding.what) == ("warn", "frames")
    assert finding.text.startswith("any size: neither bundle nor calibration says how large the good frames were")
    assert finding.fix == "set model.frame_size, or calibrate on frames of one size"
    known = frames_finding(loaded(tmp_path, "model.frame_size=[64, 64]"))
    assert known == Finding("ok", "frames", "every frame must be 64x64, as the good frames were")


def test_a_source_of_another_size_than_the_good_frames_fails_before_the_first_frame(tmp_path: Path) -> None:
    finding = frames_finding(loaded(tmp_path, "model.frame_size=[400, 300]"))
    assert (finding.level, finding.text) == (
        "fail",
        "the source gives 64x64, and the good frames were 400x300: every frame would be invalid",
    )


def test_a_bundle_that_cannot_be_read_is_a_finding_and_no_end_of_doctor(tmp_path: Path) -> None:
    finding = frames_finding(loaded(tmp_path, "model.bundle=nowhere"))
    assert (finding.level, finding.text) == ("warn", "not known, as model or thresholds can't be used")
    assert finding.fix == f"edge check {tmp_path}/cam1.yaml"
