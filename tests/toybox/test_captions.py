from random import Random

import pytest

from mmrank.toybox.captions import ARRANGEMENTS, SETTINGS, caption, captions, listed, with_article
from mmrank.toybox.grammar import place, sample_scenes


@pytest.fixture
def scene():
    return place("blue", ("owl", "pizza"), "left of", Random(0))


def test_captions_say_everything_that_matters(scene) -> None:
    for text in captions(scene) + captions(scene, "unseen"):
        assert "owl" in text
        assert "pizza" in text
        assert "blue" in text


def test_seen_and_unseen_wordings_are_disjoint(scene) -> None:
    seen, unseen = captions(scene), captions(scene, "unseen")
    assert len(set(seen)) == len(seen)
    assert len(set(unseen)) == len(unseen)
    assert not set(seen) & set(unseen)


def test_about_a_tenth_of_each_table_is_unseen() -> None:
    for forms in (SETTINGS, *ARRANGEMENTS.values()):
        assert len(forms.seen) >= 6
        assert len(forms.unseen) >= 1
        assert 0.08 <= len(forms.unseen) / len(forms.seen + forms.unseen) <= 0.15


def test_unseen_wordings_use_only_words_that_seen_ones_use() -> None:
    def words(templates) -> set[str]:
        return {word.strip(",") for template in templates for word in template.split()}

    seen = words(SETTINGS.seen).union(*(words(forms.seen) for forms in ARRANGEMENTS.values()))
    unseen = words(SETTINGS.unseen).union(*(words(forms.unseen) for forms in ARRANGEMENTS.values()))
    assert unseen - seen <= {"{B}"}


def test_scenes_of_different_meaning_have_different_captions() -> None:
    scenes = list(sample_scenes(300, 2, "heldout"))
    rng = Random(1)
    texts = [caption(scene, rng) for scene in scenes]
    assert len(set(texts)) == len(texts)


def test_order_turned_round_changes_every_caption() -> None:
    first = place("red", ("dog", "cat"), "above", Random(0))
    second = place("red", ("cat", "dog"), "above", Random(0))
    assert not set(captions(first)) & set(captions(second))


def test_articles_and_lists() -> None:
    assert with_article("umbrella") == "an umbrella"
    assert listed(("dog",)) == "a dog"
    assert listed(("dog", "owl", "ice cream")) == "a dog, an owl and an ice cream"
