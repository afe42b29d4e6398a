"""The judge that knows the truth, served over loopback, and rankings whose right answer is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

import mmrank as mm
from mmrank.media.scan import scan
from mmrank.media.uri import item_id
from mmrank.mllm.base import MLLM
from mmrank.toybox.assets import sample_media_folder, sample_queries_file
from mmrank.toybox.judge import Noise, Reader, serve_truth
from mmrank.toybox.judge.known import read_knowledge
from mmrank.toybox.manifest import Task, ToyQuery, read_queries
from mmrank.types import Hit, Item, Query, Ranking

TASKS: dict[str, tuple[Task, ...]] = {
    "text to image": ("text_to_image",),
    "composed": ("composed",),
    "video": ("text_to_video",),
    "page": ("text_to_page", "page_question"),
    "text": ("text_to_note",),
    "dialogue": ("text_to_image",),
}
"""What recipes call a task, and the toybox's queries for it."""


@dataclass(frozen=True)
class Known:
    """A ranking and the id of its right answer."""

    ranking: Ranking
    right: str


@pytest.fixture(scope="session")
def reader() -> Reader:
    return Reader(read_knowledge(None))


@pytest.fixture(scope="session")
def truth(reader: Reader) -> Iterator[MLLM]:
    with serve_truth(reader) as server:
        yield mm.load_mllm(f"openai:{server}#toybox-truth")


@pytest.fixture
def noisy(reader: Reader) -> Iterator[Callable[..., str]]:
    """Serves the truth with faults: gives the spec of the server."""
    from contextlib import ExitStack

    with ExitStack() as stack:
        yield lambda **noise: f"openai:{stack.enter_context(serve_truth(reader, noise=Noise(**noise)))}#toybox-truth"


@pytest.fixture(scope="session")
def sample() -> tuple[tuple[Item, ...], tuple[ToyQuery, ...]]:
    return tuple(scan(sample_media_folder())), read_queries(sample_queries_file())


@pytest.fixture(scope="session")
def known(sample: tuple[tuple[Item, ...], tuple[ToyQuery, ...]]) -> Callable[..., list[Known]]:
    """Rankings of a task: the right answer at a random place among random others of its kind, near ones included."""
    items, queries = sample
    media = sample_media_folder()

    def make(task: str, *, count: int, size: int, seed: int = 0) -> list[Known]:
        rng = Random(f"{task}/{seed}")
        asked = [query for query in queries if query.task in TASKS[task]]
        return [_known(query, items, media, rng, size, task) for query in rng.sample(asked, min(count, len(asked)))]

    return make


def _known(asked: ToyQuery, items: tuple[Item, ...], media: Path, rng: Random, size: int, task: str) -> Known:
    right = item_id(str(media / asked.answer))
    reference = None if asked.reference is None else media / asked.reference
    excluded = {right, *([item_id(str(reference))] if reference else [])}
    kind = next(item.kind for item in items if item.id == right)
    others = [item for item in items if item.kind == kind and item.id not in excluded]
    chosen = rng.sample(others, min(size - 1, len(others)))
    chosen.insert(rng.randrange(len(chosen) + 1), next(item for item in items if item.id == right))
    query = (
        Query(turns=(asked.text,), id=asked.id)
        if task == "dialogue"
        else Query(text=asked.text, image=str(reference) if reference else None, id=asked.id)
    )
    hits = [Hit(item=item, score=1 - place / 100, stage="clip") for place, item in enumerate(chosen)]
    return Known(Ranking(query=query, hits=hits), right)
