"""Prompts about report pages, notes and numbered sheets."""

from collections.abc import Sequence

import pypdfium2
from PIL import Image

from mmrank.media.sheet import numbered_sheet
from mmrank.toybox.captions import caption
from mmrank.toybox.drawing import draw
from mmrank.toybox.grammar import Scene
from mmrank.toybox.notes import Note, note_about, note_captions
from mmrank.toybox.pages import Page, page_about, page_captions, page_question, pdf_bytes
from mmrank.toybox.train.vl_forms import Candidate, Facts, Part, sheet_tree
from mmrank.toybox.train.vl_pack import Tree
from mmrank.toybox.train.vl_pictures import IMAGE_SIDE, plain_picture
from mmrank.toybox.train.vl_tasks import Album, Form, distance, prompt

PAGE_SIZE = (64, 96)
"""Width and height at which the processor shows an A5 page that was brought to about 4,096 pixels."""

FIGURE_PIXELS = 112

SHEET_COLUMNS = 3
MOST_CELLS = 9


def page_image(page: Page) -> Image.Image:
    """A page through a real PDF, at the size the model sees."""
    document = pypdfium2.PdfDocument(pdf_bytes([page], "training", figure_pixels=FIGURE_PIXELS))
    try:
        opened = document[0]
        drawn: Image.Image = opened.render(scale=2 * PAGE_SIZE[0] / opened.get_width()).to_pil().convert("RGB")
        return drawn.resize(PAGE_SIZE, Image.Resampling.BICUBIC)
    finally:
        document.close()


def page_text(page: Page) -> str:
    """About what a PDF's text layer gives of the page's title and sentences."""
    return " ".join((page.title, *page.sentences))


def note_prompt(album: Album, near: Sequence[Scene], form: Form) -> Tree:
    """One sentence over 2 to 4 notes, some of them about the same things in another place or by somebody else."""
    rng = album.rng
    asked = note_about(rng.choice(near), rng)
    others = [note_about(rng.choice((asked.scene, *near)), rng) for _ in range(rng.randint(1, 3))]
    notes = [asked, *(note for note in others if (note.writer, note.place, note.day) != _where(asked))]
    rng.shuffle(notes)
    query: list[Part] = [f" {rng.choice(note_captions(asked))}"]
    candidates = [Candidate([note.markdown.strip()], _note_facts(asked, note)) for note in notes]
    return prompt(form, query, candidates, [])


def page_prompt(album: Album, near: Sequence[Scene], form: Form) -> Tree:
    """One sentence or question over 2 to 4 pages, each a picture with its text."""
    rng = album.rng
    asked = page_about(rng.choice(near), rng)
    others = [page_about(rng.choice(near), rng) for _ in range(rng.randint(1, 3))]
    pages = [asked, *(page for page in others if set(page.scene.names) != set(asked.scene.names))]
    rng.shuffle(pages)
    query: list[Part] = [f" {rng.choice((*page_captions(asked), page_question(asked)))}"]
    candidates = [
        Candidate(
            [album.part(album.add(plain_picture(page_image(page)))), f" {page_text(page)}"],
            (int(page is asked), -1, -1),
        )
        for page in pages
    ]
    return prompt(form, query, candidates, [])


def sheet_prompt(album: Album, near: Sequence[Scene], others: Sequence[Scene]) -> Tree:
    """One caption over a numbered sheet of 4 to 9 scenes -> their order."""
    rng = album.rng
    asked = rng.choice(near)
    rest = [scene for scene in (*rng.sample(near, len(near)), *others) if scene.meaning != asked.meaning]
    cells = [asked, *rest[: rng.randint(3, MOST_CELLS - 1)]]
    rng.shuffle(cells)
    drawn = numbered_sheet([draw(scene, IMAGE_SIDE) for scene in cells], columns=SHEET_COLUMNS, cell=IMAGE_SIDE)
    sheet = album.add(plain_picture(drawn))
    distances = [distance(asked, scene) for scene in cells]
    return sheet_tree([f" {caption(asked, rng)}"], album.part(sheet), distances)


def _shown(album: Album, page: Page) -> Part:
    return album.part(album.add(plain_picture(page_image(page))))


def _where(note: Note) -> tuple[str, str, str]:
    return note.writer, note.place, note.day


def _note_facts(asked: Note, shown: Note) -> Facts:
    """Objects; the rest as one: every caption of a note tells of objects and of two more things."""
    return int(set(asked.scene.names) == set(shown.scene.names)), int(shown is asked), -1
