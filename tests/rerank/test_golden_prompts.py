"""Every prompt as it is sent: our own words against files that are reviewed when they change, checkpoints' own forms
against the literal strings of their authors' code.

After a change that is meant: ``MMRANK_WRITE_GOLDEN=1 pytest tests/rerank/test_golden_prompts.py``, and read the diff.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from mmrank.mllm.prompt import ImagePart, Picture, Prompt, TextPart
from mmrank.prompts import load_prompt, prompt_names
from mmrank.rerank.layouts import ListLayout, PairLayout, SheetLayout, Slot
from mmrank.types import Hit, Item, Query

GOLDEN = Path(__file__).parent / "golden"

JUDGING = [name for name in prompt_names() if load_prompt(name).layout != "query"]
"""Prompts that show candidates."""
VISION = "<|vision_start|><|image_pad|><|vision_end|>"


def picture(name: str) -> ImagePart:
    return ImagePart(picture=Picture(key=name, width=8, height=8, open=lambda: Image.new("RGB", (8, 8))))


def words(text: str) -> TextPart:
    return TextPart(text=text, data=True)


def slot(*parts: TextPart | ImagePart, score: float = 0.25) -> Slot:
    return Slot(Hit(item=Item(id="x", kind="image"), score=score), parts)


TEXT = Query(text="a dog to the left of a pizza")
COMPOSED = Query(image="reference.jpg", text="swap the dog for a cat")
REFERENCE = (picture("reference"),)
PHOTO, NOTE = slot(picture("a")), slot(words("a note about dogs"), score=0.125)
CAPTIONED = slot(picture("b"), TextPart(text="\nCaption: "), words("two dogs"), score=1 / 3)


def made(name: str, query: Query = TEXT, slots: tuple[Slot, ...] = (PHOTO, CAPTIONED, NOTE)) -> Prompt:
    prompt = load_prompt(name)
    reference = REFERENCE if query.images or query.video else ()
    if prompt.layout == "pair":
        return PairLayout(prompt)(query, reference, slots[:1])
    if prompt.layout == "sheet":
        return SheetLayout(prompt)(query, reference, slots)
    return ListLayout(prompt)(query, reference, slots)


def sample(name: str) -> str:
    """One prompt of each kind of query the file is made for, with all that is sent beside the words."""
    prompt = load_prompt(name)
    slots = (PHOTO, PHOTO, PHOTO) if prompt.layout == "sheet" else (PHOTO, CAPTIONED, NOTE)
    queries = {
        "text": TEXT,
        "composed": COMPOSED,
        "image": Query(image="reference.jpg"),
        "video": Query(video="reference.mp4"),
        "dialogue": Query(text="a dog", turns=("is there food? yes, a pizza", "which side? the right")),
    }
    blocks = []
    for kind in prompt.kinds:
        one = made(name, queries[kind], slots)
        facts = f"labels {' '.join(one.labels)} | answer prefix {one.answer_prefix!r} | shared {one.shared}"
        blocks.append(f"=== {kind} | {facts}\n{one.text}\n")
    return "\n".join(blocks)


@pytest.mark.parametrize("name", JUDGING)
def test_prompts_are_as_they_were_reviewed(name: str) -> None:
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("MMRANK_WRITE_GOLDEN"):
        path.write_text(sample(name), encoding="utf-8")
    assert sample(name) == path.read_text(encoding="utf-8")


def test_there_is_no_golden_file_of_a_prompt_that_has_gone() -> None:
    assert sorted(path.stem for path in GOLDEN.glob("*.txt")) == JUDGING


def qwen_chat(prompt: Prompt, *, default_system: str = "") -> str:
    """What the Qwen-VL chat templates make of a prompt: parts run together, turns in ChatML, the assistant's header.

    `default_system`: the system message that Qwen2-VL and Qwen2.5-VL write when a chat has none; Qwen3-VL has none.
    """
    turns = []
    if default_system and prompt.messages[0].role != "system":
        turns.append(f"<|im_start|>system\n{default_system}<|im_end|>\n")
    for message in prompt.messages:
        content = "".join(part.text if isinstance(part, TextPart) else VISION for part in message.parts)
        turns.append(f"<|im_start|>{message.role}\n{content}<|im_end|>\n")
    return "".join(turns) + "<|im_start|>assistant\n" + prompt.answer_prefix


QWEN_HEAD = (
    "<|im_start|>system\n"
    "Judge whether the Document meets the requirements based on the Query and the Instruct provided. "
    'Note that the answer can only be "yes" or "no".<|im_end|>\n'
    "<|im_start|>user\n"
    "<Instruct>: Given a search query, retrieve relevant candidates that answer the query."
)
QWEN_TAIL = "<|im_end|>\n<|im_start|>assistant\n"


@pytest.mark.parametrize(
    ("query", "candidate", "body"),
    [
        (TEXT, PHOTO, f"<Query>:a dog to the left of a pizza\n<Document>:{VISION}"),
        (TEXT, NOTE, "<Query>:a dog to the left of a pizza\n<Document>:a note about dogs"),
        (COMPOSED, PHOTO, f"<Query>:{VISION}swap the dog for a cat\n<Document>:{VISION}"),
        (Query(image="r.jpg"), slot(picture("b"), words("two dogs")), f"<Query>:{VISION}\n<Document>:{VISION}two dogs"),
    ],
)
def test_qwen3_vl_reranker(query: Query, candidate: Slot, body: str) -> None:
    """QwenLM/Qwen3-VL-Embedding at 8ce3aab: format_mm_instruction, and examples/reranker_template.jinja."""
    assert qwen_chat(made("qwen3_vl_reranker", query, (candidate,))) == QWEN_HEAD + body + QWEN_TAIL


def test_qwen3_vl_reranker_takes_the_querys_instruction() -> None:
    query = Query(text="q", instruction="Find the page that answers this.")
    chat = qwen_chat(made("qwen3_vl_reranker", query, (NOTE,)))
    assert "<Instruct>: Find the page that answers this.<Query>:q\n<Document>:a note" in chat


ASSISTANT = "You are a helpful assistant."
QWEN2_HEAD = f"<|im_start|>system\n{ASSISTANT}<|im_end|>\n<|im_start|>user\n"


def test_monoqwen2_vl() -> None:
    """AnswerDotAI/rerankers, monovlm_ranker.py: the picture, then the text."""
    expected = (
        f"{QWEN2_HEAD}{VISION}Assert the relevance of the previous image document to the following query, "
        f"answer True or False. The query is: a dog to the left of a pizza{QWEN_TAIL}"
    )
    assert qwen_chat(made("monoqwen2_vl"), default_system=ASSISTANT) == expected


def test_unime_pair() -> None:
    """GaryGuTC/UniME-v2 at e3deb73, Rerank/dataset/datasets_MMEB_rerank.py, its misspelling included."""
    expected = (
        f"{QWEN2_HEAD}I will provide you with a query and a candidate. Please evaluate whether the candidate meets the "
        "requirements of the query. If it does, respond with 'Yes'; if it doesn't, responed with 'No'."
        f"Query:{VISION}swap the dog for a catCandidate:{VISION}{QWEN_TAIL}"
    )
    assert qwen_chat(made("unime_pair", COMPOSED), default_system=ASSISTANT) == expected


def test_unime_list() -> None:
    """GaryGuTC/UniME-v2 at e3deb73, Embedding/src/model_utils.py, and the beginning of its training answers."""
    expected = (
        f"{QWEN2_HEAD}I will provide you with a query followed by multiple candidates in the format: (1) cand1 (2) "
        "cand2, etc. Each candidate is independent of the others. Evaluate each candidate against the query, and "
        "respond with the number corresponding to the candidate that best meets the requirements of the query."
        f"Query:a dog to the left of a pizzaCandidates:(1) {VISION}(2) a note about dogs(3) {VISION}{QWEN_TAIL}Ans: ("
    )
    assert qwen_chat(made("unime_list", TEXT, (PHOTO, NOTE, PHOTO)), default_system=ASSISTANT) == expected


def test_mm_r5() -> None:
    """i2vec/MM-R5 at 0806019, examples/reranker.py."""
    expected = (
        "<|im_start|>system\n"
        "A conversation between User and Assistant. The user asks a question, and the Assistant solves it. The "
        "assistant first thinks about the reasoning process in the mind and then provides the user with the answer. "
        "The reasoning process and answer are enclosed within <think> </think> and <answer> </answer> tags, "
        "respectively, i.e., <think> reasoning process here </think><answer> answer here </answer><|im_end|>\n"
        "<|im_start|>user\n"
        "Please rank the following images according to their relevance to the question. Provide your response in the "
        "format: <think>your reasoning process here</think><answer>[image_id_1, image_id_2, ...]</answer> where the "
        "numbers in the list represent the ranking order of images'id from most to least relevant. Before outputting "
        "the answer, you need to analyze each image and provide your analysis process.For example: <think>Image 1 "
        "shows the most relevant content because...</think><answer>[id_most_relevant, id_second_relevant, ...]"
        "</answer>\nThe question is: a dog to the left of a pizza\n\nThere are 2 images, id from 1 to 2, Image ID to "
        f"image mapping:\n\nImage 1: {VISION}\nImage 2: {VISION}{QWEN_TAIL}"
    )
    assert qwen_chat(made("mm_r5", TEXT, (PHOTO, PHOTO)), default_system=ASSISTANT) == expected


def test_jina_m0() -> None:
    """formatting_prompts_func of the checkpoint's modeling.py; no chat template."""
    (message,) = made("jina_m0").messages
    content = "".join(part.text if isinstance(part, TextPart) else VISION for part in message.parts)
    assert content == f"**Document**:\n{VISION}\n**Query**:\na dog to the left of a pizza"


