"""The files in indexes/: all fit their schemas, say what they are, and run on the toybox with models it can have."""

from __future__ import annotations

import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import mmrank as mm
from mmrank.cli.config import read_config
from mmrank.embed.registry import parse_spec
from mmrank.media.uri import item_id
from mmrank.mllm.registry import parse_mllm_spec
from mmrank.pipeline_file import read_pipeline
from mmrank.toybox.assets import sample_media_folder, sample_queries_file
from mmrank.toybox.judge import serve_truth
from mmrank.toybox.manifest import Task, ToyQuery, read_queries
from mmrank.types import Query
from tests.models import tiny_vl
from tests.models.tiny_late import write_colqwen2

FOLDER = Path(__file__).parents[2] / "indexes"
BUILDS = {"photos.toml", "whole_clips.toml"}
"""Settings of `mmrank index --config`; the other files are pipelines."""

PIPELINES = sorted(path.name for path in FOLDER.glob("*.toml") if path.name not in BUILDS)

RUNS: dict[str, Task] = {
    "cirr_first.toml": "composed",
    "cirr_fused.toml": "composed",
    "square.toml": "composed",
    "setr.toml": "composed",
    "cotrr.toml": "composed",
    "msrvtt_first.toml": "text_to_video",
    "msrvtt_kin.toml": "text_to_video",
    "vic_t2v.toml": "text_to_video",
    "cliprerank.toml": "text_to_video",
    "retro.toml": "text_to_image",
    "qwen3_vl.toml": "text_to_image",
    "rocchio.toml": "text_to_image",
    "superglobal.toml": "text_to_image",
    "two_ways.toml": "page_question",
    "retrieved.toml": "text_to_image",
    "judged.toml": "text_to_image",
    "late_pages.toml": "text_to_page",
    "mm_r5.toml": "text_to_page",
    "e2rank.toml": "text_to_note",
    "msrvtt_v2t.toml": "text_to_video",
    "vic_v2t.toml": "text_to_video",
    "tfr_cvr.toml": "text_to_video",
}
"""Each pipeline with the toybox's queries for it; of the last three the queries are clips."""

FEW = 12
"""The depth that tests go to."""

FOUND_BY_CLIP = ("msrvtt_v2t.toml", "vic_v2t.toml", "tfr_cvr.toml")


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of some of the bundled sample: photos, clips, pages and notes, and what the questions are after."""
    folder = tmp_path_factory.mktemp("indexes") / "toy"
    index = mm.Index.create(folder, mm.load_embedder("toybox", device="cpu", threads=1))
    media = sample_media_folder()
    wanted = {item_id(str(media / q.answer)) for task in set(RUNS.values()) for q in questions(task)}
    seen: Counter[str] = Counter()
    items = []
    for item in mm.scan(media):
        seen[item.kind] += 1
        if seen[item.kind] <= 2 * FEW or item.id in wanted:
            items.append(item)
    assert not index.add(items).failed
    return folder


def questions(task: Task) -> list[ToyQuery]:
    return [q for q in read_queries(sample_queries_file()) if q.task == task][:2]


@pytest.fixture(scope="module")
def truth() -> Iterator[str]:
    with serve_truth() as server:
        yield f"openai:{server}#toybox-truth"


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of some pages by a tiny ColQwen2 with random weights."""
    folder = tmp_path_factory.mktemp("late")
    write_colqwen2(tiny_vl, folder / "colqwen2")
    index = mm.Index.create(folder / "pages", mm.load_embedder(str(folder / "colqwen2"), device="cpu"))
    assert not index.add(item for item in mm.scan(sample_media_folder()) if item.kind == "page").failed
    return folder / "pages"


