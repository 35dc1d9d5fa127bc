"""What a frame is kept for."""

from pathlib import Path

import numpy as np
from support.evidence import inspected

from edge.config.outputs import EvidenceConfig
from edge.frames import Frame, FrameMeta
from edge.outputs.evidence.choice import Choice


def choice(**keys):
    return Choice(EvidenceConfig.model_validate({"dir": Path("x"), **keys}))


def shown(level, k=0):
    pixels = np.full((32, 32), level, np.uint8)
    return Frame(FrameMeta(k, "device", 32, 32, "Mono8", 0, 0), pixels, 8)


def test_a_sample_takes_one_frame_of_so_many_whatever_its_verdict():
    chosen = choice(keep=("sample",), sample_every=10)
    verdicts = ["pass", "fail", "invalid"]
    whys = [chosen.why(inspected(shown(50, k), verdicts[k % 3]).body, shown(50)) for k in range(40)]
    assert [k for k, why in enumerate(whys) if why] == [0, 10, 20, 30]
    assert set(filter(None, whys)) == {"sample"}


def test_a_verdict_that_is_kept_comes_before_sample_and_novel():
    chosen = choice(keep=("fail", "sample", "novel"), sample_every=1)
    assert chosen.why(inspected(shown(50), "fail").body, shown(50)) == "fail"
    assert chosen.why(inspected(shown(50), "pass").body, shown(50)) == "sample"


def test_a_frame_that_looks_otherwise_is_novel():
    chosen = choice(keep=("novel",))
    usual = [chosen.why(inspected(shown(50), "pass").body, shown(50)) for _ in range(100)]
    assert set(usual) == {None}
    assert chosen.why(inspected(shown(200), "pass").body, shown(200)) == "novel"
