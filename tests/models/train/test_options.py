"""A preset says what is learned and for how long; an option that only a network has makes one."""

from __future__ import annotations

import pytest

from edge.errors import UserError
from edge.models.train.options import is_network, preset_options


def test_hour_is_a_head_unless_an_option_is_of_a_network() -> None:
    assert not is_network(preset_options("hour"))
    assert is_network(preset_options("night"))
    for given in ({"mixstyle": 0.5}, {"mixup": 0.2}, {"align": "mmd"}, {"randaugment": 1}, {"curriculum": True}):
        assert not is_network(preset_options("hour", **given))
    for given in ({"alone": True}, {"ssl": "masked"}, {"start": "backbone"}, {"start": "fresh"}):
        assert is_network(preset_options("hour", **given))
        network = preset_options("hour", **given)
        assert (network.crop, network.rate) == (224, 1e-3)
    assert (preset_options("hour").crop, preset_options("hour").rate) == (384, 2e-3)
    assert (preset_options("hour", crop=64).crop, preset_options("hour", rate=1e-4).rate) == (64, 1e-4)
    with pytest.raises(UserError, match="--start frozen: --pretrain is of a network"):
        preset_options("hour", start="frozen", ssl="masked")
    with pytest.raises(UserError) as caught:
        preset_options("hour", start="frozen", alone=True)
    assert str(caught.value) == (
        "--start frozen: --alone is of a network of its own\n"
        "  received: the frozen backbone, whose head has no such option\n"
        "  expected: --start backbone or --start fresh, or neither"
    )
