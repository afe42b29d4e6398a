"""What a build says: while it runs (`Progress`), and when it is over (`AddReport`)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from mmrank.errors import IndexStoreError
from mmrank.index.commit import Upserted
from mmrank.media.uri import printable
from mmrank.types import Item

BuildStage: TypeAlias = Literal["decoding", "embedding", "writing", "indexing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a build stands: `done` of `total` items are finished (failed and unchanged ones too).

    `total` is None when the items come from an iterable that does not know. `stage` is what goes on now.
    """

    done: int
    total: int | None
    stage: BuildStage
    failed: int


ProgressCallback: TypeAlias = Callable[[Progress], None]


@dataclass(slots=True, kw_only=True)
class Upkeep:
    """What was done to keep the tables fast; nothing after most builds.

    `indexed`: metadata columns that got an index for filters. `approximate`: columns of vectors that got an
    approximate index. `compacted`: tables whose data files were put together and whose indexes took in the new rows,
    with how many files there were and are. `versions_removed`: old versions, of all tables.

    >>> Upkeep(compacted={"items": (24, 1)}, versions_removed=30).nothing
    False
    """

    indexed: list[str] = field(default_factory=list)
    approximate: list[str] = field(default_factory=list)
    compacted: dict[str, tuple[int, int]] = field(default_factory=dict)
    versions_removed: int = 0

    @property
    def nothing(self) -> bool:
        """Whether nothing was to be done."""
        return self == Upkeep()


@dataclass(frozen=True, slots=True, kw_only=True)
class AddReport:
    """What `Index.add` did.

    `added`, `updated`: rows, as the table counted them; `unchanged`: items that were there as they are now.
    `failed`: (uri, why) of what could not be indexed, also kept in the index until it can. `warnings`: (uri, what)
    of what was indexed with something to say about it. `seconds`: the whole build, indexing included.
    `recall`: recall@10 of the approximate index against exact search, None where search is exact.
    `removed`: rows whose files, pages or spans are gone (with ``prune=True`` only). `moved`: of those added, how many
    have the content of a row whose file is not there any more: it was renamed or moved, and nothing was embedded.
    `upkeep`: what was done besides to keep the index fast.
    """

    added: int
    updated: int
    unchanged: int
    failed: tuple[tuple[str, str], ...]
    warnings: tuple[tuple[str, str], ...]
    seconds: float
    recall: float | None
    removed: int = 0
    moved: int = 0
    upkeep: Upkeep = field(default_factory=Upkeep)


class IncompleteBuildError(IndexStoreError):
    """Items failed in a strict build. Everything else is in the index; `report` says what was done."""

    def __init__(self, report: AddReport) -> None:
        self.report = report
        uri, why = report.failed[0]
        more = f" and {len(report.failed) - 1} more" if len(report.failed) > 1 else ""
        super().__init__(
            f"{len(report.failed)} item(s) could not be indexed: {uri}: {why}{more}. All others are in the index. "
            "Mend or leave out what failed and run it again, or build without strict."
        )


class Tally:
    """Counts of a running build, kept by its main thread."""

    def __init__(self, progress: ProgressCallback | None, total: int | None) -> None:
        self.failed: list[tuple[str, str]] = []
        self.warnings: list[tuple[str, str]] = []
        self.written = Upserted(0, 0)
        self.unchanged = 0
        self.moved = 0
        self._done = 0
        self._total = total
        self._progress = progress
        self._started = time.perf_counter()

    def enter(self, stage: BuildStage) -> None:
        """Tell whoever watches that this goes on now."""
        if self._progress is not None:
            self._progress(Progress(done=self._done, total=self._total, stage=stage, failed=len(self.failed)))

    def finish(self, count: int = 1) -> None:
        """So many items need nothing more than to be written."""
        self._done += count

    def keep(self, count: int) -> None:
        """So many items are in the index as they are."""
        self.unchanged += count
        self.finish(count)

    def move(self) -> None:
        """One of the items that will be added is what another was whose file is gone."""
        self.moved += 1

    def fail(self, uri: str, why: str) -> None:
        self.failed.append((uri, why))

    def warn(self, uri: str, what: str) -> None:
        self.warnings.append((uri, what))

    def write(self, written: Upserted) -> None:
        """So many rows are in the table."""
        self.written = Upserted(self.written.added + written.added, self.written.updated + written.updated)

    def report(self, recall: float | None, upkeep: Upkeep) -> AddReport:
        return AddReport(
            added=self.written.added,
            updated=self.written.updated,
            unchanged=self.unchanged,
            failed=tuple(self.failed),
            warnings=tuple(self.warnings),
            seconds=time.perf_counter() - self._started,
            recall=recall,
            moved=self.moved,
            upkeep=upkeep,
        )


def name_of(item: Item) -> str:
    """How reports and the failures table name an item: its uri, or its id where it has none."""
    return printable(item.uri or item.id)
