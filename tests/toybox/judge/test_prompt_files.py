"""Every prompt file of mmrank, filled by its own layouts and renderings, is understood."""

from random import Random

import pytest

from mmrank.mllm.remote.wire import PictureStore, messages
from mmrank.prompts import load_prompt
from mmrank.rerank.layouts import ListLayout, PairLayout, SheetLayout, Slot, query_kind
from mmrank.rerank.render_settings import RenderSettings
from mmrank.rerank.renderings import Renderer
from mmrank.toybox.assets import sample_media_folder
from mmrank.toybox.judge.question import understood
from mmrank.types import Hit, Item, Query

LAYOUTS = {"pair": PairLayout, "list": ListLayout, "sheet": SheetLayout}

GENERATED = (
    *("cotrr_composed", "cotrr_dialogue", "cotrr_text", "duel", "first", "grouprank", "insertrank", "jointrank"),
    *("mm_r5", "monoqwen2_vl", "pair", "qwen3_vl_reranker", "rankgpt", "rubric", "setr_pair", "square"),
    *("toybox_list", "toybox_order", "toybox_pair", "toybox_sheet", "unime_list", "unime_pair", "vic_t2v"),
)
"""All but `icr` (no answer is written), `jina_m0` (for a server's own /score) and `vic_v2t` (tested apart)."""


@pytest.fixture(scope="module")
def renderers():
    small = RenderSettings(max_pixels=4096, s=2, sheet_size=128)
    return {"full": Renderer(RenderSettings()), "small": Renderer(small), "text": Renderer(_with_texts())}


def _with_texts():
    return RenderSettings(page_text=True, max_pixels=448 * 448)


def _ask(reader, renderer, prompt, query, items):
    """The Question that the judge understands from a prompt, and that prompt's labels."""
    slots = [Slot(hit, renderer.item(hit)) for hit in (Hit(item=item, score=0.5) for item in items)]
    shown = renderer.query(query) if query.images or query.video else ()
    made = LAYOUTS[prompt.layout](prompt)(query, shown, slots)
    sent = messages(made, PictureStore())
    return understood(reader, reader.flow(sent, goes_on=bool(made.answer_prefix))), made.labels


def _item(reader, key, text=None):
    return Item(id=key, kind=reader.known.items[key].kind, uri=str(sample_media_folder() / key), text=text)


@pytest.mark.parametrize("drawn", ["full", "small", "text"])
@pytest.mark.parametrize("name", GENERATED)
def test_the_answer_has_its_label(reader, asking, queries, renderers, name, drawn):
    prompt, rng = load_prompt(name), Random(f"{name}/{drawn}")
    count = {"duel": 2}.get(name, 1 if prompt.layout == "pair" else 6)
    tried = 0
    for task in ("text_to_image", "composed", "text_to_page", "page_question", "text_to_video", "text_to_note"):
        asked = rng.choice([query for query in queries if query.task == task])
        reference = str(sample_media_folder() / asked.reference) if asked.reference else None
        query = Query(text=asked.text, image=reference)
        one_picture = asked.kind != "text" and drawn != "text"
        if query_kind(query) not in prompt.kinds or (prompt.layout == "sheet" and not one_picture):
            continue
        tried += 1
        keys = asking.rivals(asked, count, rng) if count > 1 else [asked.answer]
        found, labels = _ask(reader, renderers[drawn], prompt, query, [_item(reader, key) for key in keys])
        assert found is not None
        worth = dict(zip(found.labels, found.worth, strict=True))
        if count > 1:
            assert sorted(worth) == sorted(labels)
            assert max(worth, key=worth.get) == labels[keys.index(asked.answer)]
        assert max(worth.values()) == 1
    assert tried or drawn == "text" or name == "cotrr_dialogue"


def test_captions_for_a_clip(reader, queries, renderers):
    told = {query.answer: query.text for query in queries if query.task == "text_to_video"}
    keys = Random(2).sample(sorted(told), 5)
    query = Query(video=str(sample_media_folder() / keys[3]))
    items = [Item(id=key, kind="text", text=told[key]) for key in keys]
    found, _ = _ask(reader, renderers["full"], load_prompt("vic_v2t"), query, items)
    assert found.worth.index(1) == 3


def test_clips_as_frames_and_a_clip_shown_twice(reader, queries):
    asked = [query for query in queries if query.task == "text_to_video"][:4]
    renderer = Renderer(RenderSettings(video="frames", frames=4))
    items = [_item(reader, query.answer) for query in (*asked, asked[2])]
    found, labels = _ask(reader, renderer, load_prompt("vic_t2v"), Query(text=asked[2].text), items)
    assert found.labels == labels
    assert [place for place, worth in enumerate(found.worth) if worth == 1] == [2, 4]


def test_a_dialogue_whose_turns_hold_the_description(reader, asking, asked, renderers):
    query = asked["text_to_image"]
    keys = asking.rivals(query, 4, Random(6))
    turns = ("is it a photo? no, a drawing", f"what is on it? {query.text}")
    found, labels = _ask(
        reader, renderers["full"], load_prompt("cotrr_dialogue"), Query(turns=turns), [_item(reader, k) for k in keys]
    )
    assert labels[found.worth.index(1)] == str(keys.index(query.answer) + 1)
