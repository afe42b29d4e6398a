"""How well a mixed index keeps what its kinds alone would find: the measure behind `mmrank.index.calibrate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmrank.types import KINDS, Kind, Query

if TYPE_CHECKING:
    from mmrank.index.index import Index


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A query, the kind of Item it asks for, and the id of the one right Item."""

    query: Query
    kind: Kind
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Of `alone` queries whose right Item comes first among its own kind, `mixed` have it first among all kinds."""

    alone: int
    mixed: int

    @property
    def share(self) -> float:
        """0 to 1; NaN when no query found its Item even alone."""
        return self.mixed / self.alone if self.alone else float("nan")


def kept_first(index: Index, cases: Sequence[Case]) -> dict[str, Kept]:
    """For each kind asked for, and for "all": how often mixing the kinds leaves the right Item first.

    >>> kept_first(index, cases)["all"].share  # doctest: +SKIP
    0.93
    """
    mixed = index.search_many([case.query for case in cases], 1, strict=True)
    whole = [(case.kind, ranking.ids[:1] == (case.answer,)) for case, ranking in zip(cases, mixed, strict=True)]
    counted: dict[str, Kept] = {}
    for kind in KINDS:
        mine = [i for i, case in enumerate(cases) if case.kind == kind]
        if not mine:
            continue
        single = index.search_many([cases[i].query for i in mine], 1, kinds=[kind], strict=True)
        found = [i for i, ranking in zip(mine, single, strict=True) if ranking.ids[:1] == (cases[i].answer,)]
        counted[kind] = Kept(alone=len(found), mixed=sum(whole[i][1] for i in found))
    total = Kept(alone=sum(k.alone for k in counted.values()), mixed=sum(k.mixed for k in counted.values()))
    return {**counted, "all": total}
