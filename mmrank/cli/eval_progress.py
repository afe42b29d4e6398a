"""Progress of ``mmrank eval``: queries finished of each system and task."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any

from mmrank.cli.output import err, say
from mmrank.cli.progress import LINE_EVERY, Rate, numbers


class QueryProgress:
    """What `mmrank.evaluate(watch=)` calls; shows itself while entered, on a terminal as a bar, else as lines."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None
        self._now = ""
        self._rate = Rate()
        self._said = time.perf_counter()

    def __enter__(self) -> QueryProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def __call__(self, system: str, task: str, done: int, total: int) -> None:
        title = f"{system} {task}".strip()
        if title != self._now:
            self._begin(title, done)
        words = numbers(done, total, self._rate.at(done), 0)
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=total, numbers=words)
        elif time.perf_counter() - self._said >= LINE_EVERY:
            self._said = time.perf_counter()
            say(f"{title}: {words}")
        if done == total:
            self._end()
            say(f"{title}: {numbers(done, total, None, 0)}")

    def _begin(self, title: str, done: int) -> None:
        self._end()
        self._now, self._rate = title, Rate()
        if done:
            say(f"{title}: {done:,} finished before")
        if err().is_terminal:
            from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

            columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=24)
            self._bar = Progress(*columns, TextColumn("{task.fields[numbers]}"), console=err(), transient=True)
            self._task = self._bar.add_task(title, total=None, numbers="")
            self._bar.start()

    def _end(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
