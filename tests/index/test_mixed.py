"""The bundled toybox, all kinds in one index: the right Item of the right kind stays first."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmrank.embed.registry import load_embedder
from mmrank.index.index import Index
from mmrank.index.mixed import Case, kept_first
from mmrank.media.scan import scan
from mmrank.types import Query

ASSETS = Path(__file__).parents[2] / "assets" / "toybox"


@pytest.mark.slow
def test_on_the_toybox_nine_of_ten_right_items_stay_first(tmp_path: Path) -> None:
    embedder = load_embedder("toybox", device="cpu", threads=1)
    index = Index.create(tmp_path / "toybox", embedder)
    index.add(scan([ASSETS / "media"]))
    ids = [h.id for h in index.search("everything", k=len(index))]
    cases = []
    for line in (ASSETS / "queries.jsonl").read_text().splitlines():
        asked = json.loads(line)
        if asked.get("reference") is None:
            answer = next(i for i in ids if i.endswith(asked["answer"]))
            cases.append(Case(query=Query(text=asked["text"], id=asked["id"]), kind=asked["kind"], answer=answer))
    kept = kept_first(index, cases)
    assert kept["all"].alone > 100
    assert kept["all"].share >= 0.9, kept
    print(kept)
