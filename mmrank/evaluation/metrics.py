"""What is measured: small frozen metrics, each a value per query and a figure over all of them.

Two names that papers mix are kept apart. ``R@K`` is the hit rate: is any relevant item among the first K (CLIP papers,
CIRR, GeneCIS). ``Recall@K`` is the share of the relevant items that is among the first K (BEIR, MMDocIR); with one
target the two are equal. Metrics that `ir-measures` has (nDCG, AP, RR, P of graded sets) come from there, through
`Standard`; what no library has is here. A rank that ties average to a half counts as it stands: 1.5 is no hit at 1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from mmrank.evaluation.judged import Judged

Floats: TypeAlias = npt.NDArray[np.float64]
Unit: TypeAlias = Literal["percent", "rank"]

Over: TypeAlias = Literal["items", "members", "groups"]
"""Which list is measured: the whole one; the query's own members only (CIRR's subset); groups of items, each as good
as its best item (the captions of one video)."""


@dataclass(frozen=True, slots=True)
class Metric(ABC):
    """A value per query and a figure over the queries.

    A value is in the metric's own unit: percent from 0 to 100, or a rank from 1 (inf: not in the list). It is nan for a
    query that does not count, because nothing is known to be relevant to it.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """As papers write it, such as "R@1"."""

    @property
    def unit(self) -> Unit:
        return "percent"

    @property
    def better(self) -> Literal["higher", "lower"]:
        """Which way is up: percents higher, ranks lower."""
        return "lower" if self.unit == "rank" else "higher"

    @property
    def k(self) -> int | None:
        """How many candidates it looks at; None: all of them."""
        return None

    @abstractmethod
    def values(self, judged: Judged) -> Floats:
        """One value per query of the task, shape (queries,)."""

    def summary(self, values: Floats) -> float:
        """The figure: the mean over the queries that count; nan when none does."""
        counted = values[~np.isnan(values)]
        return float(counted.mean()) if len(counted) else float("nan")


def _percent(judged: Judged, shares: Floats | npt.NDArray[np.bool_]) -> Floats:
    return np.where(judged.counted, 100.0 * shares, np.nan)


@dataclass(frozen=True, slots=True)
class AtK(Metric):
    """A metric of the first `cut` candidates."""

    cut: int
    word: ClassVar[str] = "Recall"

    @property
    def name(self) -> str:
        return f"{self.word}@{self.cut}"

    @property
    def k(self) -> int | None:
        return self.cut


@dataclass(frozen=True, slots=True)
class HitRate(AtK):
    """``R@K``: is any relevant item among the first `cut`? Over members ``Rs@K`` (CIRR's subset recall).

    >>> HitRate(5).name, HitRate(1, "members").name, HitRate(10, label="Hits").name
    ('R@5', 'Rs@1', 'Hits@10')
    """

    over: Over = "items"
    label: str = ""

    @property
    def name(self) -> str:
        return f"{self.label or _recall(self.over)}@{self.cut}"

    @property
    def k(self) -> int | None:
        return self.cut if self.over == "items" else None

    def values(self, judged: Judged) -> Floats:
        return _percent(judged, judged.ranks_over(self.over).first <= self.cut)


@dataclass(frozen=True, slots=True)
class SoftHit(AtK):
    """CIRR's soft ``R@K``: the highest gain among the first `cut`, 0 when none has any (CIRPLANT's evaluation)."""

    over: Over = "items"

    @property
    def name(self) -> str:
        return f"{_recall(self.over)}@{self.cut}"

    @property
    def k(self) -> int | None:
        return self.cut if self.over == "items" else None

    def values(self, judged: Judged) -> Floats:
        ranks = judged.ranks_over(self.over)
        return _percent(judged, ranks.highest(np.where(ranks.values <= self.cut, ranks.gains, 0.0)))


def _recall(over: Over) -> str:
    return "Rs" if over == "members" else "R"


@dataclass(frozen=True, slots=True)
class TargetRecall(AtK):
    """``Recall@K`` of the single target: the relevant item of the highest gain (CIRCO: the target has 2, others 1)."""

    def values(self, judged: Judged) -> Floats:
        return _percent(judged, judged.ranks.target <= self.cut)


@dataclass(frozen=True, slots=True)
class Recall(AtK):
    """``Recall@K``: the share of a query's relevant items that is among the first `cut` (BEIR, MMDocIR)."""

    def values(self, judged: Judged) -> Floats:
        ranks = judged.ranks
        found = ranks.total((ranks.values <= self.cut).astype(np.float64))
        return _percent(judged, found / np.maximum(ranks.counts, 1))


