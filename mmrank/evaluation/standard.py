"""Metrics of graded sets through `ir-measures`, from ranks alone.

`ir-measures` sorts by score and breaks ties by document id; our order must hold instead. So it is given lists made for
it: the relevant items at their ranks, nameless others between them, scores N, N - 1, ... 1. Queries with the same ranks
and gains have the same value; each such pattern is measured once, so that a hundred thousand queries cost seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from mmrank.aggregate import Floats
from mmrank.errors import UsageError
from mmrank.evaluation.ranks import Ranks

BLOCK_HITS = 1 << 19
"""Hits that are given to `ir-measures` at once, unless one list has more."""

Pattern = tuple[tuple[float, float], ...]
"""(rank, gain) of each relevant item, by rank; inf where it is not among those looked at."""


@lru_cache
def cutoff(measure: str) -> int | None:
    """How many candidates a measure looks at; None: all of them. Raises `UsageError` for one that does not exist.

    >>> cutoff("nDCG@10"), cutoff("AP")
    (10, None)
    """
    found = _parsed(measure).params.get("cutoff")
    return None if found is None else int(found)


def measured(measure: str, ranks: Ranks, counted: npt.NDArray[np.bool_]) -> Floats:
    """The measure of each query, 0 to 1, shape (queries,); 0 where a query does not count or nothing is relevant.

    Ranks that ties made fractional count as the next whole place; places of one query stay different.

    >>> ranks = Ranks.of(np.array([1, 1]), np.array([1.0, 3.0]), np.array([1.0, 1.0]))
    >>> measured("nDCG@10", ranks, np.array([True, True])).tolist()
    [1.0, 0.5]
    """
    cut = cutoff(measure)
    places = np.ceil(ranks.values)
    if cut is not None:
        places = np.where(places <= cut, places, np.inf)
    bounds = ranks.offsets.tolist()
    patterns: dict[Pattern, int] = {}
    number = np.full(len(ranks), -1, dtype=np.int64)
    pairs = list(zip(places.tolist(), ranks.gains.tolist(), strict=True))
    for query in np.flatnonzero(counted & (ranks.counts > 0)).tolist():
        pattern = tuple(pairs[bounds[query] : bounds[query + 1]])
        number[query] = patterns.setdefault(pattern, len(patterns))
    values = np.zeros(len(patterns) + 1)
    for name, value in _asked(measure, list(patterns)):
        values[name] = value
    return values[number]  # -1, the last one, is the 0 of queries that do not count


def _asked(measure: str, patterns: Sequence[Pattern]) -> Iterator[tuple[int, float]]:
    import ir_measures

    parsed = _parsed(measure)
    first = 0
    while first < len(patterns):
        qrels: dict[str, Mapping[str, int]] = {}
        runs: dict[str, Mapping[str, float]] = {}
        hits, last = 0, first
        while last < len(patterns) and hits < BLOCK_HITS:
            qrels[str(last)], runs[str(last)] = _as_lists(patterns[last])
            hits += len(runs[str(last)])
            last += 1
        for found in ir_measures.iter_calc([parsed], qrels, runs):
            yield int(found.query_id), float(found.value)
        first = last


def _as_lists(pattern: Pattern) -> tuple[dict[str, int], dict[str, float]]:
    """Judgements and a list in which the relevant items have their ranks."""
    gains = {f"relevant{n}": _whole(gain) for n, (_, gain) in enumerate(pattern)}
    place = {int(rank): f"relevant{n}" for n, (rank, _) in enumerate(pattern) if np.isfinite(rank)}
    length = max(place, default=0)
    names = [place.get(rank, f"other{rank}") for rank in range(1, length + 1)]
    return gains, {name: float(length - at) for at, name in enumerate(names)}


def _whole(gain: float) -> int:
    if gain != int(gain):
        raise UsageError(
            f"A gain is {gain}; the measures of ir-measures take whole numbers. Use SoftHit for fractional labels, or "
            "scale the gains."
        )
    return int(gain)


def _parsed(measure: str) -> Any:
    import ir_measures

    try:
        return ir_measures.parse_measure(measure)
    except (NameError, ValueError, SyntaxError) as error:
        raise UsageError(
            f"There is no measure {measure!r} in ir-measures ({error}); write it as in 'nDCG@10', 'AP', 'RR@10'."
        ) from None
