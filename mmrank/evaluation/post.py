"""Named post-processing of score matrices. It looks at all test queries at once, so it is never on by default.

Both ways ask how much an item likes a query compared with all other queries, which a search engine that sees one query
at a time cannot know. Figures made with them do not compare with figures made without, and must carry their name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from mmrank.errors import UsageError

Scores = npt.NDArray[np.floating]

DUAL_SCALE = 100.0
"""What scores are multiplied by in dual softmax: CLIP's logit scale, for cosines. Logits want 1."""

BANK_SCALE = 20.0
"""The inverse temperature of query-bank normalisation, for cosines (QB-Norm, section 4)."""


def dual_softmax(scores: Scores, scale: float = DUAL_SCALE) -> npt.NDArray[np.float64]:
    """Each score times the softmax of its column: how much of the item's liking goes to this query.

    `scores`: shape (queries, items). Cheng et al., "Improving Video-Text Retrieval by Multi-Stream Corpus Alignment and
    Dual Softmax Loss", arXiv 2109.04290, section 3.3. -inf (no score) stays.

    >>> hub = np.array([[0.5, 0.6], [0.1, 0.9]])
    >>> hub.argmax(axis=1).tolist(), dual_softmax(hub).argmax(axis=1).tolist()
    ([1, 1], [0, 1])
    """
    wide = _checked(scores).astype(np.float64)
    shares = np.exp(scale * wide - _log_sum(scale * wide))
    return np.where(np.isneginf(wide), -np.inf, np.where(np.isneginf(wide), 0.0, wide) * shares)


def query_bank(
    scores: Scores, bank: Scores | None = None, *, scale: float = BANK_SCALE, k: int = 1
) -> npt.NDArray[np.float64]:
    """Query-bank normalisation with the dynamic inverted softmax.

    Bogolin et al., "Cross Modal Retrieval with Querybank Normalisation", CVPR 2022, section 3.3.

    Args:
        scores: shape (queries, items).
        bank: scores of other queries with the same items, shape (bank queries, items), such as training captions. None:
            the test queries themselves are the bank; then every query is normalised.
        scale: the inverse temperature.
        k: an item is active when it is among the best `k` of any query of the bank. Only queries whose best item is
            active are normalised; the others keep their scores.

    Returns:
        Scores of the same shape that compare within a query only: logarithms where a query was normalised.

    >>> hub = np.array([[0.5, 0.6], [0.1, 0.9]])
    >>> query_bank(hub).argmax(axis=1).tolist()
    [0, 1]
    """
    wide = _checked(scores).astype(np.float64)
    other = wide if bank is None else _checked(bank).astype(np.float64)
    if other.shape[1:] != wide.shape[1:] or not 1 <= k <= wide.shape[1]:
        raise UsageError(
            f"The bank has shape {other.shape}, the scores {wide.shape}, and k is {k}; the bank needs a column for "
            "each of the same items, and k lies between 1 and their number."
        )
    best = np.argpartition(-other, k - 1, axis=1)[:, :k]
    active = np.zeros(wide.shape[1], dtype=bool)
    active[best] = True
    normalised = active[wide.argmax(axis=1)]
    return np.where(normalised[:, None], scale * wide - _log_sum(scale * other), wide)


POST: Mapping[str, Callable[[Scores], npt.NDArray[np.float64]]] = {
    "dual softmax": dual_softmax,
    "query bank": query_bank,
}
"""By the name that is printed with every figure made with it."""


def post_processed(scores: Scores, names: Sequence[str]) -> Scores:
    """The matrix after each named processing in turn; the same matrix without names.

    Raises `UsageError` for an unknown name, listing those there are.

    >>> post_processed(np.eye(2), ()).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    for name in names:
        if name not in POST:
            raise UsageError(f"There is no post-processing {name!r}; there is {', '.join(map(repr, POST))}.")
        scores = POST[name](scores)
    return scores


def _checked(scores: Scores) -> Scores:
    if scores.ndim != 2 or not scores.size or np.isnan(scores).any() or np.isposinf(scores).any():
        raise UsageError(
            f"The matrix has shape {scores.shape}, or holds NaN or infinity; post-processing needs a score of every "
            "query (rows) with every item (columns)."
        )
    return scores


def _log_sum(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """log(sum(exp(values))) of each column; 0 for a column without any score."""
    top = values.max(axis=0)
    top = np.where(np.isneginf(top), 0.0, top)
    with np.errstate(divide="ignore"):
        total = np.log(np.exp(values - top).sum(axis=0))
    return np.where(np.isneginf(total), 0.0, total + top)
