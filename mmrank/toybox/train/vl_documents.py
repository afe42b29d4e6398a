"""Questions about report pages and notes."""

from collections.abc import Sequence

from PIL import Image

from mmrank.media.page import open_page
from mmrank.toybox.grammar import Scene
from mmrank.toybox.notes import Note, note_about, note_captions
from mmrank.toybox.pages import Page, page_about, page_captions, page_question, pdf_bytes
from mmrank.toybox.train.vl_forms import Candidate, Part
from mmrank.toybox.train.vl_marks import Facts, text_words
from mmrank.toybox.train.vl_pictures import plain_picture
from mmrank.toybox.train.vl_tasks import Album

PAGE_SIZE = (64, 96)
"""Width and height at which the processor shows an A5 page that was brought to about 4,096 pixels."""

FIGURE_PIXELS = 112


def page_shown(page: Page) -> tuple[Image.Image, str]:
    """A page through a real PDF as mmrank reads it: at the size the model sees, and its text layer."""
    opened = open_page(pdf_bytes([page], "training", figure_pixels=FIGURE_PIXELS), 1, size=2 * PAGE_SIZE[0])
    return opened.image.resize(PAGE_SIZE, Image.Resampling.BICUBIC), opened.text


def note_question(album: Album, near: Sequence[Scene]) -> tuple[list[Part], list[Candidate]]:
    """One sentence, and 2 to 4 notes, some of them about the same things in another place or by somebody else."""
    rng = album.rng
    asked = note_about(rng.choice(near), rng)
    others = [note_about(rng.choice((asked.scene, *near)), rng) for _ in range(rng.randint(1, 3))]
    notes = [asked, *(note for note in others if (note.writer, note.place, note.day) != _where(asked))]
    rng.shuffle(notes)
    query: list[Part] = [f" {rng.choice(note_captions(asked))}"]
    return query, [_text_candidate(note.markdown.strip(), _note_facts(asked, note)) for note in notes]


def page_question_about(album: Album, near: Sequence[Scene]) -> tuple[list[Part], list[Candidate]]:
    """One sentence or question, and 2 to 4 pages, each a picture with its text."""
    rng = album.rng
    asked = page_about(rng.choice(near), rng)
    others = [page_about(rng.choice(near), rng) for _ in range(rng.randint(1, 3))]
    pages = [asked, *(page for page in others if set(page.scene.names) != set(asked.scene.names))]
    rng.shuffle(pages)
    query: list[Part] = [f" {rng.choice((*page_captions(asked), page_question(asked)))}"]
    candidates = []
    for page in pages:
        image, text = page_shown(page)
        shown = _text_candidate(f" {text}", (int(page is asked), -1, -1))
        part = album.part(album.add(plain_picture(image)))
        candidates.append(Candidate([part, *shown.parts], shown.facts, shown.words, distance=shown.distance))
    return query, candidates


def _text_candidate(text: str, facts: Facts) -> Candidate:
    return Candidate([text], facts, text_words(text), distance=sum(fact == 0 for fact in facts))


def _where(note: Note) -> tuple[str, str, str]:
    return note.writer, note.place, note.day


def _note_facts(asked: Note, shown: Note) -> Facts:
    """Objects; the rest as one: every caption of a note tells of objects and of two more things."""
    return int(set(asked.scene.names) == set(shown.scene.names)), int(shown is asked), -1
