"""A collection to test judges on: families of near-duplicates, each with one right answer among its rivals.

A CLIP finds the family; telling its members apart is the judge's work. A family is of one *sort*: its members differ
from the target in an object, in the ground, or only in how the objects stand.
"""

from pathlib import Path
from random import Random
from typing import Literal, get_args

from mmrank.toybox.captions import caption
from mmrank.toybox.drawing import draw
from mmrank.toybox.edits import Change, Edit, edit, near_miss, possible_changes
from mmrank.toybox.errors import ToyboxError
from mmrank.toybox.grammar import Scene, Split, sample_scene, split_of
from mmrank.toybox.manifest import Task, ToyboxManifest, ToyItem, ToyQuery, write_jsonl

Sort = Literal["objects", "grounds", "relations"]
SORTS: tuple[Sort, ...] = get_args(Sort)

CHANGES: dict[Sort, tuple[Change, ...]] = {
    "objects": ("swap", "remove", "add"),
    "grounds": ("ground",),
    "relations": ("move", "turn"),
}
"""What may differ between a target and its near-duplicates."""

RIVALS: dict[Sort, int] = {"objects": 5, "grounds": 5, "relations": 3}
"""Near-duplicates of each target; two objects stand in four ways, so relations have three."""

SIDE = 128
"""Pixels of a picture's side."""

MAX_TRIES = 4000


def family_sort(query_id: str) -> Sort:
    """What tells a query's right answer from its rivals, read from the query's id.

    >>> family_sort("relations-0012-seen")
    'relations'
    """
    sort = query_id.partition("-")[0]
    if sort not in SORTS:
        raise ToyboxError(f"{query_id!r} is no query about a family; such ids begin with {', '.join(SORTS)}")
    return sort


def write_families(
    folder: str | Path, *, families: int = 300, seed: int = 0, split: Split = "heldout"
) -> ToyboxManifest:
    """Write `families` families (a third of each sort) as ``folder/media/photos/*.png`` with their queries.

    Each target is asked for three times: by a caption (id ``...-seen``), by a caption in an unseen wording
    (``...-unseen``) and as a composed query from one of its near-duplicates (``...-composed``). No two pictures of the
    collection mean the same, so each query has one right answer. Targets are of `split`. The same arguments give
    the same bytes.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     made = write_families(folder, families=3)
        ...     len(made.items), len(made.queries)
        (16, 9)
    """
    root = Path(folder)
    photos = root / "media" / "photos"
    photos.mkdir(parents=True, exist_ok=True)
    rng = Random(f"families/{split}/{seed}")
    used: set[tuple[object, ...]] = set()
    scenes: list[tuple[str, Scene]] = []
    queries: list[ToyQuery] = []
    for number in range(families):
        sort = SORTS[number % len(SORTS)]
        first, rivals = _family(sort, rng, used, split)
        names = [f"photos/{sort}-{number:04d}-{letter}.png" for letter in rng.sample("abcdef", len(rivals) + 1)]
        scenes += zip(names, [first.target, *rivals], strict=True)
        asked: tuple[tuple[str, Task, str, str | None], ...] = (
            ("seen", "text_to_image", caption(first.target, rng, "seen"), None),
            ("unseen", "text_to_image", caption(first.target, rng, "unseen"), None),
            ("composed", "composed", first.text, names[1]),
        )
        for suffix, task, words, reference in asked:
            queries.append(ToyQuery(f"{sort}-{number:04d}-{suffix}", task, "image", words, names[0], reference))
    scenes.sort(key=lambda named: named[0])
    items = []
    for name, scene in scenes:
        draw(scene, SIDE).save(root / "media" / name)
        items.append(ToyItem(name, "image", caption(scene, rng), scene.ground, scene.names, scene.relation))
    write_jsonl(items, root / "captions.jsonl")
    write_jsonl(queries, root / "queries.jsonl")
    return ToyboxManifest(root, tuple(items), tuple(queries))


def _family(sort: Sort, rng: Random, used: set[tuple[object, ...]], split: Split) -> tuple[Edit, list[Scene]]:
    """An edit whose target is the family's own, and the target's near-duplicates, the edit's reference first.

    `used` holds the meanings that are in the collection, and gains the new ones.
    """
    for _ in range(MAX_TRIES):
        reference = sample_scene(rng, rng.choice(("train", "heldout")), 2 if sort == "relations" else None)
        changes = [change for change in CHANGES[sort] if change in possible_changes(reference)]
        first = edit(reference, rng.choice(changes), rng)
        if split_of(first.target.ground, first.target.names) != split:
            continue
        members = {first.target.meaning: first.target, reference.meaning: reference}
        for _ in range(40 * RIVALS[sort]):
            if len(members) == RIVALS[sort] + 1:
                break
            rival = near_miss(first.target, rng, None, CHANGES[sort]).target
            members.setdefault(rival.meaning, rival)
        if len(members) == RIVALS[sort] + 1 and not used & members.keys():
            used |= members.keys()
            rivals = [scene for meaning, scene in members.items() if meaning != first.target.meaning]
            return first, rivals
    raise ToyboxError(f"the toybox has no more families of sort {sort!r}; ask for fewer")
