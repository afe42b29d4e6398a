"""Report pages: a title, a few sentences with numbers, a figure (a scene) and a bar chart, as PDF with a text layer."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from random import Random

from reportlab.lib.pagesizes import A5
from reportlab.lib.utils import ImageReader, simpleSplit
from reportlab.pdfgen.canvas import Canvas

from mmrank.toybox.captions import caption, joined, listed
from mmrank.toybox.drawing import draw
from mmrank.toybox.grammar import GROUNDS, Scene, Split, sample_scene

PLACES = ("Oslo", "Lisbon", "Cairo", "Lima", "Kyoto", "Quebec", "Nairobi", "Perth", "Dublin", "Seoul", "Havana", "Riga")
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October")
TITLES = ("The {names} report", "{names}: a survey", "A study of {the_names}", "All about {the_names}")

FIGURE_PIXELS = 240
"""Side of the picture embedded for a figure."""

FIGURE_POINTS = 264.0
"""Side of a figure on the page in points."""

CHART_HEIGHT = 104.0
MARGIN = 36.0
LINE_HEIGHT = 12.5


@dataclass(frozen=True, slots=True)
class Page:
    """One report page: its words, its figure and the values of its chart (one bar per month)."""

    title: str
    place: str
    sentences: tuple[str, ...]
    scene: Scene
    months: tuple[str, ...]
    values: tuple[int, ...]
    figure_first: bool

    @property
    def contents(self) -> tuple[str, frozenset[str]]:
        """Ground and objects of the figure, comparable with `Scene.contents`."""
        return self.scene.contents


def sample_page(rng: Random, split: Split = "train") -> Page:
    """Draw one page whose figure is a scene of the split, with its own place and numbers."""
    scene = sample_scene(rng, split)
    return page_about(scene, rng)


def page_about(scene: Scene, rng: Random) -> Page:
    """A page whose topic is the given scene."""
    place = rng.choice(PLACES)
    start = rng.randrange(len(MONTHS) - 4)
    months = MONTHS[start : start + 5]
    values = tuple(rng.randrange(8, 97) for _ in months)
    best = months[values.index(max(values))]
    first = scene.names[0]
    sentences = [
        f"This page is about {listed(scene.names)} in {place}.",
        f"The {first} was seen {sum(values)} times, most often in {best}, when it was seen {max(values)} times.",
        f"Figure: {caption(scene, rng)}.",
    ]
    if len(scene.names) > 1:
        sentences.insert(2, f"People in {place} also saw the {scene.names[-1]} {rng.randrange(8, 97)} times.")
    the_names = joined([f"the {name}" for name in scene.names])
    title = rng.choice(TITLES).format(names=joined(scene.names), the_names=the_names)
    return Page(title[0].upper() + title[1:], place, tuple(sentences), scene, months, values, rng.random() < 0.5)


def page_captions(page: Page) -> tuple[str, ...]:
    """Sentences that tell what a page looks like and is about, for training and for queries."""
    names, ground = listed(page.scene.names), page.scene.ground
    return (
        f"a page about {names}",
        f"a report page about {names} on {ground} ground",
        f"a page with a chart and a {ground} picture of {names}",
        f"a document with a figure of {names} on a {ground} background",
        f"{page.title}, a page with a {ground} figure",
    )


def page_question(page: Page) -> str:
    """A question that this page's text answers."""
    return f"how often was the {page.scene.names[0]} seen in {page.place}"


def pdf_bytes(pages: Sequence[Page], title: str, figure_pixels: int = FIGURE_PIXELS) -> bytes:
    """A PDF file with one A5 page for each of `pages`. Equal pages give equal bytes."""
    buffer = BytesIO()
    canvas = Canvas(buffer, pagesize=A5, invariant=1)
    canvas.setTitle(title)
    canvas.setAuthor("mmrank toybox")
    for number, page in enumerate(pages, start=1):
        _draw_page(canvas, page, number, figure_pixels)
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def write_pdf(pages: Sequence[Page], path: Path, title: str) -> None:
    """Write `pdf_bytes` to a file."""
    path.write_bytes(pdf_bytes(pages, title))


def _draw_page(canvas: Canvas, page: Page, number: int, figure_pixels: int) -> None:
    width, height = A5
    top = height - MARGIN - 6
    canvas.setFillGray(0)
    canvas.setFont("Helvetica-Bold", 17)
    for line in simpleSplit(page.title, "Helvetica-Bold", 17, width - 2 * MARGIN):
        canvas.drawString(MARGIN, top, line)
        top -= 20
    canvas.setFont("Helvetica", 9)
    for sentence in page.sentences:
        for line in simpleSplit(sentence, "Helvetica", 9, width - 2 * MARGIN):
            canvas.drawString(MARGIN, top, line)
            top -= LINE_HEIGHT
    if page.figure_first:
        _draw_figure(canvas, page, top, figure_pixels)
        _draw_chart(canvas, page, top - FIGURE_POINTS - 14)
    else:
        _draw_chart(canvas, page, top)
        _draw_figure(canvas, page, top - CHART_HEIGHT - 14, figure_pixels)
    canvas.setFont("Helvetica", 8)
    canvas.drawCentredString(width / 2, 14, f"page {number}")


def _draw_figure(canvas: Canvas, page: Page, top: float, figure_pixels: int) -> None:
    picture = ImageReader(draw(page.scene, figure_pixels))
    left, base = (A5[0] - FIGURE_POINTS) / 2, top - FIGURE_POINTS
    canvas.drawImage(picture, left, base, FIGURE_POINTS, FIGURE_POINTS)
    canvas.setLineWidth(0.5)
    canvas.rect(left, base, FIGURE_POINTS, FIGURE_POINTS)


def _draw_chart(canvas: Canvas, page: Page, top: float) -> None:
    """Bars in the ground's colour, the month below and the value above each."""
    left, base = MARGIN + 10, top - CHART_HEIGHT + 14
    step = (A5[0] - 2 * left) / len(page.values)
    canvas.setFont("Helvetica-Bold", 8)
    canvas.drawString(left, top - 6, f"How often the {page.scene.names[0]} was seen in {page.place}")
    canvas.setFont("Helvetica", 7)
    for index, (month, value) in enumerate(zip(page.months, page.values, strict=True)):
        tall = (CHART_HEIGHT - 36) * value / 100
        canvas.setFillColorRGB(*(channel / 255 for channel in GROUNDS[page.scene.ground]))
        canvas.rect(left + index * step + step * 0.2, base, step * 0.6, tall, fill=1)
        canvas.setFillGray(0)
        canvas.drawCentredString(left + (index + 0.5) * step, base - 9, month)
        canvas.drawCentredString(left + (index + 0.5) * step, base + tall + 3, str(value))
    canvas.line(left, base, A5[0] - left, base)
