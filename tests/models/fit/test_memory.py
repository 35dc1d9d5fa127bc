"""Nearest neighbours: what no good picture showed stands out, where it is, in the graph as in the scorer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from support.backbones import conv_net

from edge.errors import UserError
from edge.models.fit.memory import METHOD, MemoryStatistics
from edge.models.fit.protocol import FittedModel, MethodOptions

GABOR = MethodOptions(backbone=Path("gabor"), vectors=200)


def texture(seed: int, size: tuple[int, int] = (160, 128)) -> NDArray[np.uint8]:
    """Upright stripes that begin anywhere, with noise."""
    rng = np.random.default_rng(seed)
    x = np.arange(size[0]) + rng.uniform(0, 8)
    picture = 120 + 30 * np.sin(2 * np.pi * x / 8) + rng.normal(0, 4, (size[1], size[0]))
    return np.clip(picture, 0, 255).astype(np.uint8)[:, :, None]


def with_a_patch(picture: NDArray[np.uint8], x: int, y: int) -> NDArray[np.uint8]:
    """32 x 32 px around (x, y) are turned by a quarter."""
    spoiled = picture.copy()
    window = (slice(y - 16, y + 16), slice(x - 16, x + 16), 0)
    spoiled[window] = picture[window].T
    return spoiled


def fitted(options: MethodOptions = GABOR, seeds: range = range(12)) -> MemoryStatistics:
    statistics = METHOD.empty(texture(seeds[0]).shape, options)
    for seed in seeds:
        statistics.add(texture(seed))
    return statistics


def run(model: FittedModel, picture: NDArray[np.uint8]) -> tuple[NDArray[np.float32], float]:
    session = ort.InferenceSession(model.graph.SerializeToString())
    amap, score = session.run(["map", "score"], {"frame": picture[None]})
    return amap[0], float(score[0])


def test_a_turned_patch_is_the_maps_maximum_and_lies_where_it_is() -> None:
    model = fitted().model()
    good, _ = run(model, texture(99))
    amap, score = run(model, with_a_patch(texture(99), 88, 56))
    assert score == amap.max() > 1.5 * good.max()
    assert score > model.display_threshold
    weights = np.maximum(amap - good.max(), 0)
    rows, columns = np.mgrid[: amap.shape[0], : amap.shape[1]]
    sx, sy, ox, oy = model.map_to_image
    assert abs((weights * (columns + 0.5)).sum() / weights.sum() * sx + ox - 88) < 6
    assert abs((weights * (rows + 0.5)).sum() / weights.sum() * sy + oy - 56) < 6


@pytest.mark.parametrize("backbone", ["gabor", "lite0"])
def test_the_graph_gives_what_the_scorer_gives(backbone: str) -> None:
    statistics = fitted(MethodOptions(backbone=Path(backbone), vectors=100), range(4))
    model, score = statistics.model(), statistics.scorer()
    onnx.checker.check_model(model.graph, full_check=True)
    for picture in (texture(50), with_a_patch(texture(51), 40, 40)):
        amap, _ = run(model, picture)
        assert amap.shape == (16, 20)
        np.testing.assert_allclose(score(picture), amap, atol=1e-5)


def test_pictures_may_differ_in_size_and_the_map_follows_each() -> None:
    statistics = fitted(seeds=range(3))
    statistics.add(texture(9, (90, 150)))
    mixed = statistics.model()
    assert (mixed.map_size, mixed.map_to_image) == (None, (8, 8, 0, 0))
    for size in ((90, 150), (160, 128), (33, 17)):
        amap, _ = run(mixed, texture(7, size))
        assert amap.shape == (size[1] // 8, size[0] // 8)
        np.testing.assert_allclose(statistics.scorer()(texture(7, size)), amap, atol=1e-5)


def test_several_pictures_in_one_run_give_what_each_gives_alone() -> None:
    model = fitted().model()
    pictures = [texture(30), with_a_patch(texture(31), 60, 60)]
    session = ort.InferenceSession(model.graph.SerializeToString())
    together = session.run(["map"], {"frame": np.stack(pictures)})[0]
    for picture, amap in zip(pictures, together, strict=True):
        np.testing.assert_allclose(run(model, picture)[0], amap, atol=1e-5)


def test_any_network_is_a_backbone_and_its_map_lies_on_the_picture(tmp_path: Path) -> None:
    """Padding on both sides: features of stride 8 lie 3.5 px up and left of their cells, and the map makes up for it."""
    onnx.save(conv_net(), tmp_path / "net.onnx")
    options = MethodOptions(backbone=tmp_path / "net.onnx", layers=("relu2", "features"), vectors=300)
    statistics = fitted(options)
    model = statistics.model()
    assert model.map_to_image == (2, 2, 0, 0)
    picture = texture(60)
    picture[64:80, 96:112] = 255
    amap, _ = run(model, picture)
    np.testing.assert_allclose(statistics.scorer()(picture), amap, atol=1e-4)
    rows, columns = np.nonzero(amap > 0.7 * amap.max())
    assert abs(columns.mean() * 2 + 1 - 104) < 4
    assert abs(rows.mean() * 2 + 1 - 72) < 4


def test_a_layer_wider_than_384_is_thinned_out_and_graph_and_scorer_still_agree(tmp_path: Path) -> None:
    onnx.save(conv_net(widths=(8, 8, 500)), tmp_path / "net.onnx")
    statistics = fitted(MethodOptions(backbone=tmp_path / "net.onnx", layers=("features",), vectors=100), range(4))
    picture = with_a_patch(texture(40), 60, 60)
    np.testing.assert_allclose(statistics.scorer()(picture), run(statistics.model(), picture)[0], atol=1e-4)


@pytest.mark.parametrize("backbone", ["gabor", "lite0"])
def test_a_spoiled_picture_left_out_stands_out_as_if_it_had_never_been_added(backbone: str) -> None:
    """The spoiled picture finds itself in the bank; without itself it stands out as it does to the others alone."""
    spoiled = with_a_patch(texture(20), 88, 56)
    statistics = fitted(MethodOptions(backbone=Path(backbone), vectors=200))
    alone = statistics.scorer()(spoiled).max()
    statistics.add(spoiled)
    assert statistics.scorer()(spoiled).max() < 0.5 * alone
    left_out = statistics.scorer(without=spoiled)
    assert left_out(spoiled).max() > 0.85 * alone
    assert left_out(with_a_patch(spoiled, 40, 100)).max() > 0.85 * alone


def test_leaving_a_good_picture_out_leaves_it_good() -> None:
    """What other pictures show as well still stands for it, although the bank kept this picture's vector."""
    statistics = fitted()
    threshold = statistics.scorer()(with_a_patch(texture(20), 88, 56)).max()
    for seed in range(12):
        assert statistics.scorer(without=texture(seed))(texture(seed)).max() < 0.75 * threshold


