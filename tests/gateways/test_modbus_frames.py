"""Requests and answers byte by byte, as the Modbus specification has them."""

from __future__ import annotations

import pytest

from edge.gateways.modbus_frames import Head, answer, request_head

HEAD = Head(0x1234, 17, 5)


def asked(body: bytes) -> bytes:
    return answer(HEAD, body, lambda: [10, 20, 0xFFFF])


def test_a_head_is_seven_bytes() -> None:
    assert request_head(bytes.fromhex("12340000000611")) == HEAD


@pytest.mark.parametrize("data", ["12340001000611", "12340000000111", "12340000000011", "1234000000ff11"])
def test_what_is_no_head_is_refused(data: str) -> None:
    with pytest.raises(ValueError, match="not Modbus TCP"):
        request_head(bytes.fromhex(data))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("0300000003", "1234 0000 0009 11 03 06 000a 0014 ffff"),
        ("0400010001", "1234 0000 0005 11 04 02 0014"),
        ("0300000004", "1234 0000 0003 11 83 02"),  # beyond the last register
        ("03ffff0001", "1234 0000 0003 11 83 02"),
        ("0300000000", "1234 0000 0003 11 83 03"),  # no register at all
        ("030000007e", "1234 0000 0003 11 83 03"),  # 126
        ("03000000", "1234 0000 0003 11 83 03"),  # cut off
        ("0600080001", "1234 0000 0003 11 86 01"),  # a write
        ("10000800010200ff", "1234 0000 0003 11 90 01"),
        ("2b0e0100", "1234 0000 0003 11 ab 01"),
        ("83", "1234 0000 0003 11 83 01"),
    ],
)
def test_a_request_and_its_answer(body: str, expected: str) -> None:
    assert asked(bytes.fromhex(body)) == bytes.fromhex(expected.replace(" ", ""))


def test_registers_are_worked_out_for_reads_alone() -> None:
    calls: list[int] = []

    def count() -> list[int]:
        calls.append(1)
        return [0]

    for body in ("0600080001", "0300000000", "0300000001"):
        answer(HEAD, bytes.fromhex(body), count)
    assert calls == [1]
