"""``kill -9`` at every stage of a build, and two builds at once: every row once, nothing missing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import mmrank as mm

if TYPE_CHECKING:
    from mmrank.index.index import Index

PICTURES = 2_000

AFTER = (0.0, 0.005, 0.01, 0.02, 0.04)
"""Seconds into a stage."""

KILLS: list[tuple[str, float]] = [
    # All early stages in turn, so that each finds work to interrupt. A group of rows goes into four tables, one
    # after the other, and the indexes are made one after the other: the kills are to hit the gaps between them.
    *[kill for after in AFTER for kill in (("decoding", 0.0), ("embedding", 0.0), ("writing", after))],
    *[("indexing", 2 * after) for after in AFTER],
]

CLOSE = 1e-5
"""Two runs put a picture into batches of different sizes, which moves a float32 sum in its last bits."""

Start = Callable[[Path, Path, Path], Any]


def _ids(index: Index) -> list[str]:
    """The ids of all rows of the items table, in the order of the ids, as often as they are there."""
    rows = _tables(index)["items"].search().select(["id"]).to_arrow()
    return sorted(rows["id"].to_pylist())


def _tables(index: Index) -> dict[str, Any]:
    import lancedb

    connection = lancedb.connect(index.uri)
    return {name: connection.open_table(name) for name in ("items", "thumbnails", "frames", "failures")}


def _kill(start: Callable[[], Any], stage: str, after: float) -> None:
    """Kill a build in a stage, with a commit behind it unless only the indexes are left to make.

    A build of indexes may be over within `after` seconds; then the same command is run and killed sooner.
    """
    while not start().kill_in(stage, after=after, commits=0 if stage == "indexing" else 1):
        assert stage == "indexing", f"the build was over before it could be killed in {stage}"
        assert after > 0, "the build was never indexing"
        after = after / 2 if after > 0.001 else 0.0


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_twenty_kills_lose_nothing_and_do_nothing_twice(
    tmp_path: Path, write_pictures: Callable[[Path, int], Path], start_build: Start
) -> None:
    pictures = write_pictures(tmp_path / "pictures", PICTURES)
    expected = {item.id for item in mm.scan(str(pictures))}
    killed = tmp_path / "killed"
    kept: set[str] = set()
    for stage, after in KILLS:
        _kill(lambda: start_build(pictures, killed, tmp_path / "killed.log"), stage, after)
        ids = _ids(mm.Index.open(str(killed)))
        assert len(ids) == len(set(ids)), f"a kill in {stage} left a row twice"
        assert kept <= set(ids) <= expected, f"a kill in {stage} lost rows"
        if stage != "indexing":
            assert kept < set(ids) < expected, "every run but the last ones has rows to keep and rows to make"
        kept = set(ids)

    report = start_build(pictures, killed, tmp_path / "killed.log").report()
    assert report["failed"] == []
    assert report["added"] == PICTURES - len(kept)
    assert report["unchanged"] == len(kept)

    assert start_build(pictures, tmp_path / "whole", tmp_path / "whole.log").report()["added"] == PICTURES
    _assert_equal(mm.Index.open(str(killed)), mm.Index.open(str(tmp_path / "whole")), expected)


def _assert_equal(killed: Index, whole: Index, expected: set[str]) -> None:
    """Same rows, same vectors, a thumbnail for each and none besides, and the same answers."""
    ids = _ids(killed)
    assert ids == sorted(expected) == _ids(whole)
    np.testing.assert_allclose(killed.vectors(ids), whole.vectors(ids), rtol=0, atol=CLOSE)
    sides = _tables(killed)
    assert sorted(sides["thumbnails"].search().select(["id"]).to_arrow()["id"].to_pylist()) == ids
    assert sides["frames"].count_rows() == sides["failures"].count_rows() == 0
    indexed = {index["columns"][0]: index["unindexed_rows"] for index in killed.stats()["indexes"]}
    assert indexed.keys() >= {"id", "kind"}
    assert set(indexed.values()) == {0}
    query = whole.vectors(ids[:5])
    for ours, theirs in zip(killed.search_vectors(query, 10), whole.search_vectors(query, 10), strict=True):
        assert ours.hits[0].id == theirs.hits[0].id
        np.testing.assert_allclose([hit.score for hit in ours], [hit.score for hit in theirs], rtol=0, atol=CLOSE)


@pytest.mark.slow
def test_two_builds_at_once_make_one_index(
    tmp_path: Path, write_pictures: Callable[[Path, int], Path], start_build: Start
) -> None:
    pictures = write_pictures(tmp_path / "pictures", 400)
    index = tmp_path / "index"
    builds = [start_build(pictures, index, tmp_path / f"{number}.log") for number in range(2)]
    reports = [build.report() for build in builds]
    assert [report["failed"] for report in reports] == [[], []]
    opened = mm.Index.open(str(index))
    ids = sorted(item.id for item in mm.scan(str(pictures)))
    assert _ids(opened) == ids
    thumbnails = _tables(opened)["thumbnails"].search().select(["id"]).to_arrow()["id"].to_pylist()
    assert sorted(thumbnails) == ids
    assert len(opened.search_vectors(opened.vectors(ids[:1]), 1_000)[0]) == len(ids)
