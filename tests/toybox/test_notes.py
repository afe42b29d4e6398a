from random import Random

from mmrank.toybox.grammar import split_of
from mmrank.toybox.notes import note_captions, sample_note


def test_notes_tell_of_their_scene() -> None:
    rng = Random(0)
    for _ in range(50):
        note = sample_note(rng, "heldout")
        assert split_of(note.scene.ground, note.scene.names) == "heldout"
        for word in (*note.scene.names, note.scene.ground, note.writer, note.place, note.day):
            assert word in note.markdown
        for text in note_captions(note):
            assert all(name in text for name in (*note.scene.names, note.writer))


def test_markdown_has_a_heading_and_ends_with_a_line_break() -> None:
    text = sample_note(Random(1)).markdown
    assert text.startswith("# ")
    assert text.endswith("\n")
    assert sample_note(Random(1)).markdown == text
