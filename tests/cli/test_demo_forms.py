"""The demo's composed query in several forms, and its fused lists."""

from __future__ import annotations

from pathlib import Path

import pytest

import mmrank as mm
from mmrank.cli.demo_forms import EXAMPLE, FORMS, FUSED, METHOD, SHOWN, FormsShown, forms_on_page, in_forms, print_forms
from mmrank.cli.demo_searches import answer_id, truth_query
from mmrank.cli.html import results_page
from mmrank.toybox.assets import sample_media_folder, sample_queries_file
from mmrank.toybox.manifest import read_queries


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> mm.Index:
    """The sample's photos, as the demo indexes them."""
    folder = tmp_path_factory.mktemp("photos") / "image"
    index = mm.Index.create(folder, mm.load_embedder("toybox", device="cpu", threads=1))
    assert not index.add(mm.scan(sample_media_folder(), kinds=["image"])).failed
    return index


@pytest.fixture(scope="module")
def shown(photos: mm.Index) -> FormsShown:
    return in_forms(photos, read_queries(sample_queries_file()), sample_media_folder())


def test_the_figures_are_those_of_the_searches(photos: mm.Index, shown: FormsShown) -> None:
    media = sample_media_folder()
    asked = [q for q in read_queries(sample_queries_file()) if q.task == "composed"]
    queries = [truth_query(question, media) for question in asked]
    lists = [photos.search_many(queries, k=len(photos), compose=form) for form in FUSED[0]]
    fused = [mm.fuse(both, method=METHOD).ids for both in zip(*lists, strict=True)]
    right = [answer_id(question, media) for question in asked]
    scores = {score.name: score for score in shown.scores}
    assert list(scores)[: len(FORMS)] == list(FORMS)
    together = scores[f"{' + '.join(FUSED[0])}, fused"]
    assert together.first == sum(a == ids[0] for a, ids in zip(right, fused, strict=True)) / len(right)
    assert together.in_ten == sum(a in ids[:10] for a, ids in zip(right, fused, strict=True)) / len(right)
    assert scores["sum"].first > max(scores["image"].first, scores["text"].first)


def test_the_example_is_one_that_neither_side_finds_alone(shown: FormsShown) -> None:
    firsts = {one.name: one.ranking.ids[0] for one in shown.example}
    assert [name for name, first in firsts.items() if first in shown.right] == ["sum"]


def test_it_is_printed_and_stands_on_the_page(
    photos: mm.Index, shown: FormsShown, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    print_forms(shown, 13)
    printed = capsys.readouterr().out
    assert "13. Image and a change" in printed
    assert all(f"{100 * score.first:.0f}" in printed for score in shown.scores)
    assert [line.split()[0] for line in printed.splitlines() if line.lstrip()[:1].isdigit()][1:] == [
        str(place + 1) for place in range(SHOWN)
    ]
    page = results_page([forms_on_page(photos, shown)], title="t")
    assert page.count("<h3>") == len(EXAMPLE)
    assert page.count("known to be right") >= 2
