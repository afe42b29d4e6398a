"""A frozen first stage: the lists of a Run, given as they are to whatever pipeline comes behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mmrank.pipeline import Cutoff, Pipeline, Stage
from mmrank.run import Run
from mmrank.types import Hit, Item, Ranking, Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates(Stage):
    """Fills each Ranking with a Run's list for its query; `exclude` and `among` of the query hold here too.

    `items`: the gallery, id to Item; what it does not have is left out. A query that the Run does not have is
    ``failed`` with an empty list.
    """

    lists: Run = field(repr=False)
    items: Mapping[str, Item] = field(repr=False)

    @property
    def name(self) -> str:
        return f"candidates:{self.lists.name}"

    def process(self, rankings: Sequence[Ranking]) -> list[Ranking]:
        known = {name: (ids, scores.tolist()) for name, ids, scores in self.lists}
        return [self._filled(ranking, known.get(ranking.query.id)) for ranking in rankings]

    def _filled(self, ranking: Ranking, found: tuple[Sequence[str], Sequence[float]] | None) -> Ranking:
        query = ranking.query
        if found is None:
            error = f"the run {self.lists.name!r} has no query {query.id!r}"
            return ranking.with_hits((), Record(stage=self.name, status="failed", error=error))
        allowed = None if query.among is None else set(query.among)
        hits = [
            Hit(item=self.items[name], score=score, stage=self.name)
            for name, score in zip(*found, strict=True)
            if name in self.items and name not in query.exclude and (allowed is None or name in allowed)
        ]
        return ranking.with_hits(hits, Record(stage=self.name))


def first_and_rest(stage: Stage) -> tuple[Stage, tuple[Stage, ...]]:
    """The first stage of a pipeline with the cut-offs right behind it, and the stages that work on what it found."""
    if not isinstance(stage, Pipeline):
        return stage, ()
    stages = stage.pushed_down().stages
    end = next((n for n, each in enumerate(stages) if n and not isinstance(each, Cutoff)), len(stages))
    return (stages[0] if end == 1 else Pipeline(stages=stages[:end])), stages[end:]


def from_candidates(stage: Stage, candidates: Candidates) -> Stage:
    """The pipeline with its first stage replaced by frozen candidates; its cut-offs stay."""
    stages = stage.stages[1:] if isinstance(stage, Pipeline) else ()
    return Pipeline(stages=(candidates, *stages)) if stages else candidates
