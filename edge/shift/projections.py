"""Embeddings in two dimensions for people to look at: PCA of all, t-SNE and UMAP of a sample (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.errors import UserError
from edge.models.evaluate.ranking import Floats
from edge.report.page import missing_report

MOST: Final = 5000
"""Points of t-SNE and UMAP."""
_DIRECTIONS: Final = 30
"""Directions of PCA that they start from."""


def pca(values: Floats, most: int = 2) -> tuple[Floats, Floats]:
    """Coordinates (n, most) along the directions that vary most, and the share of the variance of each, (most,).

    The directions come from up to 5,000 of the rows, so that 50,000 take no longer. Columns are standardised.
    """
    middle, spread = values.mean(axis=0), values.std(axis=0)
    scaled = (values - middle) / np.where(spread > 1e-9, spread, 1.0)
    sample = scaled[:: max(1, len(scaled) // MOST)]
    _, singular, directions = np.linalg.svd(sample, full_matrices=False)
    share = singular**2 / max(float((singular**2).sum()), 1e-12)
    keep = min(most, len(directions))
    turned = directions[:keep] * np.where(directions[:keep].sum(axis=1, keepdims=True) < 0, -1, 1)
    coordinates, shares = np.zeros((len(values), most)), np.zeros(most)
    coordinates[:, :keep], shares[:keep] = scaled @ turned.T, share[:keep]
    return coordinates, shares


def stratified(strata: Sequence[str], most: int = MOST, seed: int = 0) -> NDArray[np.intp]:
    """Places of up to ``most`` rows, ascending, each stratum in its share and none left out altogether."""
    count = len(strata)
    if count <= most:
        return np.arange(count)
    rng = np.random.default_rng(seed)
    groups: dict[str, list[int]] = {}
    for place, name in enumerate(strata):
        groups.setdefault(name, []).append(place)
    chosen: list[int] = []
    for own in groups.values():
        take = max(1, int(most * len(own) / count))
        chosen += rng.choice(own, min(take, len(own)), replace=False).tolist()
    return np.sort(np.array(chosen[:most], np.intp))


def tsne(values: Floats, seed: int = 0) -> Floats:
    """t-SNE of (n, d), as (n, 2). https://jmlr.org/papers/v9/vandermaaten08a.html

    Raises:
        UserError: the extra ``report`` isn't installed.
    """
    try:
        from sklearn.manifold import TSNE
    except ImportError:
        raise missing_report("t-SNE (scikit-learn)") from None
    start, _ = pca(values, min(_DIRECTIONS, values.shape[1]))
    perplexity = max(2.0, min(30.0, (len(values) - 1) / 3))
    found: Any = TSNE(perplexity=perplexity, init="pca", random_state=seed, max_iter=500).fit_transform(start)
    return np.asarray(found, np.float64)


def umap(values: Floats, seed: int = 0) -> Floats:
    """UMAP of (n, d), as (n, 2). https://arxiv.org/abs/1802.03426

    Raises:
        UserError: the extra ``umap`` isn't installed.
    """
    try:
        from umap import UMAP
    except ImportError:
        raise UserError(
            "--umap needs the extra 'umap', which is not installed",
            fix="pip install 'edge-inspect[umap]', or leave --umap out: PCA and t-SNE are drawn all the same",
        ) from None
    start, _ = pca(values, min(_DIRECTIONS, values.shape[1]))
    neighbours = max(2, min(15, len(values) - 1))
    found: Any = UMAP(n_neighbors=neighbours, random_state=seed, n_jobs=1).fit_transform(start)
    return np.asarray(found, np.float64)
