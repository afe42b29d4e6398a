"""Notes: short Markdown texts in which somebody tells what was seen where."""

from dataclasses import dataclass
from random import Random

from mmrank.toybox.captions import Wording, caption, joined, listed
from mmrank.toybox.grammar import Scene, Split, sample_scene
from mmrank.toybox.pages import PLACES

WRITERS = ("Anna", "Boris", "Chen", "Dalia", "Emil", "Fatima", "Goran", "Hana", "Ivo", "Julia", "Kofi", "Lena")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MOODS = ("old", "tiny", "shiny", "dusty", "heavy", "new", "quiet", "broken", "warm", "wet", "clean", "strange")


@dataclass(frozen=True, slots=True)
class Note:
    """One note: who wrote it, where and when, what was seen, and its sentences."""

    writer: str
    place: str
    day: str
    scene: Scene
    sentences: tuple[str, ...]

    @property
    def contents(self) -> tuple[str, frozenset[str]]:
        """Ground and objects that were seen, comparable with `Scene.contents`."""
        return self.scene.contents

    @property
    def title(self) -> str:
        """The note's heading."""
        return f"{self.day} in {self.place}"

    @property
    def markdown(self) -> str:
        """The whole note as Markdown."""
        return f"# {self.title}\n\n{' '.join(self.sentences)}\n\n{self.writer}\n"


def sample_note(rng: Random, split: Split = "train") -> Note:
    """Draw one note about a scene of the split."""
    return note_about(sample_scene(rng, split), rng)


def note_about(scene: Scene, rng: Random, wording: Wording = "seen") -> Note:
    """A note that tells of the given scene."""
    writer, place, day = rng.choice(WRITERS), rng.choice(PLACES), rng.choice(DAYS)
    moods = rng.sample(MOODS, len(scene.names))
    looks = joined([f"the {name} was {mood}" for name, mood in zip(scene.names, moods, strict=True)])
    sentences = (
        f"Today in {place} I saw {listed(scene.names)}.",
        f"It looked like this: {caption(scene, rng, wording)}.",
        f"{looks[0].upper()}{looks[1:]}.",
    )
    return Note(writer, place, day, scene, sentences)


def note_captions(note: Note) -> tuple[str, ...]:
    """Sentences that ask for a note."""
    names = listed(note.scene.names)
    return (
        f"a note by {note.writer} about {names} in {note.place}",
        f"what {note.writer} wrote on {note.day} about {names}",
        f"{note.writer} saw {names} on {note.scene.ground} ground in {note.place}",
    )
