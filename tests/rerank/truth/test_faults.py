"""A long run under faults: no query is lost, records add up, and what no fault touched is as it was without faults."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import mmrank as mm
from mmrank.media.scan import scan
from mmrank.media.uri import item_id
from mmrank.rerank.schedules import derive_seed
from mmrank.toybox.judge import Noise, Reader, serve_truth
from mmrank.toybox.judge.known import read_knowledge
from mmrank.toybox.layouts import write_toybox
from mmrank.types import Hit, Query, Ranking

QUERIES, CANDIDATES = 200, 100
FAULTS = Noise(timeout=0.10, hold=0.5, malformed=0.05, server_error=0.02)
RESTART_AFTER = 150
"""Answers after which the server goes away once."""


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> tuple[Reader, list[Ranking]]:
    """200 notes, and for each of 200 queries 100 of them in an order of its own."""
    folder = tmp_path_factory.mktemp("notes")
    made = write_toybox(folder, images=0, videos=0, pages=0, notes=QUERIES, layouts=["media"])
    items = list(scan(made.media))
    rankings = []
    for query in made.queries:
        right = item_id(str(made.media / query.answer))
        order = sorted(items, key=lambda item: derive_seed(0, query.id, item.id))
        chosen = [item for item in order if item.id != right][: CANDIDATES - 1]
        chosen.insert(40, next(item for item in items if item.id == right))
        hits = [Hit(item=item, score=-float(place), stage="first") for place, item in enumerate(chosen)]
        rankings.append(Ranking(query=Query(text=query.text, id=query.id), hits=hits))
    return Reader(read_knowledge(folder)), rankings


class Restarting:
    """The truth with faults on one port, gone for a moment after some answers."""

    def __init__(self, reader: Reader) -> None:
        self.reader, self.port, self.restarts = reader, _free_port(), 0
        self._stack = ExitStack()
        self._server = self._stack.enter_context(serve_truth(reader, noise=FAULTS, port=self.port))
        self._stop = threading.Event()
        self._watch = threading.Thread(target=self._restart_once, daemon=True)
        self._watch.start()

    def _restart_once(self) -> None:
        while not self._stop.wait(0.02):
            if self._server.service.counts["answered"] >= RESTART_AFTER:
                self._stack.close()
                self._stop.wait(0.3)
                self._server = self._stack.enter_context(serve_truth(self.reader, noise=FAULTS, port=self.port))
                self.restarts += 1
                return

    def close(self) -> None:
        self._stop.set()
        self._watch.join()
        self._stack.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def restarting(collection: tuple[Reader, list[Ranking]]) -> Iterator[Restarting]:
    server = Restarting(collection[0])
    yield server
    server.close()


def _judged(
    url: str, rankings: list[Ranking], transcript: Path | None = None, *, patience: float = 0.4
) -> list[Ranking]:
    model = mm.load_mllm(f"openai:{url}#toybox-truth", read_timeout=patience, retries=6)
    judge = mm.load_reranker(
        "grouprank", model=model, depth=CANDIDATES, size=34, epochs=1, blend=None, n_retries=0, transcript=transcript
    )
    return judge.process(rankings)


@pytest.mark.slow
def test_a_run_of_200_queries_by_100_candidates_loses_nothing_under_faults(
    collection: tuple[Reader, list[Ranking]], restarting: Restarting
) -> None:
    reader, rankings = collection
    with serve_truth(reader) as server:
        clean = _judged(str(server), rankings, patience=120)  # however busy the machine is
    assert {ranking.outcome for ranking in clean} == {"ok"}
    faulty = _judged(f"http://127.0.0.1:{restarting.port}/v1", rankings)
    assert restarting.restarts == 1

    assert [ranking.query.id for ranking in faulty] == [ranking.query.id for ranking in rankings]
    touched = 0
    for before, after, wanted in zip(rankings, faulty, clean, strict=True):
        record = after.records[-1]
        assert sorted(after.ids) == sorted(before.ids)
        assert record.calls >= 3  # every group was asked
        if record.status == "ok":
            assert after.ids == wanted.ids
        else:
            touched += 1
            assert record.status in ("repaired", "fell_back")
            assert record.error
    outcomes = Counter(ranking.outcome for ranking in faulty)
    assert sum(outcomes.values()) == QUERIES
    assert touched < QUERIES / 2  # timeouts, errors and the restart were waited out; malformed answers are left
    assert touched > 0
    assert sum(ranking.records[-1].retries for ranking in faulty) > QUERIES * 3 * 0.05
