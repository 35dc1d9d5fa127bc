"""What a bundle with a head is made of can be taken up again, and makes the same graph."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.trainings import bundle_with_head, surface

from edge.config.bundle import Bundle
from edge.errors import UserError
from edge.models import graphs
from edge.models.train.fused_graph import fused_graph
from edge.models.train.trained_halves import SCALES, trained_halves


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return bundle_with_head(tmp_path_factory.mktemp("trained"))


def with_provenance(bundle: Bundle, changed: object) -> Bundle:
    provenance = bundle.spec.provenance | {SCALES: changed}
    return replace(bundle, spec=bundle.spec.model_copy(update={"provenance": provenance}))


def test_memory_head_and_scales_make_the_bundles_own_graph(bundle: Bundle) -> None:
    halves = trained_halves(bundle)
    made = graphs.session(fused_graph(halves.memory, halves.head, halves.scales), "made anew")
    own = graphs.session(graphs.load_model(bundle.model_path), "the bundle's")
    picture = surface(77)[:, :, None][None]
    for name, values in graphs.run_graph(own, picture).items():
        np.testing.assert_allclose(graphs.run_graph(made, picture)[name], values, atol=1e-5)


def test_a_bundle_without_a_head_has_no_halves(bundle: Bundle) -> None:
    fitted = replace(bundle, spec=bundle.spec.model_copy(update={"files": {}}))
    with pytest.raises(UserError, match="keeps no trained head"):
        trained_halves(fitted)


@pytest.mark.parametrize("kept", [None, {}, {"memory": 1}, {"memory": {"middle": "x", "edge": 1}}])
def test_scales_that_cannot_be_read_are_said(kept: object, bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="doesn't say how its two maps are scaled"):
        trained_halves(with_provenance(bundle, kept))