@pytest.fixture(scope="module")
def captions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The true captions of what each query is after."""
    read = (sample_queries_file().with_name("captions.jsonl")).read_text(encoding="utf-8").splitlines()
    told = {row["path"]: row["caption"] for row in map(json.loads, read)}
    path = tmp_path_factory.mktemp("captions") / "captions.jsonl"
    rows = ({"id": q.id, "caption": told[q.answer]} for q in read_queries(sample_queries_file()))
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def names_of(file: str) -> dict[str, object]:
    return tomllib.loads((FOLDER / file).read_text(encoding="utf-8")).get("names", {})


def test_every_pipeline_is_listed_and_run() -> None:
    assert set(RUNS) == set(PIPELINES)
    listed = set(re.findall(r"`(\w+\.toml)`", (FOLDER / "README.md").read_text(encoding="utf-8")))
    assert listed == set(PIPELINES) | BUILDS


@pytest.mark.parametrize("file", sorted(BUILDS))
def test_settings_of_a_build_are_read(file: str) -> None:
    assert read_config(FOLDER / file).kinds


@pytest.mark.parametrize("file", PIPELINES)
def test_a_pipeline_fits_its_schema_and_names_models_that_can_be_meant(file: str) -> None:
    assert read_pipeline(FOLDER / file).stage
    for name, value in names_of(file).items():
        if name in ("judge", "captions"):
            parse_mllm_spec(str(value))
        elif name == "embedder":
            parse_spec(str(value))


@pytest.mark.parametrize("file", [file for file in PIPELINES if file != "two_ways.toml"])
def test_the_head_says_what_a_user_must_know(file: str) -> None:
    text = (FOLDER / file).read_text(encoding="utf-8")
    head = text[: text.index("name = ")]
    assert all(f"\n# {said}: " in head for said in ("Paper", "Ours", "Checkpoints"))
    if "\n# Build: " not in head:  # a pipeline over anything: its command builds the index
        assert "\n# Run: mmrank eval " in head
        return
    built = re.findall(r"--to indexes/(\w+) --model (\S+)", head)
    places = {value for name, value in names_of(file).items() if f'index = "{{{name}}}"' in text}
    assert {place for place, _ in built} == places
    assert all(parse_spec(model) for _, model in built)
    assert {model for _, model in built} >= {names_of(file).get("embedder", built[0][1])}


def asked(question: ToyQuery, file: str) -> Query:
    media = sample_media_folder()
    if file in FOUND_BY_CLIP:
        text = "the same, on red ground" if file == "tfr_cvr.toml" else None
        return Query(video=str(media / question.answer), text=text, id=question.id)
    if question.reference is None:
        return Query(text=question.text, id=question.id)
    reference = media / question.reference
    return Query(text=question.text, image=str(reference), id=question.id, exclude=(item_id(reference),))


@pytest.mark.parametrize("file", PIPELINES)
def test_it_runs_on_the_toybox(file: str, toy: Path, late: Path, truth: str, captions: Path, tmp_path: Path) -> None:
    path = FOLDER / file
    if file == "two_ways.toml":  # has no names: another file beside an index of the name it uses
        path = tmp_path / file
        path.write_text((FOLDER / file).read_text(encoding="utf-8"), encoding="utf-8")
        (tmp_path / "photos").symlink_to(toy)
    place = late if file in ("late_pages.toml", "mm_r5.toml") else toy
    given = {name: given_name(name, value, place, truth, captions) for name, value in names_of(file).items()}
    pipeline = mm.load_pipeline(path, **given)
    rankings = pipeline.run([asked(question, file) for question in questions(RUNS[file])])
    judged = any(stage.type == "rerank" for stage in read_pipeline(path).stage)
    for question, ranking in zip(questions(RUNS[file]), rankings, strict=True):
        assert ranking.hits, ranking.records
        assert ranking.outcome in ("ok", "repaired"), ranking.records
        if judged and file not in FOUND_BY_CLIP:
            # the judge knows the truth: what is in its reach comes first
            right = item_id(str(sample_media_folder() / question.answer))
            assert ranking.ids[0] == right or right not in ranking.ids[: given.get("depth", FEW)]


def given_name(name: str, value: object, toy: Path, truth: str, captions: Path) -> object:
    """Models and indexes that are here in place of those the file names, and less work."""
    if name == "judge":
        return truth
    if name == "captions":
        return captions
    if name == "form":
        return f"caption@{captions}" if str(value).startswith("caption@") else value
    if name == "embedder":
        return "toybox"
    if name == "recipe":
        return value
    if isinstance(value, int):
        return min(value, 2 if name == "samples" else FEW)
    return value if isinstance(value, list) else toy
