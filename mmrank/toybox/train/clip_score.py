"""How well a toybox-clip finds held-out scenes, pages and clips by words, and how often it gets their order right."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from mmrank.toybox.captions import caption
from mmrank.toybox.clips import clip_captions, clip_frame, sample_clip
from mmrank.toybox.drawing import draw
from mmrank.toybox.edits import edit
from mmrank.toybox.grammar import sample_scene, sample_scenes
from mmrank.toybox.pages import page_about, page_captions
from mmrank.toybox.train.clip_batches import render_pages, shrink
from mmrank.toybox.train.clip_model import pixels, tokens

SCENES = 500
PAGES = 200
CLIPS = 200
TURNED_PAIRS = 300
FRAMES = 8
SEED = 2026
PICTURE_SIDE = 160
PAGES_AT_ONCE = 25

Preprocess = Callable[[Any], Tensor]


@dataclass(frozen=True, slots=True)
class Score:
    """Recall of one kind of search, as shares (0-1), among `gallery` items."""

    search: str
    gallery: int
    recall_1: float
    recall_5: float
    recall_10: float

    def __str__(self) -> str:
        return (
            f"{self.search} ({self.gallery}): R@1 {self.recall_1:.3f} R@5 {self.recall_5:.3f} R@10 {self.recall_10:.3f}"
        )


@dataclass(frozen=True, slots=True)
class Encoder:
    """A CLIP with its preprocessing: pictures and texts to unit vectors (n, dimension).

    `preprocess` is open_clip's transform of one PIL picture; without it the training's own, equal one is used.
    """

    model: nn.Module
    preprocess: Preprocess | None = None

    def pictures(self, drawn: Sequence[Image.Image]) -> Tensor:
        """Vectors of pictures."""
        if self.preprocess is None:
            inputs = pixels(np.stack([np.asarray(shrink(picture)) for picture in drawn]))
        else:
            inputs = torch.stack([self.preprocess(picture) for picture in drawn])
        model: Any = self.model
        return functional.normalize(model.encode_image(inputs.to(model.logit_scale.device)), dim=-1)

    def texts(self, texts: Sequence[str]) -> Tensor:
        """Vectors of texts."""
        model: Any = self.model
        return functional.normalize(model.encode_text(tokens(list(texts)).to(model.logit_scale.device)), dim=-1)


@torch.inference_mode()
def scene_scores(model: nn.Module, preprocess: Preprocess | None = None) -> tuple[Score, Score]:
    """Held-out scenes, each of its own ground and objects, by captions in seen and in unseen wordings."""
    encoder = Encoder(model, preprocess)
    scenes = list(sample_scenes(SCENES, SEED, "heldout"))
    images = encoder.pictures([draw(scene, PICTURE_SIDE) for scene in scenes])
    rng = Random(f"queries/{SEED}")
    seen = encoder.texts([caption(scene, rng, "seen") for scene in scenes])
    unseen = encoder.texts([caption(scene, rng, "unseen") for scene in scenes])
    return _score("scenes, seen wordings", seen, images), _score("scenes, unseen wordings", unseen, images)


@torch.inference_mode()
def page_score(model: nn.Module, preprocess: Preprocess | None = None) -> Score:
    """Held-out pages, by their look alone: rendered from PDF, found by a sentence about figure or title."""
    encoder, rng = Encoder(model, preprocess), Random(f"pages/{SEED}")
    pages = [page_about(scene, rng) for scene in sample_scenes(PAGES, SEED + 1, "heldout")]
    rendered: list[Image.Image] = []
    for start in range(0, PAGES, PAGES_AT_ONCE):
        rendered += render_pages(pages[start : start + PAGES_AT_ONCE], rng)
    texts = encoder.texts([rng.choice(page_captions(page)[1:]) for page in pages])
    return _score("pages by look", texts, encoder.pictures(rendered))


@torch.inference_mode()
def clip_score(model: nn.Module, preprocess: Preprocess | None = None) -> Score:
    """Held-out clips, by the mean of the vectors of eight evenly spaced frames."""
    encoder, rng = Encoder(model, preprocess), Random(f"clips/{SEED}")
    clips = {clip.contents: clip for clip in (sample_clip(rng, "heldout") for _ in range(4 * CLIPS))}
    chosen = list(clips.values())[:CLIPS]
    videos = []
    for clip in chosen:
        shown = [clip_frame(clip, round((i + 0.5) * (clip.frames - 1) / FRAMES)) for i in range(FRAMES)]
        videos.append(encoder.pictures(shown).mean(0))
    texts = encoder.texts([rng.choice(clip_captions(clip)) for clip in chosen])
    return _score("clips by mean frame", texts, functional.normalize(torch.stack(videos), dim=-1))


@torch.inference_mode()
def order_share(model: nn.Module, preprocess: Preprocess | None = None) -> float:
    """How often (0-1) the caption of a pair is nearer to its picture than to the one with both objects changed round.

    Half is chance: the model was given no reason to learn order.
    """
    encoder, rng = Encoder(model, preprocess), Random(f"order/{SEED}")
    scenes = [sample_scene(rng, "heldout", 2) for _ in range(TURNED_PAIRS)]
    turned = [edit(scene, "move", rng).target for scene in scenes]
    texts = encoder.texts([caption(scene, rng) for scene in scenes])
    right = (texts * encoder.pictures([draw(scene, PICTURE_SIDE) for scene in scenes])).sum(1)
    wrong = (texts * encoder.pictures([draw(scene, PICTURE_SIDE) for scene in turned])).sum(1)
    return float((right > wrong).float().mean())


def _score(search: str, texts: Tensor, gallery: Tensor) -> Score:
    """Recall when text i asks for item i."""
    similarity = texts @ gallery.T
    better = (similarity > similarity.diagonal()[:, None]).sum(1)
    recall = [float((better < k).float().mean()) for k in (1, 5, 10)]
    return Score(search, len(gallery), *recall)
