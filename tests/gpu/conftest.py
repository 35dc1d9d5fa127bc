"""Tests that run where an NVIDIA GPU and a TensorRT are, and say so where they aren't."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.engines.tensorrt.engine import why_not_here


@pytest.fixture(scope="session")
def gpu() -> None:
    """Skips where there is none. A GPU without a driver or a TensorRT counts as none: it can't be used."""
    reason = why_not_here()
    if reason is not None:
        pytest.skip(f"no NVIDIA GPU: {reason}")


@pytest.fixture(autouse=True)
def own_cache(gpu: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path / "cache"))
