"""Frames on the device: in order, overlapped, and never a buffer before the event that it depends on."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.cuda_stand_in import Race, StandInCuda, StandInMaker, StandInPlan
from support.graphs import write_identity_bundle

from edge.engines.tensorrt.cuda import CudaError
from edge.engines.tensorrt.staging import DEPTH, Staging

HEIGHT, WIDTH = 12, 16
Site = tuple[str, str, int]
"""Method that calls, call, and its number within the method."""


def picture(seed: int) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (1, HEIGHT, WIDTH, 1), np.uint8)


def expected(seed: int) -> Any:
    return picture(seed)[:, :, :, 0] / np.float32(255)


@pytest.fixture
def plan_of(tmp_path: Path) -> Callable[[StandInCuda], StandInPlan]:
    bundle = write_identity_bundle(tmp_path / "b", 1, (WIDTH, HEIGHT))

    def make(cuda: StandInCuda) -> StandInPlan:
        maker = StandInMaker(cuda)
        return maker.load(maker.build(bundle, "fp32", (1, HEIGHT, WIDTH, 1), None), None, Path("model.onnx"))

    return make


@pytest.mark.parametrize("graphs", [False, True])
def test_results_come_out_in_order_with_two_frames_on_the_device(plan_of: Any, graphs: bool) -> None:
    cuda = StandInCuda(graphs=graphs)
    staging = Staging(cuda, plan_of(cuda))
    staging.submit(picture(99))
    staging.collect()
    assert staging.capture() is graphs
    cuda.calls.clear()
    staging.submit(picture(0))
    for seed in range(1, 20):
        staging.submit(picture(seed))
        assert staging.pending == DEPTH
        maps = staging.collect()
        assert (maps["map"] == expected(seed - 1)).all()
        assert maps["score"] == expected(seed - 1).max()
    assert (staging.collect()["map"] == expected(19)).all()
    assert cuda.calls.count("launch") == (20 if graphs else 0)
    staging.close()
    cuda.close()


def test_copy_in_of_the_next_and_copy_out_of_the_last_wait_for_no_compute(plan_of: Any) -> None:
    cuda = StandInCuda()
    staging = Staging(cuda, plan_of(cuda))
    staging.submit(picture(0))
    staging.submit(picture(1))
    copy_in, compute, copy_out = "stream 1", "stream 2", "stream 3"
    first, second = staging._sets
    assert second.copied_in.clock[copy_in] == 2
    assert compute not in second.copied_in.clock, "copy-in of 1 waits for the compute of 0"
    assert second.computed.clock[compute] == 2
    assert copy_out not in second.computed.clock, "compute of 1 waits for the copy-out of 0"
    assert first.copied_out.clock[compute] == 1, "copy-out of 0 waits for the compute of 1"
    staging.close()


def test_maps_stay_until_the_fourth_collect_after_them(plan_of: Any) -> None:
    cuda = StandInCuda()
    staging = Staging(cuda, plan_of(cuda))
    held = []
    staging.submit(picture(0))
    for seed in range(1, 15):
        staging.submit(picture(seed))
        held.append(staging.collect()["map"])
        for back in range(min(len(held), 4)):
            which = len(held) - 1 - back
            assert (held[which] == expected(which)).all(), f"frame {which} after {back} more"
    staging.close()


def test_the_picture_may_be_overwritten_once_it_is_submitted(plan_of: Any) -> None:
    cuda = StandInCuda()
    staging = Staging(cuda, plan_of(cuda))
    image = picture(3)
    staging.submit(image)
    image[:] = 0
    assert (staging.collect()["map"] == expected(3)).all()
    staging.close()


def test_a_third_frame_waits_for_a_collect(plan_of: Any) -> None:
    cuda = StandInCuda()
    staging = Staging(cuda, plan_of(cuda))
    staging.submit(picture(0))
    staging.submit(picture(1))
    with pytest.raises(RuntimeError, match="2 frames are on the device: collect one first"):
        staging.submit(picture(2))
    staging.close()


def test_a_wrong_shape_and_an_early_collect_are_refused(plan_of: Any) -> None:
    cuda = StandInCuda()
    staging = Staging(cuda, plan_of(cuda))
    with pytest.raises(RuntimeError, match="no frame is on the device"):
        staging.collect()
    with pytest.raises(ValueError, match=r"the engine was built for \(1, 12, 16, 1\), not for \(1, 8, 8, 1\)"):
        staging.submit(np.zeros((1, 8, 8, 1), np.uint8))
    staging.close()


def test_everything_is_given_back_also_with_frames_on_the_device(plan_of: Any) -> None:
    cuda = StandInCuda()
    plan = plan_of(cuda)
    staging = Staging(cuda, plan)
    staging.submit(picture(0))
    staging.submit(picture(1))
    staging.close()
    staging.close()
    cuda.close()
    assert cuda.calls.count("free") == 2 * len(plan.tensors)


def test_memory_that_runs_out_on_the_way_is_given_back(plan_of: Any) -> None:
    cuda = StandInCuda(memory_bytes=1500)
    with pytest.raises(CudaError, match="cuMemAlloc: CUDA_ERROR_OUT_OF_MEMORY"):
        Staging(cuda, plan_of(cuda))
    cuda.close()


def test_a_run_that_cannot_be_captured_goes_on_without_a_graph(plan_of: Any) -> None:
    for prepare in (lambda c, p: setattr(p, "captures", False), lambda c, p: c.fail.update(capture=0)):
        cuda = StandInCuda(graphs=True)
        plan = plan_of(cuda)
        staging = Staging(cuda, plan)
        prepare(cuda, plan)
        assert staging.capture() is False
        staging.submit(picture(1))
        assert (staging.collect()["map"] == expected(1)).all()
        assert "launch" not in cuda.calls
        staging.close()


def in_another_thread(call: Callable[[], Any]) -> Any:
    """What ``call`` gives or raises, from a thread that has used nothing of CUDA before."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result()


