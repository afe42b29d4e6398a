"""Knowledge, phrases, formats, labels and truth: the parts that read words."""

import pytest

from mmrank.toybox.errors import ToyboxError
from mmrank.toybox.judge.errors import RefusedError
from mmrank.toybox.judge.flow import PICTURE, Flow, Thing
from mmrank.toybox.judge.formats import format_asked
from mmrank.toybox.judge.known import Facts, facts_told, read_knowledge, words_of
from mmrank.toybox.judge.labels import candidates
from mmrank.toybox.judge.phrases import Phrases
from mmrank.toybox.judge.truth import NEAREST, likeness, relevance


def test_all_layouts_are_known(world_reader):
    known = world_reader.known
    kinds = [item.kind for item in known.items.values()]
    cirr = [item for key, item in known.items.items() if key.startswith("cirr/")]
    assert kinds.count("video") == 24
    assert len(cirr) == 300 + 150
    assert all(item.file.is_file() for item in known.items.values())
    references = [reference for asked in known.asks.values() for reference in asked if reference]
    assert sum(reference.startswith("cirr/") for reference in references) > 200
    assert all(answer in known.items for asked in known.asks.values() for found in asked.values() for answer in found)


def test_a_folder_without_a_collection_is_said(tmp_path):
    with pytest.raises(ToyboxError, match="holds no toy collection"):
        read_knowledge(tmp_path)


def test_facts_of_captions():
    assert facts_told("a fire truck comes in from the top to a soccer ball everything behind is green") == Facts(
        "green", ("fire truck", "soccer ball"), ""
    )
    assert facts_told("a photograph of nothing known") is None


def test_the_longer_of_two_texts_is_found():
    phrases = Phrases([words_of("a dog on red ground"), words_of("a cat left of a dog on red ground")])
    found = phrases.find('Query: "A cat left of a dog, on red ground"Candidate: a dog on red groundAnswer')
    assert [len(each.words) for each in found] == [9, 5]


def test_texts_cut_short_are_known_by_their_beginning(reader):
    note = next(item for item in reader.known.items.values() if item.kind == "text")
    words = note.file.read_text().split()
    things = reader.things(Flow(f"<text>{' '.join(words[:20])} ...</text>", ()))
    assert [thing.items for thing in things] == [{note.key}]
    assert not reader.things(Flow(" ".join(words[:5]), ()))


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("the form [2] > [1] > [3].", "arrows"),
        ("the list of all 5 numbers in square brackets, such as [2, 1, 3]", "list"),
        ('example {"top_3_indices": [1]} now answer {"top_10_indices": [...]}', "json"),
        ("<think>..</think><answer>[id_1, id_2]</answer>", "answer_list"),
        ("candidates: (1) cand1 (2) cand2, etc. respond with the number corresponding to the best", "choice"),
        ("numbers separated by spaces. If none is relevant, write NONE.", "spaces"),
        ('<answer>{"[1]": 5, "[2]": 8}</answer>', "json_scores"),
        ("the number between score tags, such as <score>57</score>", "score_tag"),
        ("Answer with one letter, A or B.", "letter"),
        ("Answer with one word, yes or no.", "yes_no"),
    ],
)
def test_forms_of_answer(words, kind):
    assert format_asked(f"Query: something\n{words}").kind == kind


def test_details_of_forms():
    assert format_asked("... True or False. The query is: x").yes == "True"
    assert format_asked("If it does, respond with 'Yes'; if it doesn't, respond with 'No'.").no == "No"
    assert format_asked('{"top_3_indices": [1]} then {"top_7_indices": []}').key == "top_7_indices"
    assert format_asked("separated by spaces; when none fits, answer nothing_here").none == "nothing_here"
    assert format_asked("<answer>{'3': 4}</answer>").bracketed is False
    assert format_asked("Tell me a story.") is None


def _flow(text, *items):
    """A flow whose pictures show the given items."""
    places = [i for i, c in enumerate(text) if c == PICTURE]
    return Flow(text, ()), [Thing(p, p + 1, frozenset([key])) for p, key in zip(places, items, strict=True)]


@pytest.mark.parametrize(
    ("text", "items", "expected"),
    [
        ("in the form [2] > [1].\nQuery: q\n[1] #\n[2] #\n", "ab", "1a 2b"),
        ("Query: #\nImage 1: #\nImage 2: #\n", "rab", "1a 2b"),
        ("Image 1: #\nThe candidates:\n1. #\n2. #\n", "rab", "1a 2b"),
        ("Query: q\n# A\n# B\nBest:", "ab", "Aa Bb"),
        ("Query: # swap\n# 1\n# 2\nOrder:", "rab", "1a 2b"),
        ("format: (1) cand1 (2) cand2, etc. Query:#Candidates:(1) #(2) #", "rab", "1a 2b"),
        ("[3] #\n[2] #\n[1] #\nQuery: #", "abcr", "3a 2b 1c"),
        ("[1] (search score 0.713) #\n[2] (search score 0.2) #\n", "ab", "1a 2b"),
        ("Candidate A: #\n\nCandidate B: #\n\n", "ab", "Aa Bb"),
        ("Image 1\n#\nImage 2\n#\n", "ab", "1a 2b"),
        ("[1] At 0.0 s: #\n[2] At 0.0 s: #\n", "ab", "1a 2b"),
    ],
)
def test_labels_are_read(text, items, expected):
    found = candidates(*_flow(text.replace("#", PICTURE), *items))
    assert " ".join(each.label + each.key for each in found) == expected


def test_one_label_for_two_candidates_is_refused():
    with pytest.raises(RefusedError, match="label 1 names two"):
        candidates(*_flow(f"[1] {PICTURE}\n[1] {PICTURE}\n", "a", "b"))


def test_truth_is_a_full_order(reader):
    known = reader.known
    answer = "photos/photo-0001.jpg"
    worth = {key: relevance(known, [answer], key) for key in known.items}
    assert worth.pop(answer) == 1
    assert max(worth.values()) <= NEAREST + 0.02
    assert min(worth.values()) >= 0
    assert len(set(worth.values())) == len(worth)


def test_the_more_differs_the_less_it_is_worth():
    scene = Facts("red", ("dog", "cat"), "above")
    assert likeness(scene, scene) == 1
    turned = likeness(scene, Facts("red", ("dog", "cat"), "left of"))
    swapped = likeness(scene, Facts("red", ("dog", "owl"), "above"))
    both = likeness(scene, Facts("blue", ("dog", "owl"), "above"))
    other = likeness(scene, Facts("blue", ("fox", "owl"), "left of"))
    assert 1 > turned > swapped > both > other == 0
