"""A plain mixed collection: folders of photos, clips, PDF reports and Markdown notes, and the truth about them."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Protocol, TypeVar

from mmrank.toybox.captions import caption
from mmrank.toybox.clips import Clip, clip_captions, sample_clip, write_clip
from mmrank.toybox.drawing import draw
from mmrank.toybox.edits import SUBSET_SIZE, Subset, sample_subset
from mmrank.toybox.errors import ToyboxError
from mmrank.toybox.grammar import Scene, sample_scene
from mmrank.toybox.manifest import ItemKind, Task, ToyItem, ToyQuery
from mmrank.toybox.notes import Note, note_about, note_captions
from mmrank.toybox.pages import Page, page_about, page_captions, page_question, write_pdf

PHOTO_SIDE = 160
JPEG_QUALITY = 90

SUBSET_SHARE = 0.3
"""About this share of the photos come in sets of six near-duplicates; the others are all of different contents."""

PAGES_PER_REPORT = 6

MAX_TRIES = 2000
"""How often in a row a draw may collide with what is already there before the collection counts as full."""

REPORT_NAMES = ("field-report", "annual-survey", "sightings", "town-review")


class HasContents(Protocol):
    """A scene, clip, page or note: anything with a ground and a set of objects."""

    @property
    def contents(self) -> tuple[str, frozenset[str]]: ...


Made = TypeVar("Made", bound=HasContents)


@dataclass(slots=True)
class Collection:
    """Items and queries gathered so far, and the contents already used by any of them."""

    items: list[ToyItem] = field(default_factory=list)
    queries: list[ToyQuery] = field(default_factory=list)
    used: set[tuple[str, frozenset[str]]] = field(default_factory=set)

    def fresh(self, make: Callable[[], Made]) -> Made:
        """Draw with `make` until nothing in the collection has the same ground and objects."""
        for _ in range(MAX_TRIES):
            made = make()
            if made.contents not in self.used:
                self.used.add(made.contents)
                return made
        raise ToyboxError("the toybox has no more scenes unlike those already written; ask for fewer items")

    def add(self, path: str, kind: ItemKind, text: str, shows: Scene | Clip) -> None:
        """Note down one item, its caption and what it shows."""
        relation = shows.relation if isinstance(shows, Scene) else shows.motion
        self.items.append(ToyItem(path, kind, text, shows.ground, shows.names, relation))

    def ask(self, task: Task, kind: ItemKind, text: str, answer: str, reference: str | None = None) -> None:
        """Note down one query with its answer."""
        self.queries.append(ToyQuery(f"q{len(self.queries) + 1:04d}", task, kind, text, answer, reference))


def write_media(folder: Path, *, images: int, videos: int, pages: int, notes: int, seed: int) -> Collection:
    """Write `photos/`, `clips/`, `reports/` and `notes/` under `folder` (replacing them) from held-out scenes.

    (Near-duplicate sets have a held-out target; the others in a set may be of either split.)

    No two items of any kinds show the same objects on the same ground, but for members of one near-duplicate set.

    Returns:
        The items written and the queries about them.
    """
    collection = Collection()
    _empty(folder / "photos")
    _write_photos(folder / "photos", images, collection, Random(f"photos/{seed}"))
    _empty(folder / "clips")
    _write_clips(folder / "clips", videos, collection, Random(f"clips/{seed}"))
    _empty(folder / "reports")
    _write_reports(folder / "reports", pages, collection, Random(f"reports/{seed}"))
    _empty(folder / "notes")
    _write_notes(folder / "notes", notes, collection, Random(f"notes/{seed}"))
    return collection


def _empty(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)


def _write_photos(folder: Path, count: int, collection: Collection, rng: Random) -> None:
    """Single photos and sets of near-duplicates, in random order; a caption query for each, composed ones for sets."""
    subsets = [_fresh_subset(collection, rng) for _ in range(round(count * SUBSET_SHARE / SUBSET_SIZE))]
    scenes = [scene for subset in subsets for scene in subset.members]
    for _ in range(count - len(scenes)):
        scenes.append(collection.fresh(lambda: sample_scene(rng, "heldout")))
    rng.shuffle(scenes)
    paths: dict[tuple[object, ...], str] = {}
    for number, scene in enumerate(scenes, start=1):
        path = f"photos/photo-{number:04d}.jpg"
        draw(scene, PHOTO_SIDE).save(folder / Path(path).name, quality=JPEG_QUALITY)
        collection.add(path, "image", caption(scene, rng), scene)
        collection.ask("text_to_image", "image", caption(scene, rng), path)
        paths[scene.meaning] = path
    for subset in subsets:
        for edit in subset.edits:
            reference, target = paths[edit.reference.meaning], paths[edit.target.meaning]
            collection.ask("composed", "image", edit.text, target, reference)


def _fresh_subset(collection: Collection, rng: Random) -> Subset:
    for _ in range(MAX_TRIES):
        subset = sample_subset(rng, "heldout")
        contents = {scene.contents for scene in subset.members}
        if not contents & collection.used:
            collection.used |= contents
            return subset
    raise ToyboxError("the toybox has no more near-duplicate sets unlike those already written; ask for fewer images")


def _write_clips(folder: Path, count: int, collection: Collection, rng: Random) -> None:
    for number in range(1, count + 1):
        clip: Clip = collection.fresh(lambda: sample_clip(rng, "heldout"))
        path = f"clips/clip-{number:04d}.mp4"
        write_clip(clip, folder / Path(path).name)
        told, asked = rng.sample(clip_captions(clip), 2)
        collection.add(path, "video", told, clip)
        collection.ask("text_to_video", "video", asked, path)


def _write_reports(folder: Path, count: int, collection: Collection, rng: Random) -> None:
    """PDFs of a few pages each; every page is asked for by its look and by a question its text answers."""
    topics: set[tuple[str, str]] = set()
    made = [_fresh_page(collection, topics, rng) for _ in range(count)]
    for report, name in enumerate(_report_names(count)):
        pages = made[report * PAGES_PER_REPORT : (report + 1) * PAGES_PER_REPORT]
        write_pdf(pages, folder / name, name.removesuffix(".pdf").replace("-", " "))
        for number, page in enumerate(pages, start=1):
            path = f"reports/{name}#page={number}"
            collection.add(path, "page", " ".join((page.title, *page.sentences)), page.scene)
            collection.ask("text_to_page", "page", rng.choice(page_captions(page)[1:]), path)
            collection.ask("page_question", "page", page_question(page), path)


def _fresh_page(collection: Collection, topics: set[tuple[str, str]], rng: Random) -> Page:
    """A page of its own contents, and the only one whose chart is about its first object in its place."""
    scene = collection.fresh(lambda: _several(rng))
    for _ in range(MAX_TRIES):
        page = page_about(scene, rng)
        topic = (scene.names[0], page.place)
        if topic not in topics:
            topics.add(topic)
            return page
    raise ToyboxError(f"every place has a page about the {scene.names[0]} already; ask for fewer pages")


def _report_names(pages: int) -> Iterator[str]:
    for report in range(-(-pages // PAGES_PER_REPORT)):
        kind, year = REPORT_NAMES[report % len(REPORT_NAMES)], 2020 + report // len(REPORT_NAMES)
        yield f"{kind}-{year}.pdf"


def _write_notes(folder: Path, count: int, collection: Collection, rng: Random) -> None:
    for number in range(1, count + 1):
        scene = collection.fresh(lambda: _several(rng))
        note: Note = note_about(scene, rng)
        path = f"notes/note-{number:04d}.md"
        (folder / Path(path).name).write_text(note.markdown, encoding="utf-8", newline="\n")
        collection.add(path, "text", " ".join(note.sentences), scene)
        collection.ask("text_to_note", "text", rng.choice(note_captions(note)), path)


def _several(rng: Random) -> Scene:
    """A held-out scene of two or three objects."""
    return sample_scene(rng, "heldout", rng.choice((2, 2, 3)))
