"""Limits on a folder as a whole and for each cause."""

from edge.outputs.evidence.quota import Quota


def quota_in(folder, limit=10_000, causes=None, **keys):
    return Quota({folder: ".png"}, limit, causes or {}, precious="fail", **keys)


def put(folder, quota, number, cause, nbytes=100):
    (folder / f"{number:08d}.png").write_bytes(bytes(nbytes))
    quota.add(number, nbytes, cause)


def test_a_cause_that_takes_too_much_loses_its_own_oldest_and_no_other_does(tmp_path):
    quota = quota_in(tmp_path, cause_bytes=350)
    put(tmp_path, quota, 0, "novel")
    for number in range(1, 6):
        put(tmp_path, quota, number, "sample")
    assert quota.beyond_cause() == [1, 2]
    quota.delete([1, 2])
    assert quota.beyond_cause() == []
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"{n:08d}.png" for n in (0, 3, 4, 5)]
    assert quota.used_bytes == 400


def test_fails_have_no_limit_of_their_own_and_go_last(tmp_path):
    quota = quota_in(tmp_path, limit=500, cause_bytes=150)
    for number in range(4):
        put(tmp_path, quota, number, "fail")
    put(tmp_path, quota, 4, "sample")
    assert quota.beyond_cause() == []
    assert quota.oldest(1) == [4]
    assert quota.oldest(150, precious=True) == [0, 1]


def test_what_is_there_already_counts_under_its_cause(tmp_path):
    for number in range(3):
        (tmp_path / f"{number:08d}.png").write_bytes(bytes(100))
    quota = quota_in(tmp_path, causes={0: "sample", 1: "sample", 2: None}, cause_bytes=150)
    assert quota.used_bytes == 300
    assert quota.beyond_cause() == [0]


def test_a_link_that_leads_nowhere_or_to_itself_counts_as_the_link_that_it_is(tmp_path):
    """After a power cut a folder may hold anything; inspection begins all the same."""
    (tmp_path / "00000000.png").write_bytes(bytes(100))
    (tmp_path / "00000001.png").symlink_to("00000001.png")
    (tmp_path / "00000002.png").symlink_to("/nowhere/at/all")
    quota = quota_in(tmp_path)
    assert 100 < quota.used_bytes < 200
    quota.delete([0, 1, 2])
    assert list(tmp_path.iterdir()) == []
