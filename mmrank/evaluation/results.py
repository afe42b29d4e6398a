"""What an evaluation gives: figures per system and task, with everything needed to believe or doubt them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mmrank.evaluation.dataset import Dataset, Figures
from mmrank.run import Run
from mmrank.types import Cost, Record, Status

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What the paper of a recipe reports, to stand beside ours.

    `recipe`: its name. `text`: the paper's figures in words ("GeneCIS mean R@1 19.7 with it, 16.4 without"), empty when
    none is known. `paper`: where they come from. `fidelity`: "code", "description" or "stand-in".
    """

    recipe: str
    text: str
    paper: str
    fidelity: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SystemTask:
    """One system (a pipeline, a run, a matrix) on one task.

    Attributes:
        system: the name given to it.
        task: the task's name.
        run: its lists, best first; for a matrix the best hundred of each query.
        figures: metric name to value.
        pessimistic: the same with every tie lost, where ties exist (matrices); else empty.
        values: metric name to one value per query of the task, nan where a query does not count.
        subset: the lists of subset metrics, where subsets were ranked on their own.
        first: the first stage's lists, where a stage came after it.
        first_figures: its figures.
        ceiling: percent of queries with a relevant item among those that the reranker looked at, and that depth.
        outcomes: how many queries ended how.
        records: query id to what every stage did to it, where a pipeline ran here.
        cost: summed over the queries.
        notes: warnings with counts: fewer candidates than K, queries that were not in a run.
        published: what the papers of its recipes report.
    """

    system: str
    task: str
    run: Run
    figures: Figures
    values: Mapping[str, FloatArray]
    pessimistic: Figures = field(default_factory=dict)
    subset: Run | None = None
    first: Run | None = None
    first_figures: Figures | None = None
    ceiling: tuple[float, int] | None = None
    outcomes: Mapping[Status, int] = field(default_factory=dict)
    records: Mapping[str, tuple[Record, ...]] = field(default_factory=dict)
    cost: Cost = Cost()
    notes: tuple[str, ...] = ()
    published: tuple[Published, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A paired randomisation test between two systems on one metric of one task.

    `difference`: second minus first, in the metric's unit. `p`: two-sided; `p_corrected`: after Holm's correction over
    all comparisons of the evaluation.
    """

    task: str
    metric: str
    first: str
    second: str
    difference: float
    p: float
    p_corrected: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluation:
    """The whole answer of `mmrank.evaluate`.

    Attributes:
        dataset: what was asked, under which protocol.
        systems: one per system and task; systems in the order given, tasks in the data set's.
        combined: system name to figures over all tasks (FashionIQ's mean), empty where a data set has none.
        ties: the tie rule the figures follow.
        comparisons: empty with one system.
        post: named post-processing that was asked for, such as "dual softmax"; printed with every figure.
    """

    dataset: Dataset
    systems: tuple[SystemTask, ...]
    combined: Mapping[str, Figures] = field(default_factory=dict)
    ties: str = "averaging"
    comparisons: tuple[Comparison, ...] = ()
    post: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The systems' names, in order."""
        return tuple(dict.fromkeys(each.system for each in self.systems))
