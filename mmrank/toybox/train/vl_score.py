"""What toybox-vl can do on held-out combinations, sort by sort: among near-duplicates, by pairs and by lists."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import permutations
from random import Random
from typing import get_args

import torch
from torch import Tensor

from mmrank.toybox.captions import caption
from mmrank.toybox.clips import clip_captions, sample_clip
from mmrank.toybox.edits import Change, near_miss, sample_subset
from mmrank.toybox.grammar import GROUNDS, Relation, Scene, place, sample_scene
from mmrank.toybox.train.vl_batches import collect
from mmrank.toybox.train.vl_documents import note_question, page_question_about
from mmrank.toybox.train.vl_forms import TASKS, Candidate, Part, ids, list_tree, pair_tree
from mmrank.toybox.train.vl_learner import Learner
from mmrank.toybox.train.vl_pack import Target, Tree
from mmrank.toybox.train.vl_tasks import Album, clip_near_misses
from mmrank.toybox.train.vl_words import LETTERS

SEED = 4021
AT_ONCE = 10
"""Questions packed into one pass."""

RIGHT, WRONG = (1, 1, 1), (0, 0, -1)


@dataclass(frozen=True, slots=True)
class Question:
    """A query, the things to choose from, and the place of the right one among them."""

    query: list[Part]
    candidates: list[Sequence[Part]]
    answer: int


@dataclass(frozen=True, slots=True)
class JudgeScore:
    """How often (0-1) the right one of `candidates` (on average) came first, by pairs and by one list."""

    sort: str
    questions: int
    candidates: float
    pair: float
    list: float

    def __str__(self) -> str:
        return f"{self.sort} ({self.questions} x {self.candidates:.1f}): pair {self.pair:.3f} list {self.list:.3f}"


def _question(album: Album, text: list[Part], scenes: Sequence[Scene]) -> Question:
    """The first scene is the right one; all are put in random order."""
    order = list(range(len(scenes)))
    album.rng.shuffle(order)
    return Question(text, [[album.part(album.add_scene(scenes[index]))] for index in order], order.index(0))


def object_question(album: Album) -> Question:
    """A held-out scene among those with another object, one more or one less."""
    scene = sample_scene(album.rng, "heldout")
    wrong: dict[object, Scene] = {}
    while len(wrong) < 6:
        other = near_miss(
            scene, album.rng, None, ("swap", "add", "remove") if len(scene.objects) > 1 else ("swap", "add")
        )
        wrong.setdefault(other.target.contents, other.target)
    return _question(album, [f" {caption(scene, album.rng)}"], [scene, *wrong.values()])


def ground_question(album: Album) -> Question:
    """A held-out scene among those on other grounds."""
    scene = sample_scene(album.rng, "heldout")
    grounds = [ground for ground in GROUNDS if ground != scene.ground]
    wrong = [place(ground, scene.names, scene.relation, album.rng) for ground in album.rng.sample(grounds, 6)]
    return _question(album, [f" {caption(scene, album.rng)}"], [scene, *wrong])


def relation_question(album: Album) -> Question:
    """Two held-out objects among the three other ways in which they can stand."""
    scene = sample_scene(album.rng, "heldout", 2)
    relations: tuple[Relation, ...] = ("left of", "above")
    wrong = [
        place(scene.ground, names, relation, album.rng)
        for relation in relations
        for names in permutations(scene.names)
        if (relation, names) != (scene.relation, scene.names)
    ]
    return _question(album, [f" {caption(scene, album.rng)}"], [scene, *wrong])


def swapped_question(album: Album) -> Question:
    """Two held-out objects, and the picture in which they have changed places."""
    scene = sample_scene(album.rng, "heldout", 2)
    wrong = place(scene.ground, scene.names[::-1], scene.relation, album.rng)
    return _question(album, [f" {caption(scene, album.rng)}"], [scene, wrong])


def composed_question(album: Album, change: Change | None = None) -> Question:
    """An edit whose target is held out, among the near-duplicates of its set, the reference among them."""
    while True:
        subset = sample_subset(album.rng, "heldout")
        made = subset.edits[0]
        if change in (None, made.change):
            break
    wrong = [scene for scene in subset.members if scene.meaning != made.target.meaning]
    reference = album.add_scene(made.reference)
    return _question(album, [" ", album.part(reference), f" {made.text}"], [made.target, *wrong])


def mixed_question(album: Album) -> Question:
    """A held-out scene among ten: near-duplicates and others."""
    subset = sample_subset(album.rng, "heldout")
    wrong = [scene for scene in subset.members if scene.meaning != subset.target.meaning]
    wrong += [sample_scene(album.rng, "heldout") for _ in range(4)]
    return _question(album, [f" {caption(subset.target, album.rng)}"], [subset.target, *wrong])


def clip_question(album: Album) -> Question:
    """A held-out clip among near misses of it: other motions, sides, objects, grounds."""
    clips = clip_near_misses(sample_clip(album.rng, "heldout"), album.rng, None, 5)
    order = list(range(len(clips)))
    album.rng.shuffle(order)
    shown: list[Sequence[Part]] = [[album.part(album.add_clip(clips[index]))] for index in order]
    return Question([f" {album.rng.choice(clip_captions(clips[0]))}"], shown, order.index(0))


def note_choice(album: Album) -> Question:
    """A note among 1 to 3 others about the same objects or near-duplicates of them."""
    return _chosen(*note_question(album, _near(album)))


def page_choice(album: Album) -> Question:
    """A page among 1 to 3 others about near-duplicates of its objects."""
    return _chosen(*page_question_about(album, _near(album)))


def _near(album: Album) -> tuple[Scene, ...]:
    return sample_subset(album.rng, "heldout").members


def _chosen(query: list[Part], candidates: Sequence[Candidate]) -> Question:
    return Question(query, [each.parts for each in candidates], [each.fits for each in candidates].index(True))


SORTS: dict[str, Callable[[Album], Question]] = {
    "objects": object_question,
    "ground": ground_question,
    "relation": relation_question,
    "swapped": swapped_question,
    "composed": composed_question,
    "mixed": mixed_question,
    "clips": clip_question,
    "notes": note_choice,
    "pages": page_choice,
}
SORTS |= {f"composed, {change}": partial(composed_question, change=change) for change in get_args(Change)}


def _trees(question: Question, number: int) -> list[Tree]:
    """The question as pairs and as a list; targets carry its number where weights would stand."""
    candidates = [
        Candidate(parts, RIGHT if index == question.answer else WRONG)
        for index, parts in enumerate(question.candidates)
    ]
    pairs, listed = pair_tree(question.query, candidates), list_tree(question.query, candidates)
    for index, branch in enumerate(pairs[1:]):
        branch.targets = [Target(branch.targets[-1].at, index, TASKS.index("pair"), number)]
    first = next(goal for goal in listed[0].targets if goal.task == TASKS.index("list"))
    listed[0].targets = [Target(first.at, 0, TASKS.index("list"), number)]
    return [pairs, listed]


@torch.inference_mode()
def judge(learner: Learner, album: Album, questions: Sequence[Question]) -> tuple[list[list[float]], list[list[float]]]:
    """For every question the log-odds of yes of each candidate, and the log-probability of each letter."""
    batch = collect(album, [tree for number, asked in enumerate(questions) for tree in _trees(asked, number)])
    assert batch.packed is not None
    last = learner.hidden(batch)[0]
    rows, columns, index, task = torch.from_numpy(batch.packed.targets).unbind(1)
    logits: Tensor = learner.model.lm_head(last[rows, columns]).float().log_softmax(-1)
    yes, no = ids("yes")[0], ids("no")[0]
    letters = [ids(letter)[0] for letter in LETTERS]
    pairs: list[list[float]] = [[0.0] * len(asked.candidates) for asked in questions]
    lists: list[list[float]] = [[] for _ in questions]
    for at, number in enumerate(batch.packed.weights.astype(int)):
        if int(task[at]) == TASKS.index("pair"):
            pairs[number][int(index[at])] = float(logits[at, yes] - logits[at, no])
        else:
            lists[number] = logits[at, letters[: len(questions[number].candidates)]].tolist()
    return pairs, lists


def judge_scores(learner: Learner, questions: int, sorts: Sequence[str] = tuple(SORTS)) -> list[JudgeScore]:
    """Scores of every sort over so many held-out questions, the same ones each time."""
    scores = []
    for sort in sorts:
        album = Album(Random(f"toybox-vl/score/{sort}/{SEED}"))
        right = [0, 0]
        candidates = 0
        for start in range(0, questions, AT_ONCE):
            album.pictures.clear()
            album.scenes.clear()
            album.clips.clear()
            asked = [SORTS[sort](album) for _ in range(min(AT_ONCE, questions - start))]
            for way, told in enumerate(judge(learner, album, asked)):
                right[way] += sum(max(s) == s[q.answer] for s, q in zip(told, asked, strict=True))
            candidates += sum(len(question.candidates) for question in asked)
        scores.append(JudgeScore(sort, questions, candidates / questions, right[0] / questions, right[1] / questions))
    return scores