def test_memory_stays_bounded_and_the_model_sees_defects_all_the_same() -> None:
    statistics = fitted(MethodOptions(backbone=Path("gabor"), vectors=40), range(30))
    model = statistics.model()
    assert len(statistics.arrays()["vectors"]) == 40
    assert model.provenance["vectors"] == 40
    assert model.provenance["vectors_seen"] == 30 * 80
    assert run(model, with_a_patch(texture(99), 88, 56))[1] > 1.3 * run(model, texture(99))[1]


def test_the_same_pictures_in_the_same_order_give_the_same_bytes() -> None:
    assert fitted().model().graph.SerializeToString() == fitted().model().graph.SerializeToString()


def test_shards_merged_in_order_hold_every_picture_and_give_the_same_sums() -> None:
    whole, first, second = fitted(), fitted(seeds=range(5)), fitted(seeds=range(5, 12))
    first.merge(second)
    assert first.frames == whole.frames == 12
    np.testing.assert_allclose(first.arrays()["products"], whole.arrays()["products"], rtol=1e-9)
    np.testing.assert_array_equal(first.arrays()["owners"], whole.arrays()["owners"])
    spoiled = with_a_patch(texture(99), 88, 56)
    np.testing.assert_allclose(first.scorer()(spoiled), whole.scorer()(spoiled), atol=1e-4)
    left_out = first.scorer(without=texture(7))(texture(7))
    np.testing.assert_allclose(left_out, whole.scorer(without=texture(7))(texture(7)), atol=1e-4)


