"""A build is checked on pictures that went through the host's resize too, and that resize against plain means."""

from __future__ import annotations

import numpy as np
import pytest

from edge.config.bundle_spec import BundleSpec, InputSpec, ResizeSpec, TileSpec
from edge.errors import UserError
from edge.models.build import trial_pictures as trial


def spec(**changes: object) -> BundleSpec:
    base = BundleSpec(
        name="tile", input=InputSpec(channels=3, size=(24, 16)), resize=ResizeSpec(where="host", size=(24, 16))
    )
    return base.model_copy(update=changes)


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("channels", [1, 3])
def test_two_pictures_come_from_larger_ones(bits: int, channels: int) -> None:
    taken = InputSpec(channels=channels, size=(24, 16), bits=bits)  # type: ignore[arg-type]
    found = trial.generated(spec(input=taken), (24, 16))
    assert list(found)[trial.RANDOM :] == ["larger noise", "larger soft shapes"]
    assert {p.shape for p in found.values()} == {(16, 24, channels)}
    assert found["larger noise"].std() < 0.8 * found["noise"].std(), "each pixel is a mean of several"


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("size", [(1024, 1024), (1280, 720), (2048, 128), (1021, 1200), (64, 1999)], ids=str)
def test_the_slivers_that_opencv_passes_over_are_no_defect(size: tuple[int, int], bits: int) -> None:
    """From a side of 1000 px on a pixel of the result may cover less than 1e-3 of one at its edge."""
    large = spec(input=InputSpec(channels=1, size=size, bits=bits), resize=ResizeSpec(where="host", size=size))
    assert trial.generated(large, size)["larger noise"].shape == (size[1], size[0], 1)


@pytest.mark.parametrize("size", [(24, 16), (1024, 40)], ids=str)
@pytest.mark.parametrize("levels", [1, -1])
def test_two_grey_levels_off_are_seen_at_any_size(
    monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], levels: int
) -> None:
    real = trial.prepare

    def off(*arguments: object) -> object:
        made = real(*arguments)  # type: ignore[arg-type]
        made.image[3, 4] = np.clip(made.image[3, 4].astype(int) + 2 * levels, 0, 255)
        return made

    monkeypatch.setattr(trial, "prepare", off)
    with pytest.raises(UserError, match="the resize on the host gives other numbers"):
        trial.generated(spec(input=InputSpec(channels=3, size=size), resize=ResizeSpec(where="host", size=size)), size)


def test_a_resize_that_gives_no_means_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    real = trial.prepare

    def lazy(*arguments: object) -> object:
        made = real(*arguments)  # type: ignore[arg-type]
        made.image[3, 4] //= 2
        return made

    monkeypatch.setattr(trial, "prepare", lazy)
    with pytest.raises(UserError, match="the resize on the host gives other numbers than the means of what each pixel"):
        trial.generated(spec(), (24, 16))


def test_without_a_resize_on_the_host_all_are_as_the_graph_takes_them() -> None:
    anything = spec(input=InputSpec(channels=3, size="any"), resize=ResizeSpec(where="none"))
    assert {p.shape for p in trial.generated(anything, (24, 16)).values()} == {(16, 24, 3)}
    graph = anything.model_copy(update={"resize": ResizeSpec(where="graph", size=(24, 16), kernel="linear")})
    assert {p.shape for p in trial.generated(graph, (24, 16)).values()} == {(35, 37, 3)}
    tiles = spec(tile=TileSpec(size=(24, 16), stride=(12, 8)), resize=ResizeSpec(where="host", size=(60, 40)))
    assert {p.shape for p in trial.generated(tiles, (24, 16)).values()} == {(16, 24, 3)}
