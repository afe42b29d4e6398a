"""Rescoring on vectors: cheap stages that reorder what was found, without a generating model.

Each module holds pure functions on float32 arrays and one or two Stages made of them. A Stage takes an `Index`, or any
object with the methods in `mmrank.rerank.vectors.source` (`GivenVectors` is one).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mmrank.pipeline import Stage
from mmrank.rerank.vectors.again import search_again
from mmrank.rerank.vectors.clip_rerank import clip_rerank
from mmrank.rerank.vectors.conditioned import Rescore, text_conditioned
from mmrank.rerank.vectors.diversity import mmr
from mmrank.rerank.vectors.duplicates import near_duplicates
from mmrank.rerank.vectors.e2rank import e2rank
from mmrank.rerank.vectors.f4its import f4its, f4its_list
from mmrank.rerank.vectors.feedback import query_expansion, rocchio
from mmrank.rerank.vectors.late import late_interaction
from mmrank.rerank.vectors.source import GivenVectors
from mmrank.rerank.vectors.super_global import super_global

STAGES: dict[str, Callable[..., Stage]] = {
    "super_global": super_global,
    "clip_rerank": clip_rerank,
    "rocchio": rocchio,
    "query_expansion": query_expansion,
    "e2rank": e2rank,
    "mmr": mmr,
    "near_duplicates": near_duplicates,
    "f4its": f4its,
    "late_interaction": late_interaction,
}
"""Stages that an index alone can make, by name: the first argument is the index, the options are plain values."""


def vector_stage(name: str, source: Any, **options: Any) -> Stage:
    """The stage of this name over `source`, as a pipeline file names it.

    Raises `UsageError` for an unknown name or option.

    >>> vector_stage("mmr", GivenVectors(), trade=0.5)
    mmr(GivenVectors(), trade=0.5)
    """
    from inspect import signature

    from mmrank.errors import UsageError

    make = STAGES.get(name)
    if make is None:
        raise UsageError(f"There is no vector stage {name!r}; it must be one of {', '.join(STAGES)}.")
    known = [option for option in signature(make).parameters if option != "source"]
    if unknown := [option for option in options if option not in known]:
        raise UsageError(f"The stage {name!r} has no option {unknown[0]!r}; it has {', '.join(known)}.")
    return make(source, **options)


__all__ = [
    "STAGES",
    "GivenVectors",
    "Rescore",
    "clip_rerank",
    "e2rank",
    "f4its",
    "f4its_list",
    "late_interaction",
    "mmr",
    "near_duplicates",
    "query_expansion",
    "rocchio",
    "search_again",
    "super_global",
    "text_conditioned",
    "vector_stage",
]
