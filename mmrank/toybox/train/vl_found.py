"""toybox-vl at its work: the first of what toybox-clip finds in a gallery full of near-duplicates.

Everything here goes the ordinary way: chat template, processor, exported model.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from transformers import Qwen3VLForConditionalGeneration, Qwen3VLProcessor

from mmrank.toybox.assets import toybox_clip_folder
from mmrank.toybox.captions import caption
from mmrank.toybox.drawing import draw
from mmrank.toybox.edits import sample_subset
from mmrank.toybox.grammar import Scene, place, sample_scene, sample_scenes
from mmrank.toybox.train.clip_model import load as load_clip
from mmrank.toybox.train.clip_score import Encoder
from mmrank.toybox.train.vl_pictures import DRAWN_SIDES, IMAGE_SIDE
from mmrank.toybox.train.vl_words import LETTERS

SEED = 977
DEPTH = 20
WINDOW = 10
STEP = 5
GALLERY_OTHERS = 200
"""Scenes of the gallery that are nobody's near-duplicates."""

ORDERED = (2, 10)
"""Fewest and most candidates of an order that is scored."""

Parts = list[str | Image.Image]


@dataclass(frozen=True, slots=True)
class FoundScore:
    """R@1 (0-1) over queries whose answer is among the first `DEPTH`: as found, by pairs, by sliding windows."""

    sort: str
    queries: int
    before: float
    pair: float
    list: float

    def __str__(self) -> str:
        return f"{self.sort} ({self.queries}): as found {self.before:.3f} pair {self.pair:.3f} list {self.list:.3f}"


class Judge:
    """The exported model behind its prompt forms."""

    def __init__(self, model: Qwen3VLForConditionalGeneration, processor: Qwen3VLProcessor) -> None:
        self.model = model
        self.processor = processor

    @torch.inference_mode()
    def logits(self, prompts: Sequence[Parts]) -> Tensor:
        """Log-probabilities (prompts, vocabulary) of the first token of each answer."""
        inputs = self._inputs(prompts)
        model: Any = self.model
        last: Tensor = model(**inputs, logits_to_keep=1).logits[:, -1]
        return last.float().log_softmax(-1)

    def _inputs(self, prompts: Sequence[Parts]) -> Any:
        turns = [[{"role": "user", "content": [_content(part) for part in parts]}] for parts in prompts]
        processor: Any = self.processor
        return processor.apply_chat_template(
            turns,
            tokenize=True,
            add_generation_prompt=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"padding": True},
        )

    def _id(self, token: str) -> int:
        (only,) = self.processor.tokenizer.encode(token, add_special_tokens=False)
        return int(only)

    def yes(self, query: Parts, candidates: Sequence[Parts]) -> list[float]:
        """Log-odds of yes for each candidate."""
        asked: Parts = ["Query: ", *query, "\n"]
        told = self.logits([[*asked, *candidate, "\n", *asked, "Match?"] for candidate in candidates])
        odds: list[float] = (told[:, self._id("yes")] - told[:, self._id("no")]).tolist()
        return odds

    def best(self, query: Parts, candidates: Sequence[Parts]) -> list[float]:
        """Log-probability of each candidate's letter."""
        asked: Parts = ["Query: ", *query, "\n"]
        listed: Parts = [*asked]
        for letter, candidate in zip(LETTERS, candidates, strict=False):
            listed += [f"{letter}:\n", *candidate, "\n", *asked, f"Match {letter}?\n"]
        told = self.logits([[*listed, "Best:"]])[0]
        letters: list[float] = told[[self._id(letter) for letter in LETTERS[: len(candidates)]]].tolist()
        return letters

    @torch.inference_mode()
    def order(self, query: Parts, candidates: Sequence[Parts]) -> str:
        """What is written after `Order:`."""
        asked: Parts = ["Query: ", *query, "\n"]
        listed: Parts = [*asked]
        for number, candidate in enumerate(candidates, start=1):
            listed += [f"{number}:\n", *candidate, "\n", *asked, f"Match {number}?\n"]
        model: Any = self.model
        inputs = self._inputs([[*listed, "Order:"]])
        written = model.generate(**inputs, max_new_tokens=6 * len(candidates), do_sample=False)
        answer: str = self.processor.tokenizer.decode(written[0, inputs["input_ids"].shape[1] :], True)
        return answer

    def windows(self, query: Parts, candidates: Sequence[Parts]) -> list[int]:
        """The order of the candidates after windows of ten from the end to the beginning, five further each time."""
        order = list(range(len(candidates)))
        start = max(0, len(order) - WINDOW)
        while True:
            window = order[start : start + WINDOW]
            told = self.best(query, [candidates[index] for index in window])
            order[start : start + WINDOW] = [window[at] for at in sorted(range(len(window)), key=lambda at: -told[at])]
            if start == 0:
                return order
            start = max(0, start - STEP)


@dataclass(frozen=True, slots=True)
class OrderScore:
    """How many answers after `Order:` (0-1) name every candidate once, and how many begin with the right one."""

    queries: int
    whole: float
    first: float

    def __str__(self) -> str:
        return f"orders ({self.queries}): every candidate once {self.whole:.3f}, the right one first {self.first:.3f}"