@pytest.mark.parametrize("graphs", [False, True])
def test_each_call_attaches_the_thread_that_it_comes_from(plan_of: Any, graphs: bool) -> None:
    """A model is opened in one thread, warmed up and used in another, closed in a third. CUDA's context is a thread's."""
    cuda = StandInCuda(graphs=graphs)
    plan = plan_of(cuda)
    cuda.attach()
    staging = Staging(cuda, plan)
    in_another_thread(lambda: staging.submit(picture(1)))
    assert (in_another_thread(staging.collect)["map"] == expected(1)).all()
    in_another_thread(staging.capture)
    in_another_thread(lambda: staging.submit(picture(2)))
    in_another_thread(staging.abandon)
    in_another_thread(lambda: staging.submit(picture(3)))
    in_another_thread(staging.close)
    cuda.close()


class Watched(StandInCuda):
    """Notes from where each ordering call comes, and leaves one place's out."""

    def __init__(self, without: Site | None = None) -> None:
        super().__init__()
        self.sites: dict[tuple[str, str], list[int]] = {}
        self.without = without

    def _left_out(self, call: str) -> bool:
        caller = sys._getframe(2)
        lines = self.sites.setdefault((caller.f_code.co_name, call), [])
        if caller.f_lineno not in lines:
            lines.append(caller.f_lineno)
        site = (caller.f_code.co_name, call, lines.index(caller.f_lineno))
        return site == self.without

    def record(self, event: Any, stream: int) -> None:
        if not self._left_out("record"):
            super().record(event, stream)

    def wait(self, stream: int, event: Any) -> None:
        if not self._left_out("wait"):
            super().wait(stream, event)

    def synchronize(self, event: Any) -> None:
        if not self._left_out("synchronize"):
            super().synchronize(event)

    def drain(self) -> None:
        if not self._left_out("drain"):
            super().drain()


def work(cuda: StandInCuda, plan: StandInPlan) -> None:
    """Frames in pairs, a frame that fails half-way, recovery, and an end with frames on the device."""
    staging = Staging(cuda, plan)
    staging.submit(picture(0))
    for seed in range(1, 6):
        staging.submit(picture(seed))
        assert (staging.collect()["map"] == expected(seed - 1)).all()
    plan.refuses = "no kernel for this GPU"
    staging.collect()
    with pytest.raises(RuntimeError, match="no kernel for this GPU"):
        staging.submit(picture(6))
    plan.refuses = None
    staging.abandon()
    for seed in range(7, 9):
        staging.submit(picture(seed))
    assert (staging.collect()["map"] == expected(7)).all()
    staging.submit(picture(9))
    staging.close()


SITES: list[Site] = [
    ("submit", "record", 0),
    ("submit", "wait", 0),
    ("submit", "record", 1),
    ("submit", "wait", 1),
    ("submit", "record", 2),
    ("collect", "synchronize", 0),
    ("abandon", "drain", 0),
    ("close", "drain", 0),
]


def test_every_ordering_call_is_on_the_list(plan_of: Any) -> None:
    cuda = Watched()
    work(cuda, plan_of(cuda))
    cuda.close()
    found = {(method, call, i) for (method, call), lines in cuda.sites.items() for i in range(len(lines))}
    assert found == set(SITES)


@pytest.mark.parametrize("site", SITES, ids=lambda s: "-".join(map(str, s)))
def test_without_any_one_of_them_a_buffer_is_used_too_early(plan_of: Any, site: Site) -> None:
    cuda = Watched(site)
    with pytest.raises(Race):
        work(cuda, plan_of(cuda))


def test_a_number_is_given_once_and_no_other_submission_s_maps_come_out_for_it(plan_of: Any) -> None:
    cuda = StandInCuda()
    staging = Staging(cuda, plan_of(cuda))
    assert (staging.submit(picture(0)), staging.submit(picture(1))) == (0, 1)
    with pytest.raises(RuntimeError, match="the map that is next is of submission 0, not of 1"):
        staging.collect(1)
    assert (staging.collect(0)["map"] == expected(0)).all()
    staging.abandon()
    number = staging.submit(picture(2))
    assert number == 2
    assert (staging.collect(number)["map"] == expected(2)).all()
    staging.close()


def test_while_the_device_has_not_let_go_nothing_goes_in_or_out(plan_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else each later frame would get the map of the one before."""
    cuda = StandInCuda()
    staging = Staging(cuda, plan_of(cuda))
    staging.submit(picture(1))

    def fails() -> None:
        raise CudaError("cuCtxSynchronize", "CUDA_ERROR_LAUNCH_TIMEOUT")

    with monkeypatch.context() as broken:
        broken.setattr(cuda, "drain", fails)
        with pytest.raises(CudaError):
            staging.abandon()
    for call in (lambda: staging.submit(picture(2)), staging.collect):
        with pytest.raises(RuntimeError, match="the device has not let go of its buffers since an error"):
            call()
    staging.abandon()
    staging.submit(picture(3))
    assert (staging.collect()["map"] == expected(3)).all()
    staging.close()
