"""Buffers are counted by what they take, and warned of where that is much."""

from __future__ import annotations

import pytest

from edge.config.sources import GenicamConfig
from edge.sources.genicam.buffer_count import buffer_count, buffer_findings


@pytest.mark.parametrize(
    ("asked", "payload_bytes", "count"),
    [
        (None, 120_000, 32),
        (None, 5_000_000, 12),
        (None, 8_400_000, 7),
        (None, 65_000_000, 4),  # fewer than four lose frames however large they are
        (None, None, 32),
        (None, 0, 32),
        (32, 8_400_000, 32),
        (2, 100, 2),
    ],
)
def test_buffers_are_as_many_as_64_mb_hold_unless_the_config_says_how_many(
    asked: int | None, payload_bytes: int | None, count: int
) -> None:
    assert buffer_count(asked, payload_bytes) == count


def config(buffers: int | None, *features: tuple[str, object]) -> GenicamConfig:
    return GenicamConfig(kind="genicam", buffers=buffers, features=features)  # type: ignore[arg-type]


def test_the_doctor_warns_of_buffers_that_take_much_and_says_what_would_do() -> None:
    size = (("Width", 2448), ("Height", 2048))
    (finding,) = buffer_findings(config(64, *size))
    assert (finding.level, finding.what) == ("warn", "buffers")
    assert finding.text == "source.buffers: 64 buffers of 5.0 MB take 321 MB of this daemon's memory"
    assert finding.fix == "leave source.buffers out: there are 12 of them then, which take 60 MB"
    largest = (("PixelFormat", "RGB8"), ("Width", 8192), ("Height", 6144))
    assert list(buffer_findings(config(4, *largest))) == [], "four are needed, whatever they take"
    assert list(buffer_findings(config(16, *size))) == []
    assert list(buffer_findings(config(None, *size))) == []
    assert list(buffer_findings(config(64))) == [], "the size is the camera's own"
    assert list(buffer_findings(config(64, ("PixelFormat", "Vendor9"), *size))) == []