@dataclass(frozen=True, slots=True)
class Asked:
    """A query, its words for toybox-clip, and the number of its answer in the gallery."""

    query: Parts
    words: str
    answer: int


@dataclass(frozen=True, slots=True)
class Gallery:
    """Scenes, their pictures, and queries of two sorts about them."""

    scenes: tuple[Scene, ...]
    pictures: tuple[Image.Image, ...]
    texts: tuple[Asked, ...]
    edits: tuple[Asked, ...]


def picture(scene: Scene, rng: Random) -> Image.Image:
    """A scene drawn at some side and brought to the model's."""
    return draw(scene, rng.choice(DRAWN_SIDES)).resize((IMAGE_SIDE, IMAGE_SIDE), Image.Resampling.BICUBIC)


def new_gallery(count: int, rng: Random) -> Gallery:
    """Held-out scenes of their own and `count` held-out sets of near-duplicates, each asked for by text and by edit.

    Where a set's target has two objects, the gallery also has them changed round.
    """
    scenes: list[Scene] = list(sample_scenes(GALLERY_OTHERS, SEED, "heldout"))
    known = {scene.meaning for scene in scenes}
    texts: list[Asked] = []
    edits: list[Asked] = []
    while len(texts) < count:
        subset = sample_subset(rng, "heldout")
        target = subset.target
        members = {scene.meaning: scene for scene in subset.members}
        if len(target.names) == 2:
            turned = place(target.ground, target.names[::-1], target.relation, rng)
            members.setdefault(turned.meaning, turned)
        if known & set(members):
            continue
        known |= set(members)
        answer = len(scenes) + list(members).index(target.meaning)
        scenes += members.values()
        words, made = caption(target, rng), subset.edits[0]
        texts.append(Asked([words], words, answer))
        # What toybox-clip is asked is the target in words: whether it is found is not what is measured here.
        edits.append(Asked([picture(made.reference, rng), f" {made.text}"], caption(target, rng), answer))
    return Gallery(tuple(scenes), tuple(picture(scene, rng) for scene in scenes), tuple(texts), tuple(edits))


def found_scores(judge: Judge, count: int) -> list[FoundScore]:
    """Scores over `count` held-out queries of each sort.

    "text, contents" asks for the right objects and ground, "text, exact" for the right arrangement as well.
    """
    gallery = new_gallery(count, Random(f"toybox-vl/found/{SEED}"))
    clip, preprocess = load_clip(toybox_clip_folder())
    encoder = Encoder(clip, preprocess)
    with torch.inference_mode():
        vectors = encoder.pictures(gallery.pictures)
    scores = []
    for sort, asked in (("text", gallery.texts), ("composed", gallery.edits)):
        with torch.inference_mode():
            likeness = encoder.texts([one.words for one in asked]) @ vectors.T
        firsts: list[tuple[int, int, int, int]] = []
        for one, row in zip(asked, likeness, strict=True):
            found = row.topk(DEPTH).indices.tolist()
            if one.answer in found:
                firsts.append((one.answer, *_firsts(judge, one.query, found, gallery)))
        scores += _counted(sort, firsts, gallery)
    return scores


def order_score(judge: Judge, count: int) -> OrderScore:
    """Captions of held-out scenes over `ORDERED` candidates: near-duplicates, and then others."""
    rng = Random(f"toybox-vl/orders/{SEED}")
    whole = first = 0
    for _ in range(count):
        subset = sample_subset(rng, "heldout")
        others = [scene for scene in subset.members if scene.meaning != subset.target.meaning]
        others += [sample_scene(rng, "heldout") for _ in range(4)]
        scenes = [subset.target, *others[: rng.randint(ORDERED[0], ORDERED[1]) - 1]]
        rng.shuffle(scenes)
        written = judge.order([caption(subset.target, rng)], [[picture(scene, rng)] for scene in scenes])
        named = [int(number) for number in re.findall(r"\[(\d+)\]", written)]
        whole += sorted(named) == list(range(1, len(scenes) + 1))
        first += named[:1] == [1 + scenes.index(subset.target)]
    return OrderScore(count, whole / count, first / count)


def _firsts(judge: Judge, query: Parts, found: list[int], gallery: Gallery) -> tuple[int, int, int]:
    """Who comes first as found, by pairs and by windows."""
    shown: list[Parts] = [[gallery.pictures[number]] for number in found]
    odds = judge.yes(query, shown)
    return found[0], found[odds.index(max(odds))], found[judge.windows(query, shown)[0]]


def _counted(sort: str, firsts: list[tuple[int, int, int, int]], gallery: Gallery) -> list[FoundScore]:
    contents = [[gallery.scenes[number].contents for number in row] for row in firsts]
    meanings = [[gallery.scenes[number].meaning for number in row] for row in firsts]
    return [
        FoundScore(
            f"{sort}, {name}", len(firsts), *(sum(row[0] == row[way] for row in rows) / len(rows) for way in (1, 2, 3))
        )
        for name, rows in (("contents", contents), ("exact", meanings))
    ]


def _content(part: str | Image.Image) -> dict[str, Any]:
    return {"type": "text", "text": part} if isinstance(part, str) else {"type": "image", "image": part}
