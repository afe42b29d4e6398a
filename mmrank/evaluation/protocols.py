"""The official protocols as tuples of metrics, in the order papers print them, and figures over several tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from mmrank.errors import UsageError
from mmrank.evaluation.dataset import Figures
from mmrank.evaluation.metrics import (
    AreaRecall,
    CutAveragePrecision,
    HitRate,
    Mean,
    MeanRank,
    MedianRank,
    Metric,
    Over,
    Recall,
    SoftHit,
    Standard,
    Sum,
    TargetRecall,
)

Metrics = tuple[Metric, ...]
Values = Mapping[str, npt.NDArray[np.float64]]
"""Metric name to one value per query."""


def _hits(*cuts: int, over: Over = "items") -> Metrics:
    return tuple(HitRate(cut, over) for cut in cuts)


CIRR: Metrics = (
    *_hits(1, 2, 5, 10, 50),
    *_hits(1, 2, 3, over="members"),
    Mean((HitRate(5), HitRate(1, "members"))),
)
"""Hard targets (CLIP4Cir, SEARLE, almost every paper)."""

CIRR_SOFT: Metrics = (
    *(SoftHit(cut) for cut in (1, 2, 5, 10, 50)),
    *(SoftHit(cut, "members") for cut in (1, 2, 3)),
    Mean((SoftHit(5), SoftHit(1, "members"))),
)
"""Soft targets in both halves (CIRPLANT). Gains are `target_soft`'s values above 0."""

CIRCO: Metrics = (*(CutAveragePrecision(cut) for cut in (5, 10, 25, 50)), *(TargetRecall(c) for c in (5, 10, 25, 50)))
"""The target has gain 2, the other ground truths 1."""

FASHION_IQ: Metrics = _hits(10, 50)
GENECIS: Metrics = _hits(1, 2, 3)
EGOCVR_GLOBAL: Metrics = _hits(1, 5, 10)
EGOCVR_LOCAL: Metrics = _hits(1, 2, 3)

PAIRED: Metrics = (*_hits(1, 5, 10), MedianRank(), MeanRank(), Sum(_hits(1, 5, 10)))
"""One text, one video (MSR-VTT 1k-A, LSMDC, DiDeMo), and text to video of several captions each."""

PAIRED_LOWER_MEDIAN: Metrics = (*_hits(1, 5, 10), MedianRank(lower=True), MeanRank(), Sum(_hits(1, 5, 10)))
"""Text to video of several captions each as CLIP4Clip computes it: MdR is the lower of two middle ranks."""

PARAGRAPH: Metrics = (*_hits(1, 5, 10, 50), MedianRank(), MeanRank())

V2T_GROUPED: Metrics = (
    *_hits(1, 5, 10, over="groups"),
    MedianRank("groups"),
    MeanRank("groups"),
    Sum(_hits(1, 5, 10, over="groups")),
)
"""Video to text of several captions each: a video's captions are one item, as good as the best (CLIP4Clip, X-Pool)."""

V2T_BEST: Metrics = PAIRED
"""Video to text of several captions each: the best own caption among all captions (CE, BLIP)."""

KARPATHY_T2I: Metrics = _hits(1, 5, 10)
KARPATHY_I2T: Metrics = _hits(1, 5, 10)
"""A hit if any of the image's captions is there."""

CHAT_IR: Metrics = (HitRate(10, label="Hits"),)
"""Of one round on its own; `cumulative_hits` makes the protocol's curve of all rounds."""

MMDOCIR_PAGE: Metrics = tuple(Recall(cut) for cut in (1, 3, 5))
MMDOCIR_LAYOUT: Metrics = tuple(AreaRecall(cut) for cut in (1, 5, 10))
VIDORE: Metrics = (Standard("nDCG@5"), HitRate(1), HitRate(5))
"""ViDoRe v1 and v2."""

VIDORE_V3: Metrics = (Standard("nDCG@10"), Recall(5), Recall(10), Recall(100), Standard("RR@10", "MRR@10"))
BEIR: Metrics = (
    Standard("nDCG@10"),
    Recall(10),
    Recall(100),
    Standard("AP@100", "MAP@100"),
    Standard("RR@10", "MRR@10"),
)


