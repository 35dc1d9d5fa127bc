"""Mixing changes what a training sees, within what its pictures are; the padding beside them counts for nothing."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed: scripts/test --all installs it")

import torch

from edge.models.train.head import Batch
from edge.models.train.mixing import mixed_batch, mixed_styles, mixed_up
from edge.models.train.options import TrainOptions


def test_mixed_styles_change_how_pictures_look_and_not_what_they_show() -> None:
    torch.manual_seed(0)
    features = torch.randn(4, 3, 8, 8) * torch.tensor([1.0, 2, 3, 4])[:, None, None, None]
    assert mixed_styles(features, 0.0) is features
    mixed = mixed_styles(features, 1.0)
    assert not torch.allclose(mixed, features)

    def plain(values: torch.Tensor) -> torch.Tensor:
        return (values - values.mean((2, 3), keepdim=True)) / values.std((2, 3), keepdim=True)

    torch.testing.assert_close(plain(mixed), plain(features), atol=1e-4, rtol=1e-4)


def test_a_style_is_that_of_the_picture_and_not_of_what_lies_beside_it() -> None:
    pictures, valid = torch.randn(4, 3, 8, 9), torch.zeros(4, 1, 8, 9)
    valid[:, :, :5, :6] = 1
    torch.manual_seed(0)
    mixed = mixed_styles(pictures, 1.0, valid)
    torch.manual_seed(0)
    alone = mixed_styles(pictures[:, :, :5, :6], 1.0)
    torch.testing.assert_close(mixed[:, :, :5, :6], alone)


def test_mixup_mixes_pictures_and_targets_by_one_weight() -> None:
    torch.manual_seed(1)
    pictures, targets = torch.arange(4.0)[:, None, None, None], torch.arange(4.0)[:, None, None, None] / 4
    whole = torch.ones_like(targets)
    mixed, of, valid = mixed_up(pictures, targets, whole, 0.5)
    torch.testing.assert_close(mixed / 4, of)
    assert not torch.equal(mixed, pictures)
    assert torch.equal(valid, whole)
    assert mixed_up(pictures, targets, whole, 0.0)[0] is pictures


def test_a_mixed_picture_is_where_both_of_its_two_are() -> None:
    torch.manual_seed(1)
    valid = torch.zeros(2, 1, 4, 4)
    valid[0, :, :2], valid[1, :, :, :3] = 1, 1
    _, _, both = mixed_up(torch.randn(2, 3, 4, 4), torch.zeros(2, 1, 4, 4), valid, 0.5)
    assert both.sum(dim=(1, 2, 3)).tolist() == [6, 6], "each was mixed with the other"
    assert both[:, 0, :2, :3].min() == 1


def test_a_batch_stays_as_it_is_where_no_mixing_is_asked_for() -> None:
    batch = Batch(torch.randn(2, 3, 4, 4), torch.zeros(2, 1, 4, 4), torch.ones(2, 1, 4, 4), torch.ones(2, 1, 4, 4))
    plain = mixed_batch(batch, TrainOptions())
    assert plain.features is batch.features
    assert plain.targets is batch.targets
    assert not torch.equal(mixed_batch(batch, TrainOptions(mixstyle=1.0)).features, batch.features)