def test_statistics_come_back_from_their_arrays_and_grow_on() -> None:
    statistics = fitted(seeds=range(6))
    again = METHOD.restore(statistics.arrays(), (128, 160, 1), GABOR)
    assert again.model().graph.SerializeToString() == statistics.model().graph.SerializeToString()
    for seed in range(6, 12):
        again.add(texture(seed))
        statistics.add(texture(seed))
    assert again.frames == 12
    assert again.model().graph.SerializeToString() == statistics.model().graph.SerializeToString()


def test_the_threshold_for_display_is_what_good_pictures_reach_when_they_are_unknown() -> None:
    statistics = fitted()
    good = [texture(seed) for seed in range(8)]
    expected = max(float(statistics.scorer(picture)(picture).max()) for picture in good)
    assert statistics.model(good).display_threshold == expected
    assert run(statistics.model(good), texture(99))[1] < 1.1 * expected
    assert run(statistics.model(good), with_a_patch(texture(99), 88, 56))[1] > expected


def test_statistics_of_another_network_are_refused() -> None:
    with pytest.raises(UserError) as caught:
        METHOD.restore(fitted(seeds=range(2)).arrays(), (128, 160, 1), MethodOptions(backbone=Path("lite0")))
    assert str(caught.value).startswith("the statistics are of another network or other layers\n  received: 57934424")
    assert str(caught.value).endswith("\n  fix: give the --backbone and --layers of the first fit")


def test_one_picture_is_too_few() -> None:
    with pytest.raises(UserError) as caught:
        fitted(seeds=range(1)).model()
    assert str(caught.value) == (
        "too few good frames to fit on\n  received: 1\n  expected: at least 2; 50 to 500 make a steady model"
    )


def test_provenance_says_what_was_compared() -> None:
    found = fitted(MethodOptions(backbone=Path("lite0"), vectors=50), range(2)).model().provenance
    assert found["layers"] == ["stride16 (stride 16, 112 wide)", "stride32 (stride 32, 320 wide)"]
    assert found["backbone"]["licence"] == "Apache-2.0"
    assert found["vectors"] == 50
    assert 0.5 < found["variance_kept"] <= 1


def test_mirrored_pictures_are_remembered_and_left_out_with_their_own() -> None:
    """Slanting stripes mirrored are new to a memory, unless it remembers them mirrored, too."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:128, :160]

    def slanting() -> NDArray[np.uint8]:
        picture = 120 + 30 * np.sin(2 * np.pi * (x + 2 * y + rng.uniform(0, 8)) / 12) + rng.normal(0, 4, x.shape)
        return np.clip(picture, 0, 255).astype(np.uint8)[:, :, None]

    plain, mirrored = (
        METHOD.empty((128, 160, 1), MethodOptions(backbone=Path("gabor"), mirror=on)) for on in (False, True)
    )
    for _ in range(4):
        picture = slanting()
        plain.add(picture)
        mirrored.add(picture)
    other_way, same_way = np.ascontiguousarray(slanting()[:, ::-1]), slanting()
    assert plain.scorer()(other_way).max() > 3 * plain.scorer()(same_way).max()
    assert mirrored.scorer()(other_way).max() < 1.2 * mirrored.scorer()(same_way).max()
    spoiled = with_a_patch(same_way, 88, 56)
    mirrored.add(spoiled)
    assert mirrored.model().provenance["vectors_seen"] == 3 * 5 * 80
    unknown = mirrored.scorer()(with_a_patch(slanting(), 40, 80)).max()
    assert mirrored.scorer(without=spoiled)(spoiled).max() > 0.7 * unknown