def mean_over_tasks(tasks: Mapping[str, Figures]) -> Figures:
    """The plain mean of every metric that all tasks have (FashionIQ's categories, GeneCIS' four, COCO's folds).

    >>> mean_over_tasks({"dress": {"R@10": 20.0}, "shirt": {"R@10": 30.0}})
    {'R@10': 25.0}
    """
    return {name: float(np.mean([figures[name] for figures in tasks.values()])) for name in _common(tasks)}


def fashion_iq_mean(tasks: Mapping[str, Figures]) -> Figures:
    """FashionIQ's row: the mean over the categories, and Avg, the mean of its R@10 and R@50."""
    means = dict(mean_over_tasks(tasks))
    return {**means, "Avg": (means["R@10"] + means["R@50"]) / 2}


def recall_sum(tasks: Mapping[str, Figures]) -> Figures:
    """RSum over both directions: every R@1, R@5 and R@10 added, up to 600; R_mean is its sixth.

    >>> recall_sum({d: {"R@1": 10.0, "R@5": 20.0, "R@10": 30.0} for d in ("t2i", "i2t")})
    {'RSum': 120.0, 'R_mean': 20.0}
    """
    parts = [figures[f"R@{k}"] for figures in tasks.values() for k in (1, 5, 10)]
    return {"RSum": float(np.sum(parts)), "R_mean": float(np.mean(parts))}


def cumulative_hits(rounds: Sequence[Values] | Mapping[str, Values], metric: str = "Hits@10") -> Figures:
    """Chat-IR's curve: percent of dialogues found in this round or any before it, one figure per round from 0.

    `rounds`: the values of each round's task in order, queries in the same order everywhere. Chat-IR, section 4.

    >>> found = [{"Hits@10": np.array([100.0, 0.0])}, {"Hits@10": np.array([0.0, 100.0])}]
    >>> cumulative_hits(found)
    {'Hits@10 by round 0': 50.0, 'Hits@10 by round 1': 100.0}
    """
    best = np.maximum.accumulate(_side_by_side(rounds, metric), axis=0)
    return {f"{metric} by round {number}": float(np.nanmean(row)) for number, row in enumerate(best)}


def rank_variance(tasks: Sequence[Values] | Mapping[str, Values], metric: str = "MnR") -> Figures:
    """1-to-K rank variance (MRV_K): how much the rank of the same item moves between K wordings or languages.

    `tasks`: the values of each wording's task, queries in the same order everywhere. Lower is better. The population
    variance over the K ranks (divided by K), averaged over the queries (CCRK, arXiv 2406.18254; its normalisation is
    not stated there, this one is ours). nan when an item is in no list of some wording: then nobody knows.

    >>> rank_variance([{"MnR": np.array([1.0, 4.0])}, {"MnR": np.array([3.0, 4.0])}])
    {'MRV_2': 0.5}
    """
    ranks = _side_by_side(tasks, metric)
    known = ranks[:, ~np.isnan(ranks).any(axis=0)]
    value = float(known.var(axis=0).mean()) if known.size and np.isfinite(known).all() else float("nan")
    return {f"MRV_{len(ranks)}": value}


def _common(tasks: Mapping[str, Figures]) -> list[str]:
    every = [set(figures) for figures in tasks.values()]
    return [name for name in next(iter(tasks.values()), {}) if all(name in names for names in every)]


def _side_by_side(tasks: Sequence[Values] | Mapping[str, Values], metric: str) -> npt.NDArray[np.float64]:
    parts = list(tasks.values()) if isinstance(tasks, Mapping) else list(tasks)
    rows = [values[metric] for values in parts if metric in values]
    if len(rows) != len(parts) or not rows or len({len(row) for row in rows}) != 1:
        raise UsageError(
            f"{metric} is in {len(rows)} of {len(parts)} tasks, with {sorted({len(row) for row in rows})} queries; "
            "every task needs it, over the same queries in the same order."
        )
    return np.stack(rows)
