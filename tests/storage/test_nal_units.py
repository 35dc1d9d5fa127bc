"""A packet with bytes that no encoder writes is damaged, though the decoder would fill them in."""

from __future__ import annotations

import pytest

from edge.storage.nal_units import is_spoilt, length_bytes


@pytest.mark.parametrize(
    ("units", "spoilt"),
    [
        (b"\x65\0\0\3\1\xff", False),
        (b"\x65\0\0\0\xff", True),
        (b"\x65\0\0\1\xff", True),
        (b"\x65\0\0\2\xff", True),
        (b"\x65\0\xff\0\xff", False),
    ],
)
def test_forbidden_bytes_in_a_unit_are_found(units: bytes, spoilt: bool) -> None:
    assert is_spoilt(len(units).to_bytes(4, "big") + units, 4) is spoilt
    if b"\0\0\1" not in units:  # between start codes that is the next one
        assert is_spoilt(b"\0\0\0\1" + units, None) is spoilt


@pytest.mark.parametrize("packet", [b"\0\0\0\0", b"\0\0\0\x09abc", b"\0\0"])
def test_lengths_that_do_not_add_up_are_damage(packet: bytes) -> None:
    assert is_spoilt(packet, 4)


def test_lengths_and_start_codes_are_no_damage_themselves() -> None:
    assert not is_spoilt(b"\0\0\0\2ab\0\0\0\1c", 4)
    assert not is_spoilt(b"\0\0\0\1ab\0\0\1c\0\0\0", None)


@pytest.mark.parametrize(
    ("codec", "head", "size"),
    [
        ("h264", b"\1\x64\0\x28\xff\xe1", 4),
        ("h264", b"\0\0\0\1\x67\x64", None),
        ("h264", None, None),
        ("hevc", b"\1" + bytes(20) + b"\x03", 4),
        ("mjpeg", b"\1" * 30, None),
    ],
)
def test_the_stream_s_head_says_how_long_the_lengths_are(codec: str, head: bytes | None, size: int | None) -> None:
    assert length_bytes(codec, head) == size
