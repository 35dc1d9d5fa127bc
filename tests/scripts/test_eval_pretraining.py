"""The table of an encoder's beginnings: every row is judged on the same pictures, by the features that its encoder has."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed: scripts/test --all installs it")

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests" / "scripts")]

import cv2  # noqa: E402
import eval_pretraining  # noqa: E402
import head_ground  # noqa: E402
import onnx  # noqa: E402
import torch  # noqa: E402
from eval_tiles import Tile, by_part, read_tiles  # noqa: E402
from test_eval_tiles import write  # noqa: E402

from edge.models.fit.feature_net import open_features  # noqa: E402
from edge.models.train.network import Encoder, load_arrays, padded, planes  # noqa: E402
from edge.models.train.options import preset_options  # noqa: E402

QUICK = ["--splits", "1", "--steps", "1", "--width", "4", "--crop", "64", "--teacher", "gabor"]


def test_each_row_has_figures_of_its_own_encoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ["random", "distilled", "byol"]
    head = ["--epochs", "1", "--versions", "1", "--json"]
    monkeypatch.setattr(sys, "argv", ["x", str(write(tmp_path, parts=8)), "--rows", ",".join(rows), *QUICK, *head])
    monkeypatch.setattr(eval_pretraining, "EPOCHS", 1)
    eval_pretraining.main()
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert list(found) == rows
    assert all(
        len(runs) == 1 and 0 <= runs[0]["both"] <= 1 and 0 <= runs[0]["spot, memory"] <= 1 for runs in found.values()
    )
    assert len({runs[0]["head"] for runs in found.values()}) > 1


def test_an_encoder_as_a_backbone_says_what_it_says_in_torch(tmp_path: Path) -> None:
    data = write(tmp_path, parts=6)
    tiles = read_tiles(data)
    split = by_part(tiles, 0)
    options = preset_options("hour", start="backbone", width=4, crop=64, steps=4, threads=1)
    cache = eval_pretraining.pictures_of(data, tiles, split, options, tmp_path)
    assert 0 < len(cache.kept) < len(split.fitted), "those that the head is validated on are left out"
    arrays = eval_pretraining.random_encoder(cache, options)
    onnx.save(eval_pretraining.backbone_of(arrays, cache), tmp_path / "x.onnx")
    net = open_features(tmp_path / "x.onnx", (), 1, None)
    assert [(layer.stride, layer.width) for layer in net.layers] == [(16, 16), (32, 16)]
    assert (net.stride, net.first) == (16, (8.0, 8.0))
    encoder = Encoder(1, 4)
    load_arrays(encoder, arrays)
    picture = padded(cache.picture(cache.kept[0]))
    with torch.no_grad():
        *_, middle, far = encoder.eval()(planes(picture[None], cache.mean, cache.deviation))
    expected = torch.cat([middle, far.repeat_interleave(2, 2).repeat_interleave(2, 3)], dim=1)[0].permute(1, 2, 0)
    assert np.allclose(net.features(cache.picture(cache.kept[0])), expected.numpy(), atol=1e-4)


@pytest.mark.parametrize("moved", [0, 16])
def test_pixels_are_judged_where_the_places_of_the_grid_look(tmp_path: Path, moved: int) -> None:
    tile = Tile("spot", 0, np.zeros((80, 112, 1), np.uint8), "x.png")
    mask = np.zeros((80, 112), np.uint8)
    mask[32:48, 48 + moved : 64 + moved] = 255
    (tmp_path / "ground_truth" / "spot").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "ground_truth" / "spot" / "x_mask.png"), mask)
    grid = np.zeros((6, 8), np.float32)  # of a picture that is made a multiple of 32 px
    grid[2, 3] = 1
    tested = head_ground.Tested((0,), np.array(["spot"]), [grid], [], [])
    backbone = open_features(Path("gabor"), (), 1, None)

    def judged(first: float) -> float:
        net = replace(backbone, stride=16, first=(first, 8.0))
        return eval_pretraining.pixel_auroc(tmp_path, [tile], tested, net)

    assert judged(8.0 + moved) > 0.99
    assert judged(40.0 - 2 * moved) < 0.9


def test_an_unknown_row_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["x", ".", "--rows", "moco"])
    with pytest.raises(
        SystemExit, match="--rows moco: expected some of lite0, gabor, random, distilled, masked, simclr, byol"
    ):
        eval_pretraining.main()
