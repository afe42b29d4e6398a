"""The words of toybox-vl: a vocabulary learned from the toybox's own texts. Needs no torch, as drawing batches does."""

from random import Random

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from mmrank.toybox.captions import captions
from mmrank.toybox.clips import clip_captions, sample_clip
from mmrank.toybox.edits import sample_edit
from mmrank.toybox.grammar import GROUNDS, sample_scene
from mmrank.toybox.notes import DAYS, MOODS, WRITERS, note_about, note_captions
from mmrank.toybox.pages import MONTHS, PLACES, page_about, page_captions, page_question
from mmrank.toybox.sprites import object_names

LETTERS = "ABCDEFGHIJKLMNOPQRST"
"""Labels of a list whose answer is one letter."""

MOST_NUMBERS = 20
"""Labels of a list whose answer is an order are the numbers up to this one."""

SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
"""Qwen's special tokens, at the beginning of the vocabulary."""

WORDS = Regex(r" ?\p{L}+| ?\p{N}{1,2}|[\r\n]+| ?[^\s\p{L}\p{N}]+|\s")
"""What the vocabulary is made of: words and numbers below 100, with the space before them, and marks."""


def corpus() -> list[str]:
    """Texts in which every word of the toybox occurs often enough to become one token, with and without a space."""
    rng = Random("toybox-vl/corpus")
    words = [*object_names(), *GROUNDS, *PLACES, *MONTHS, *WRITERS, *DAYS, *MOODS, *LETTERS]
    words += ["yes", "no", "Query", "match", "Best", "Order", "Caption", "Objects", "user", "assistant", "system"]
    words += [str(number) for number in range(1, 100)]
    words += ["left", "right", "top", "bottom", "middle", "alone"]
    texts = [f"{word} {word}\n{word[0].upper()}{word[1:]} {word}" for word in words] * 20
    texts += [" > ".join(f"[{number}]" for number in range(1, MOST_NUMBERS + 1))] * 20
    for _ in range(1500):
        texts += rng.sample(captions(scene := sample_scene(rng)), 3)
        page, note = page_about(scene, rng), note_about(scene, rng)
        texts += [*page.sentences, page.title, page_question(page), *page_captions(page)]
        texts += [note.markdown, *note_captions(note), sample_edit(rng).text, *clip_captions(sample_clip(rng))]
    return texts


def new_vocabulary() -> Tokenizer:
    """A byte-level BPE over the toybox's words: any text can be written, its own words are one token each."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(WORDS, behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=3000,
        min_frequency=8,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in SPECIAL],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    return tokenizer
