"""Generated parts are the same whenever they are made, and their truth is true."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from edge.config.sources import SyntheticConfig
from edge.frames import Payload, Skip
from edge.sources.clock import Clock
from edge.sources.open import open_source
from edge.sources.synthetic import source as synthetic
from edge.sources.synthetic.parts import PRESETS, make_scene, synthetic_part
from edge.sources.synthetic.source import SyntheticSource


class HandClock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.s = 100.0
        self.clock = Clock(lambda: self.s, self.sleep)

    def sleep(self, seconds: float) -> None:
        self.s += seconds


def config(**keys: object) -> SyntheticConfig:
    return SyntheticConfig.model_validate({"kind": "synthetic", "width": 160, "height": 128, **keys})


def drain(source: SyntheticSource) -> list[Payload | Skip]:
    items: list[Payload | Skip] = []
    while True:
        try:
            item = source.read(0.5)
        except EOFError:
            return items
        if isinstance(item, Payload):
            items.append(Payload(item.meta, item.data.copy()))
        elif item is not None:
            items.append(item)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_frame_is_the_same_bytes_in_whatever_order_it_is_made(preset: str) -> None:
    c = config(preset=preset, defect_rate=0.5)
    forward = [synthetic_part(c, k) for k in range(6)]
    fresh = make_scene(c.preset, c.seed, c.height, c.width)
    for k in (5, 0, 3):
        pixels, mask = np.empty((128, 160), np.uint8), np.zeros((128, 160), np.uint8)
        assert fresh.render(k, 0.5, pixels, mask) == forward[k].defects
        np.testing.assert_array_equal(pixels, forward[k].pixels)
        np.testing.assert_array_equal(mask, forward[k].mask)


def test_seed_preset_and_index_each_make_another_frame() -> None:
    made = [
        synthetic_part(config(seed=seed, preset=preset), index).pixels.tobytes()
        for seed, preset, index in itertools.product((0, 1), PRESETS, (0, 1))
    ]
    assert len(set(made)) == 4 * len(PRESETS)


@pytest.mark.parametrize(("preset", "least", "most"), [("easy", 38.0, 80.5), ("medium", 23.0, 38.5), ("hard", 9.5, 18.5)])
def test_defects_differ_from_the_good_part_by_their_contrast_and_nowhere_else(
    preset: str, least: float, most: float
) -> None:
    for index in range(60):
        bad = synthetic_part(config(preset=preset, defect_rate=1.0, width=256, height=256), index)
        good = synthetic_part(config(preset=preset, defect_rate=0.0, width=256, height=256), index)
        assert good.defects == ()
        assert not good.mask.any()
        difference = np.abs(bad.pixels.astype(int) - good.pixels.astype(int))
        near = np.zeros(bad.mask.shape, bool)
        for defect in bad.defects:
            assert least <= defect.contrast <= most
            x0, y0, x1, y1 = defect.bbox_xyxy
            here = np.zeros_like(near)
            here[y0:y1, x0:x1] = bad.mask[y0:y1, x0:x1] > 0
            # brightness (up to 7 %), noise at the ends of the scale, and rounding
            assert difference[here].mean() == pytest.approx(defect.contrast, rel=0.12, abs=1.0)
            reach = (x1 - x0 + y1 - y0) // 2 + 4
            near[max(y0 - reach, 0) : y1 + reach, max(x0 - reach, 0) : x1 + reach] = True
        assert not difference[~near].any()


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize(("width", "height"), [(160, 128), (32, 32), (300, 64)])
def test_the_mask_is_exactly_the_defects_and_their_boxes_are_tight(preset: str, width: int, height: int) -> None:
    kinds = set()
    for index in range(60):
        part = synthetic_part(config(preset=preset, defect_rate=1.0, width=width, height=height), index)
        assert 1 <= len(part.defects) <= 2
        assert set(np.unique(part.mask)) <= {0, 255}
        left = part.mask.copy()
        for defect in part.defects:
            kinds.add(defect.kind)
            x0, y0, x1, y1 = defect.bbox_xyxy
            assert 0 <= x0 < x1 <= width
            assert 0 <= y0 < y1 <= height
            box = left[y0:y1, x0:x1]
            assert all(edge.any() for edge in (box[0], box[-1], box[:, 0], box[:, -1]))
            box[:] = 0
        assert not left.any()
    assert kinds == {"scratch", "stain", "dent", *(("spot", "smear") if preset == "pinned" else ("chip",))}


def test_the_share_of_defective_parts_is_the_configured_one() -> None:
    made = [bool(synthetic_part(config(defect_rate=0.2, width=32, height=32), k).defects) for k in range(2000)]
    assert sum(made) / 2000 == pytest.approx(0.2, abs=0.03)


def test_noise_is_what_the_preset_says_and_brightness_drifts_only_in_hard() -> None:
    for preset, noise, swing in (("easy", 1.6, 0.01), ("medium", 2.7, 0.025), ("hard", 4.4, 0.14)):
        c = config(preset=preset, defect_rate=0.0)
        frames = np.stack([synthetic_part(c, k).pixels for k in range(0, 400, 8)]).astype(float)
        means = frames.mean((1, 2))
        assert (means.max() - means.min()) / means.mean() == pytest.approx(swing, rel=0.6)
        # noise and grain, and in hard the belt's own texture, which moves with the part
        belt = frames[:, 2:6, 20:140] - frames[:, 2:6, 20:140].mean((1, 2), keepdims=True)
        assert belt.std(axis=0).mean() == pytest.approx(noise, rel=0.15)


def test_a_mean_and_deviation_model_separates_easy_defects_by_far() -> None:
    good, bad = config(defect_rate=0.0), config(defect_rate=1.0)
    fit = np.stack([synthetic_part(good, k).pixels for k in range(100, 160)]).astype(np.float32)
    mean, deviation = fit.mean(0), np.maximum(fit.std(0), 1.0)
    highest_good = max((np.abs(synthetic_part(good, k).pixels - mean) / deviation).max() for k in range(40))
    parts = [synthetic_part(bad, k) for k in range(40)]
    lowest_bad = min((np.abs(p.pixels - mean) / deviation)[p.mask > 0].max() for p in parts)
    assert highest_good < 9
    assert lowest_bad > 15


def test_the_source_gives_the_generated_parts_with_device_ids_from_1(tmp_path: Path) -> None:
    c = config(frames=5, fps=None, defect_rate=0.5)
    source = open_source(c, "cam1", tmp_path)
    assert isinstance(source, SyntheticSource)
    assert source.simulated
    source.open()
    items = drain(source)
    source.close()
    assert [i.meta.frame_id for i in items if isinstance(i, Payload)] == [1, 2, 3, 4, 5]
    for k, item in enumerate(items):
        assert isinstance(item, Payload)
        meta = item.meta
        assert (meta.frame_id_source, meta.pixel_format, meta.width, meta.height) == ("device", "Mono8", 160, 128)
        assert (meta.camera_ns, meta.timestamp_source) == (None, "host")
        assert item.data.tobytes() == synthetic_part(c, k).pixels.tobytes()
    assert source.status().announced == 5
    assert source.status().counters == {"frame_id_gap": 0}
    assert source.status().state == "ended"


def test_without_a_rate_nothing_is_lost_however_slow_the_reader_is() -> None:
    hand = HandClock()
    source = SyntheticSource(config(frames=4, fps=None), clock=hand.clock)
    source.open()
    for _ in range(4):
        hand.s += 1000.0
        assert isinstance(source.read(0.1), Payload)
    source.close()


def test_frames_are_due_at_their_times() -> None:
    hand = HandClock()
    source = SyntheticSource(config(frames=6, fps=10.0), clock=hand.clock)
    source.open()
    hand.s += 60.0  # the time to the first read is not the camera's
    assert isinstance(source.read(0.5), Payload)
    assert source.read(0.02) is None
    assert hand.s == pytest.approx(160.02)
    items = drain(source)
    assert hand.s == pytest.approx(160.5)
    assert [i.meta.camera_ns for i in items if isinstance(i, Payload)] == [
        100_000_000, 200_000_000, 300_000_000, 400_000_000, 500_000_000,
    ]  # fmt: skip
    source.close()


def test_a_slow_reader_loses_the_oldest_frames_and_each_is_announced_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthetic, "WAITING", 8)
    hand = HandClock()
    source = SyntheticSource(config(frames=40, fps=10.0), clock=hand.clock)
    source.open()
    first = source.read(0.5)
    assert isinstance(first, Payload)
    hand.s += 0.8  # ids 2 to 9 are due: eight may wait
    second = source.read(0.5)
    assert isinstance(second, Payload)
    assert second.meta.frame_id == 2
    hand.s += 1.2  # ids up to 21 are due: 14 to 21 wait, 3 to 13 are lost
    gap = source.read(0.5)
    assert isinstance(gap, Skip)
    assert (gap.reason, gap.count, gap.frame_id_first, gap.frame_id_last) == ("frame_id_gap", 11, 3, 13)
    assert gap.frame_id_source == "device"
    assert source.status().announced == 13
    hand.s += 60.0  # long after the end: 33 to 40 wait
    gap = source.read(0.5)
    assert isinstance(gap, Skip)
    assert (gap.count, gap.frame_id_first, gap.frame_id_last) == (19, 14, 32)
    items = drain(source)
    assert [i.meta.frame_id for i in items if isinstance(i, Payload)] == list(range(33, 41))
    assert source.status().announced == 40 == 2 + 11 + 19 + 8
    assert source.status().counters == {"frame_id_gap": 30}
    source.close()


def test_a_source_opened_again_goes_on_with_the_next_frame() -> None:
    source = SyntheticSource(config(frames=4, fps=None))
    source.open()
    source.read(0.1)
    source.close()
    source.close()
    source.open()
    assert [i.meta.frame_id for i in drain(source) if isinstance(i, Payload)] == [2, 3, 4]
    source.close()
