"""Finished queries on disk, so that an evaluation can be killed anywhere and go on."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mmrank.errors import UsageError
from mmrank.evaluation.identity import Identity, differences
from mmrank.types import Cost, Ranking, Record

IDENTITY = "identity.json"
QUERIES = "queries.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """One query that is done: its hits (ids and scores, best first), the first stage's, and what was done to it."""

    query: str
    ids: tuple[str, ...]
    scores: tuple[float, ...]
    first_ids: tuple[str, ...]
    first_scores: tuple[float, ...]
    records: tuple[Record, ...]

    @classmethod
    def of(cls, first: Ranking, last: Ranking) -> Finished:
        """From what the first stage and the whole pipeline gave."""
        return cls(
            query=last.query.id,
            ids=last.ids,
            scores=tuple(hit.score for hit in last),
            first_ids=first.ids,
            first_scores=tuple(hit.score for hit in first),
            records=last.records,
        )


def _other(name: str) -> str:
    """A part of the identity that is not the same, and where the user set it."""
    return "other queries (another --limit, split or file)" if name == "queries" else f"another {name}"


class Journal:
    """The finished queries of one system on one task, in a folder.

    `identity` is what they depend on. Raises `UsageError` when the folder holds work of another identity: a changed
    pipeline, prompt, model, index or data set is never mixed with the old.
    """

    def __init__(self, folder: Path, identity: Identity) -> None:
        self._path = folder / QUERIES
        folder.mkdir(parents=True, exist_ok=True)
        kept = folder / IDENTITY
        if kept.exists():
            changed = differences(json.loads(kept.read_text(encoding="utf-8")), identity)
            if changed:
                raise UsageError(
                    f"{folder} holds an evaluation that was begun with {' and '.join(map(_other, changed))}; going on "
                    "would mix the two. Give another --to, or delete that folder to begin anew."
                )
        else:
            _replace(kept, json.dumps(identity, indent=1))

    def read(self) -> dict[str, Finished]:
        """Everything finished so far; a last line that a kill cut short is dropped from the file."""
        if not self._path.exists():
            return {}
        data = self._path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):
            os.truncate(self._path, len(whole))
        done = [_finished(json.loads(line)) for line in whole.splitlines()]
        return {each.query: each for each in done}

    def write(self, done: Iterable[Finished]) -> None:
        """Add finished queries; they are on the disk when this returns."""
        lines = "".join(json.dumps(asdict(each)) + "\n" for each in done)
        with self._path.open("a", encoding="utf-8") as out:
            out.write(lines)
            out.flush()
            os.fsync(out.fileno())


def _finished(row: dict[str, Any]) -> Finished:
    records = tuple(Record(**{**record, "cost": Cost(**record["cost"])}) for record in row["records"])
    lists: dict[str, Sequence[Any]] = {
        name: tuple(row[name]) for name in ("ids", "scores", "first_ids", "first_scores")
    }
    return Finished(query=row["query"], records=records, **lists)  # type: ignore[arg-type]


def _replace(path: Path, text: str) -> None:
    part = path.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