@dataclass(frozen=True, slots=True)
class AreaRecall(AtK):
    """``Recall@K`` of MMDocIR's layouts: the gains of the first `cut` added.

    A gain is the share of the answer's area that a layout covers. Overlapping layouts count twice, as in the authors'
    code, so that it can exceed 100; see `mmrank.evaluation.areas.coverage`.
    """

    def values(self, judged: Judged) -> Floats:
        ranks = judged.ranks
        return _percent(judged, ranks.total(np.where(ranks.values <= self.cut, ranks.gains, 0.0)))


@dataclass(frozen=True, slots=True)
class CutAveragePrecision(AtK):
    """``mAP@K`` of CIRCO: precision at each relevant item among the first `cut`, summed over min(relevant, `cut`).

    trec_eval divides by all relevant items instead, which no list of K can reach when there are more than K of them
    (CIRCO, section 4.3; its evaluation.py).
    """

    word: ClassVar[str] = "mAP"

    def values(self, judged: Judged) -> Floats:
        ranks = judged.ranks
        precision = np.where(ranks.values <= self.cut, ranks.position / ranks.values, 0.0)
        return _percent(judged, ranks.total(precision) / np.clip(ranks.counts, 1, self.cut))


@dataclass(frozen=True, slots=True)
class BestRank(Metric):
    """A figure from the rank of each query's best relevant item."""

    over: Over = "items"

    @property
    def unit(self) -> Unit:
        return "rank"

    def values(self, judged: Judged) -> Floats:
        return np.where(judged.counted, judged.ranks_over(self.over).first, np.nan)


@dataclass(frozen=True, slots=True)
class MedianRank(BestRank):
    """``MdR``: the median of the best relevant item's rank. `lower` takes the lower of two middle values.

    CLIP4Clip's multi-caption text to video uses torch.median, which is the lower one; all others average the two.
    nan when the middle lies among queries whose relevant items are not in their lists: then nobody knows.
    """

    lower: bool = False

    @property
    def name(self) -> str:
        return "MdR"

    def summary(self, values: Floats) -> float:
        counted = values[~np.isnan(values)]
        if not len(counted):
            return float("nan")
        middle = float(np.quantile(counted, 0.5, method="lower") if self.lower else np.median(counted))
        return middle if np.isfinite(middle) else float("nan")


@dataclass(frozen=True, slots=True)
class MeanRank(BestRank):
    """``MnR``: the mean of the best relevant item's rank; nan when one is not in its list: then nobody knows."""

    @property
    def name(self) -> str:
        return "MnR"

    def summary(self, values: Floats) -> float:
        mean = Metric.summary(self, values)
        return mean if np.isfinite(mean) else float("nan")


@dataclass(frozen=True, slots=True)
class Sum(Metric):
    """Several metrics of a query added (``RSum``: R@1 + R@5 + R@10, up to 300)."""

    parts: tuple[Metric, ...]
    label: str = "RSum"

    @property
    def name(self) -> str:
        return self.label

    def values(self, judged: Judged) -> Floats:
        return reduce(np.add, (part.values(judged) for part in self.parts))


@dataclass(frozen=True, slots=True)
class Mean(Metric):
    """The mean of several metrics of a query (CIRR's ``Avg``: R@5 and Rs@1)."""

    parts: tuple[Metric, ...]
    label: str = "Avg"

    @property
    def name(self) -> str:
        return self.label

    def values(self, judged: Judged) -> Floats:
        added: Floats = reduce(np.add, (part.values(judged) for part in self.parts))
        return added / len(self.parts)


@dataclass(frozen=True, slots=True)
class Standard(Metric):
    """A metric of graded sets from `ir-measures`, by its name there: "nDCG@10", "AP", "RR@10", "P@5".

    >>> Standard("RR@10", label="MRR@10").name
    'MRR@10'
    """

    measure: str
    label: str = ""

    @property
    def name(self) -> str:
        return self.label or self.measure

    @property
    def k(self) -> int | None:
        from mmrank.evaluation.standard import cutoff

        return cutoff(self.measure)

    def values(self, judged: Judged) -> Floats:
        from mmrank.evaluation.standard import measured

        return _percent(judged, measured(self.measure, judged.ranks, judged.counted))


def ranks_needed(metrics: tuple[Metric, ...]) -> int:
    """How many candidates the metrics look at: the greatest cut.

    >>> ranks_needed((HitRate(1), HitRate(50), MedianRank()))
    50
    """
    return max((metric.k or 0 for metric in metrics), default=0)
