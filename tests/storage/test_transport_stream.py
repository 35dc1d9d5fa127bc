"""A continuity counter that jumps spoils the packet whose data it interrupts, and no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.storage.transport_stream import SpoiltPackets


def stream(path: Path, packets: list[tuple[int, int, bool]], size: int = 188) -> Path:
    """Packets of PID, counter, and whether an elementary packet begins in it."""
    head = bytes(size - 188)
    path.write_bytes(
        b"".join(
            head + bytes([0x47, 0x40 * begins | pid >> 8, pid & 255, 0x10 | counter]) + bytes(184)
            for pid, counter, begins in packets
        )
    )
    return path


WHOLE = [(256, 14, True), (17, 3, True), (256, 15, False), (256, 0, False), (256, 1, True), (256, 2, False), (256, 3, True)]


@pytest.mark.parametrize("size", [188, 192])
def test_a_whole_stream_has_none(tmp_path: Path, size: int) -> None:
    spoilt = SpoiltPackets(stream(tmp_path / "a.ts", WHOLE, size), 256)
    assert [spoilt.holds(index * size) for index in range(7)] == [False] * 7


@pytest.mark.parametrize("size", [188, 192])
@pytest.mark.parametrize(("lost", "expected"), [(2, [0]), (3, [0]), (5, [4]), (4, [0]), (1, [])])
def test_a_lost_packet_spoils_the_one_that_it_lies_in_or_behind(
    tmp_path: Path, size: int, lost: int, expected: list[int]
) -> None:
    """Of a lost beginning (4) the rest has gone to the packet before it."""
    left = [packet for index, packet in enumerate(WHOLE) if index != lost]
    spoilt = SpoiltPackets(stream(tmp_path / "a.ts", left, size), 256)
    begins = [index for index, packet in enumerate(left) if packet[0] == 256 and packet[2]]
    places = {left[index][1]: index for index in begins}
    assert [WHOLE[at][1] for at in expected] == [
        counter for counter, index in places.items() if spoilt.holds(index * size + size - 188)
    ]


def test_a_packet_that_is_sent_twice_is_no_loss(tmp_path: Path) -> None:
    spoilt = SpoiltPackets(stream(tmp_path / "a.ts", [WHOLE[0], WHOLE[0], *WHOLE[2:]]), 256)
    assert not any(spoilt.holds(index * 188) for index in range(7))


def test_what_is_no_transport_stream_has_none(tmp_path: Path) -> None:
    (tmp_path / "a.ts").write_bytes(b"")
    (tmp_path / "b.ts").write_bytes(bytes(5000))
    for path in (tmp_path / "a.ts", tmp_path / "b.ts", tmp_path / "none.ts"):
        assert not SpoiltPackets(path, 256).holds(0)
