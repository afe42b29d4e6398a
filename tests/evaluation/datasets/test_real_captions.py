"""The real annotation files, where they are: counts as published. They are not part of this project.

Give the folder that holds ``msrvtt/``, ``msvd/``, ``didemo/`` ... as MMRANK_DATA, or lay it beside the project as
``shared/data``; what is not there is skipped.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mmrank.evaluation.dataset import Dataset
from mmrank.evaluation.datasets.registry import load_dataset

pytestmark = pytest.mark.compare


def lying(root: Path, file: str) -> Path:
    """The folder of real files, which must hold that one somewhere."""
    if not any(root.rglob(file)):
        pytest.skip(f"no {file} in {root}")
    return root


def sizes(dataset: Dataset) -> list[tuple[int, int]]:
    return [(len(task.queries), len(task.gallery)) for task in dataset.tasks]


def test_msrvtt_1k_a(real: Callable[[str], Path]) -> None:
    dataset = load_dataset("msrvtt", lying(real("msrvtt"), "MSRVTT_JSFUSION_test.csv"), media="none")
    assert sizes(dataset) == [(1000, 1000), (1000, 1000)]
    forward, back = dataset.tasks
    assert (forward.queries[0].id, forward.queries[0].text) == ("ret0", "a person is connecting something to system")
    assert forward.relevant["ret0"] == {"video9770": 1.0}
    assert back.relevant["video9770"] == {"ret0": 1.0}
    assert len({query.text for query in forward.queries}) == 995
    assert dataset.notes[0].startswith("5 captions have exactly the text of an earlier one")
    assert min(int(item.id.removeprefix("video")) for item in forward.gallery) >= 7010
    assert dataset.protocol == "MSR-VTT 1k-A, 1 caption a video, 1,000 gallery"


@pytest.mark.parametrize(
    ("split", "captions", "videos"), [("test", 27763, 670), ("val", 4290, 100), ("train", 48774, 1200)]
)
def test_msvd(real: Callable[[str], Path], split: str, captions: int, videos: int) -> None:
    dataset = load_dataset("msvd", lying(real("msvd"), f"{split}_list.txt"), split, media="none")
    assert sizes(dataset) == [(captions, videos), (videos, captions)]
    owned = [len(gains) for gains in dataset.task("v2t").relevant.values()]
    if split == "test":
        assert (min(owned), max(owned)) == (21, 81)


@pytest.mark.parametrize(("split", "videos"), [("test", 1004), ("val", 1065)])
def test_didemo(real: Callable[[str], Path], split: str, videos: int) -> None:
    dataset = load_dataset("didemo", lying(real("didemo"), f"{split}_data.json"), split, media="none")
    assert sizes(dataset) == [(videos, videos)] * 2
    assert dataset.variant == "paragraphs"
