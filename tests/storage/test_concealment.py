"""Each packet is told once, believed or damaged, whatever order the decoder gives frames in."""

from __future__ import annotations

from edge.storage.concealment import FILLED_IN, LOST, MISSING, MOST_WAITING, Concealment, LostPacket


def test_frames_come_out_in_their_own_order_and_are_believed() -> None:
    frames = Concealment()
    for pts, key in ((0, True), (3, False), (1, False), (2, False)):
        assert frames.sent(pts, key=key, whole=True) == []
    assert [frames.came(pts, whole=True) for pts in range(4)] == [([], None)] * 4
    assert frames.rest() == []


def test_frames_shown_before_a_damaged_one_and_decoded_after_it_are_damaged() -> None:
    frames = Concealment()
    frames.sent(0, key=True, whole=True)
    frames.sent(3, key=False, whole=False)
    for pts in (1, 2):
        frames.sent(pts, key=False, whole=True)
    assert [frames.came(pts, whole=True) for pts in range(4)] == [([], None), *[([], MISSING)] * 3]


def test_what_the_decoder_filled_in_taints_what_it_had_decoded_from_it_already() -> None:
    frames = Concealment()
    frames.sent(0, key=True, whole=True)
    frames.sent(1, key=False, whole=True)
    assert frames.came(0, whole=False) == ([], FILLED_IN)
    assert frames.came(1, whole=True) == ([], FILLED_IN)


def test_a_key_frame_ends_damage_but_not_for_frames_shown_before_it() -> None:
    frames = Concealment()
    frames.sent(0, key=True, whole=True)
    assert frames.came(0, whole=True) == ([], None)
    assert frames.failed(None, "broken") == [LostPacket(None, "broken")]
    for pts, key in ((5, True), (3, False), (4, False), (6, False)):
        frames.sent(pts, key=key, whole=True)
    assert [frames.came(pts, whole=True) for pts in (3, 4, 5, 6)] == [
        ([], "broken"),
        ([], "broken"),
        ([], None),
        ([], None),
    ]


def test_a_packet_whose_frame_never_comes_is_lost_before_the_next_that_does() -> None:
    frames = Concealment()
    for pts, key in ((0, True), (1, False), (2, False)):
        frames.sent(pts, key=key, whole=True)
    assert frames.failed(2, "broken") == []
    assert frames.came(0, whole=True) == ([], None)
    assert frames.came(2, whole=True) == ([LostPacket(1, LOST)], "broken")
    assert frames.came(1, whole=True) is None  # told by now


def test_packets_without_frames_at_the_end_are_told_and_never_wait_without_limit() -> None:
    frames = Concealment()
    given_up = [lost for pts in range(MOST_WAITING + 10) for lost in frames.sent(pts, key=pts == 0, whole=True)]
    assert given_up == [LostPacket(pts, LOST) for pts in range(10)]
    assert [lost.pts for lost in frames.rest()] == list(range(10, MOST_WAITING + 10))


def test_a_clock_that_begins_anew_loses_nothing() -> None:
    frames = Concealment()
    frames.sent(1000, key=True, whole=True)
    assert frames.came(1000, whole=True) == ([], None)
    frames.sent(1001, key=False, whole=True)
    assert frames.sent(0, key=True, whole=True) == [LostPacket(1001, LOST)]
    assert frames.came(0, whole=True) == ([], None)
