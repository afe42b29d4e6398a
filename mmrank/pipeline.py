"""Stages joined with ``>>``, cut with ``% k``, branched with `Fuse`.

A Stage maps a batch of Rankings to a batch of Rankings, one for one and in order: a retriever fills
empty ones, a rescorer or reranker reorders them, a cut-off discards. Batches and not single queries
flow, so that a stage can share model calls and images across the queries of a run.

The shape follows PyTerrier's operators (Macdonald & Tonellotto, ICTIR 2020) on typed values.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from mmrank.errors import MmrankError, UsageError
from mmrank.types import Query, Ranking


def as_query(query: str | Query) -> Query:
    """A text is short for a Query of that text. Raises `UsageError` for anything else."""
    if isinstance(query, Query):
        return query
    if not isinstance(query, str):
        raise UsageError(f"The query is a {type(query).__name__}; give a text or a mmrank.Query.")
    return Query(text=query)


def check_depth(depth: int | None) -> None:
    """Raise `UsageError` for a `depth` that is no number of hits."""
    if depth is not None and (isinstance(depth, bool) or not isinstance(depth, int) or depth < 1):
        raise UsageError(f"depth is {depth!r}; it must be a whole number from 1, or None for all hits.")


class Stage(ABC):
    """Maps a batch of Rankings to a batch of Rankings. Subclasses give `process` and a readable repr.

    Write subclasses as frozen dataclasses: then pipelines print, compare and hash by what they do.
    """

    @property
    def name(self) -> str:
        """What this stage is called in records, hits and traces."""
        return type(self).__name__.lower()

    @abstractmethod
    def process(self, rankings: Sequence[Ranking]) -> list[Ranking]:
        """One Ranking out for each one in, same queries, same order."""

    def limited(self, k: int) -> Stage | None:
        """This stage made to return at most its best `k` hits, when that is cheaper than cutting afterwards.

        A retriever answers with itself at a smaller k; the default is None (cannot).
        """
        return None

    def run(self, queries: Iterable[str | Query]) -> list[Ranking]:
        """Run all queries as one batch; one Ranking each, in order."""
        return self._checked(self, [Ranking(query=as_query(q)) for q in queries])

    def __call__(self, query: str | Query) -> Ranking:
        """Run one query."""
        return self.run([query])[0]

    def __rshift__(self, other: Stage) -> Pipeline:
        """First this stage, then `other`."""
        if not isinstance(other, Stage):
            return NotImplemented
        return Pipeline(stages=(*_parts(self), *_parts(other)))

    def __mod__(self, k: int) -> Pipeline:
        """This stage, then a cut: what lies below rank `k` is discarded."""
        return self >> Cutoff(k=k)

    @staticmethod
    def _checked(stage: Stage, rankings: Sequence[Ranking]) -> list[Ranking]:
        """Run one stage and hold it to one Ranking out per Ranking in."""
        out = list(stage.process(rankings))
        if [r.query.id for r in out] != [r.query.id for r in rankings]:
            raise MmrankError(
                f"Stage {stage.name!r} was given {len(rankings)} Rankings and gave back {len(out)}, or in another "
                "order; a stage must give one Ranking for each it gets, in the same order."
            )
        return out


def _parts(stage: Stage) -> tuple[Stage, ...]:
    return stage.stages if isinstance(stage, Pipeline) else (stage,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cutoff(Stage):
    """Discards every hit below rank `k`."""

    k: int

    def __post_init__(self) -> None:
        if not isinstance(self.k, int) or isinstance(self.k, bool) or self.k < 1:
            raise UsageError(f"The cut-off is {self.k!r}; `% k` takes a whole number from 1.")

    @property
    def name(self) -> str:
        return f"cutoff({self.k})"

    def process(self, rankings: Sequence[Ranking]) -> list[Ranking]:
        return [r if len(r) <= self.k else r.with_hits(r.hits[: self.k]) for r in rankings]

    def limited(self, k: int) -> Stage | None:
        return replace(self, k=min(k, self.k))

    def __repr__(self) -> str:
        return f"% {self.k}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline(Stage):
    """Stages in a row. Prints as the expression that makes it; equal when its stages are."""

    stages: tuple[Stage, ...]

    @property
    def name(self) -> str:
        return " >> ".join(s.name for s in self.stages)

    def process(self, rankings: Sequence[Ranking]) -> list[Ranking]:
        current = list(rankings)
        for stage in self.pushed_down().stages:
            current = self._checked(stage, current)
        return current

    def pushed_down(self) -> Pipeline:
        """The pipeline as it is run: a cut-off behind a stage that can be limited becomes that limit."""
        done: list[Stage] = []
        for stage in self.stages:
            limited = done[-1].limited(stage.k) if done and isinstance(stage, Cutoff) else None
            if limited is None:
                done.append(stage)
            else:
                done[-1] = limited
        return Pipeline(stages=tuple(done))

    def limited(self, k: int) -> Stage | None:
        last = self.stages[-1].limited(k)
        return None if last is None else replace(self, stages=(*self.stages[:-1], last))

    def __repr__(self) -> str:
        text = ""
        for stage in self.stages:
            text += f" {stage!r}" if text and isinstance(stage, Cutoff) else f"{' >> ' if text else ''}{stage!r}"
        return text
