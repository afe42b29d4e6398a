"""Relevance judgements: files in TREC's, BEIR's and M-BEIR's columns, and which queries they judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

from mmrank.evaluation.dataset import DatasetError
from mmrank.evaluation.datasets.rows import QueryRow
from mmrank.types import Query

Gains = dict[str, dict[str, float]]
"""Query id to item id to grade."""

_ITEM: Mapping[int, tuple[int, int]] = {3: (1, 2), 4: (2, 3), 5: (2, 3)}
"""Number of columns to those of item and grade: BEIR's ``query item grade``, TREC's ``query 0 item grade`` and
M-BEIR's ``query 0 item grade task``."""


def read_qrels(path: Path) -> Gains:
    """Read judgements, columns split by tabs or else by spaces; a header line is passed over.

    Raises `DatasetError` that names the line.
    """
    gains: Gains = {}
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is not UTF-8: {error}.") from None
    header = True
    for number, line in enumerate(lines, start=1):
        parts = [part.strip() for part in line.split("\t")] if "\t" in line else line.split()
        if not any(parts):
            continue
        first, header = header, False
        place = _ITEM.get(len(parts))
        try:
            if place is None:
                raise ValueError
            grade = float(parts[place[1]])
        except ValueError:
            if first:
                continue
            raise DatasetError(
                f"{path}:{number}: {line.strip()!r} is no judgement; write query, item and grade (BEIR), or query, 0, "
                "item and grade (TREC), with tabs or spaces between."
            ) from None
        gains.setdefault(parts[0], {})[parts[place[0]]] = grade
    if not gains:
        raise DatasetError(f"{path} holds no judgements.")
    return gains


def judged_only(
    queries: Sequence[Query], gains: Mapping[str, Mapping[str, float]], gallery: AbstractSet[str]
) -> tuple[list[QueryRow], list[str]]:
    """The queries that something is judged relevant to (a grade above 0), and what was left out, in words.

    Raises `DatasetError` when none is left, and for relevant items that are not in the gallery: leaving them out would
    change what recall is divided by.
    """
    rows: list[QueryRow] = []
    for query in queries:
        relevant = {item: grade for item, grade in gains.get(query.id, {}).items() if grade > 0}
        if relevant:
            rows.append(QueryRow(query=query, relevant=relevant))
    absent = {item for row in rows for item in row.relevant} - gallery
    if absent:
        raise DatasetError(
            f"{len(absent):,} items that are judged relevant are not in the gallery of {len(gallery):,}, such as "
            f"{min(absent)!r}; judgements and corpus do not belong together."
        )
    if not rows:
        raise DatasetError(
            f"None of the {len(queries):,} queries has a judgement above 0 among those of {len(gains):,} queries; do "
            "the query ids agree?"
        )
    known = {query.id for query in queries}
    others = sum(query not in known for query in gains)
    counted = [
        (len(queries) - len(rows), "queries without a relevant item are left out"),
        (others, "judged queries are not among the queries read, and are passed over"),
    ]
    return rows, [f"{count:,} {what}." for count, what in counted if count]