@pytest.mark.parametrize(
    ("name", "query", "slots", "content"),
    [
        (
            "toybox_pair",
            TEXT,
            (PHOTO,),
            "Query: a dog to the left of a pizza\n<image>\nQuery: a dog to the left of a pizza\nMatch?",
        ),
        (
            "toybox_pair",
            COMPOSED,
            (PHOTO,),
            "Query: <image> swap the dog for a cat\n<image>\nQuery: <image> swap the dog for a cat\nMatch?",
        ),
        (
            "toybox_pair",
            TEXT,
            (slot(picture("p"), TextPart(text=" "), words("The dog report\nThis page is about ...")),),
            "Query: a dog to the left of a pizza\n<image> The dog report\nThis page is about ...\n"
            "Query: a dog to the left of a pizza\nMatch?",
        ),
        (
            "toybox_list",
            TEXT,
            (NOTE, PHOTO),
            "Query: a dog to the left of a pizza\n"
            "A:\na note about dogs\nQuery: a dog to the left of a pizza\nMatch A?\n"
            "B:\n<image>\nQuery: a dog to the left of a pizza\nMatch B?\n"
            "Best:",
        ),
        (
            "toybox_order",
            COMPOSED,
            (PHOTO, PHOTO),
            "Query: <image> swap the dog for a cat\n"
            "1:\n<image>\nQuery: <image> swap the dog for a cat\nMatch 1?\n"
            "2:\n<image>\nQuery: <image> swap the dog for a cat\nMatch 2?\n"
            "Order:",
        ),
        (
            "toybox_sheet",
            TEXT,
            (PHOTO, PHOTO),
            "Query: a dog to the left of a pizza\n<image>\nQuery: a dog to the left of a pizza\nOrder:",
        ),
    ],
)
def test_toybox_forms(name: str, query: Query, slots: tuple[Slot, ...], content: str) -> None:
    """The forms toybox-vl is trained on."""
    expected = f"<|im_start|>user\n{content.replace('<image>', VISION)}{QWEN_TAIL}"
    assert qwen_chat(made(name, query, slots)) == expected
