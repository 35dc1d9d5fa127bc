"""Compressed files of the log: damage costs what it hit, and no altered record is ever given for a good one."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pytest
import zstandard
from support.records import WIRE, record

from edge.storage.compressed_frames import compressed, verified_bytes, whole_lines
from edge.storage.log_files import read_messages, read_records
from edge.wire.read import read

LINES = [WIRE.header(1), *(record(seq).line for seq in range(200))]
GOOD = {seq: record(seq).line for seq in range(200)}


def packed(block_bytes: int = 4000) -> bytes:
    """The lines in frames of about that size."""
    text = b"".join(line + b"\n" for line in LINES)
    blocks = (text[start : start + block_bytes] for start in range(0, len(text), block_bytes))
    return b"".join(compressed(lines) for lines in whole_lines(blocks))


def numbers_in(path: Path, counts: dict[str, int] | None = None) -> list[int]:
    found = list(read_records(path, counts))
    assert all(message == read(GOOD[message["seq"]]) for message in found), "an altered record"
    return [message["seq"] for message in found]


def test_a_frame_ends_where_a_line_does() -> None:
    blocks = [b"one\ntw", b"o\nthree", b"", b"\nfour", b"five"]
    assert list(whole_lines(iter(blocks))) == [b"one\n", b"two\n", b"three\n", b"fourfive"]


def test_other_programs_read_such_a_file_as_any_other(tmp_path: Path) -> None:
    whole = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(packed()), read_across_frames=True).read()
    assert whole == b"".join(line + b"\n" for line in LINES)
    assert verified_bytes(io.BytesIO(packed())) == len(whole)


@pytest.mark.parametrize("seed", range(5))
def test_a_flipped_bit_costs_one_frame_and_alters_no_record(tmp_path: Path, seed: int) -> None:
    """In a file of one frame 384 of 1,512 flipped bits gave altered records as good ones, and half of the file was lost."""
    whole, path, chance = packed(), tmp_path / "x.jsonl.zst", random.Random(seed)
    for _ in range(60):
        at = chance.randrange(len(whole) * 8)
        data = bytearray(whole)
        data[at // 8] ^= 1 << at % 8
        path.write_bytes(data)
        counts: dict[str, int] = {}
        found = numbers_in(path, counts)
        assert len(found) >= 190
        assert found == sorted(found)
        if len(found) < 200:
            assert counts["torn"] == 1


def test_a_page_of_zeros_or_of_another_file_costs_the_frames_that_it_hit(tmp_path: Path) -> None:
    whole, path = packed(), tmp_path / "x.jsonl.zst"
    for page in (bytes(512), packed()[100:612], b"\x28\xb5\x2f\xfd" * 128):
        path.write_bytes(whole[:2000] + page + whole[2512:])
        counts: dict[str, int] = {}
        found = numbers_in(path, counts)
        assert (found[0], found[-1], counts["torn"]) == (0, 199, 1)
        assert 160 <= len(found) < 200
    path.write_bytes(whole + b"what is no frame")
    counts = {}
    assert (len(numbers_in(path, counts)), counts) == (200, {"torn": 1, "unreadable": 0})


def test_a_file_cut_at_any_byte_is_read_up_to_its_last_whole_frame(tmp_path: Path) -> None:
    whole, path = packed(), tmp_path / "x.jsonl.zst"
    longest = 0
    for end in {*range(0, len(whole), 97), *range(len(whole) - 40, len(whole))}:  # every byte of the last checksum's frame
        path.write_bytes(whole[:end])
        found = numbers_in(path)
        assert found == list(range(len(found)))
        longest = max(longest, len(found))
    assert longest >= 190
    path.write_bytes(whole)
    counts: dict[str, int] = {}
    assert [m["kind"] for m in read_messages(path, counts)] == ["header"] + ["inspection"] * 200
    assert counts == {"torn": 0, "unreadable": 0}


def test_of_a_file_of_one_frame_all_is_read_or_nothing(tmp_path: Path) -> None:
    """An older version wrote it, or somebody did with the zstd program: in pieces that end in the middle of lines."""
    text, path = b"".join(line + b"\n" for line in LINES), tmp_path / "x.jsonl.zst"
    one = zstandard.ZstdCompressor(write_checksum=True).compress(text)
    path.write_bytes(one)
    assert len(numbers_in(path)) == 200
    path.write_bytes(one[: len(one) // 2] + bytes([one[len(one) // 2] ^ 8]) + one[len(one) // 2 + 1 :])
    counts: dict[str, int] = {}
    assert (numbers_in(path, counts), counts["torn"]) == ([], 1)
    pieces = [bytearray(compressed(text[start : start + 5000])) for start in range(0, len(text), 5000)]
    path.write_bytes(b"".join(pieces))
    assert len(numbers_in(path)) == 200
    pieces[3][-1] ^= 1
    path.write_bytes(b"".join(pieces))
    found = numbers_in(path, counts)
    assert (counts["torn"], counts["unreadable"]) == (1, 2)  # the two halves at its edges make no line together
    assert 180 <= len(found) < 200
