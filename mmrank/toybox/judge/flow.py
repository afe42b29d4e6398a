"""A chat request as one flow of words and pictures, and the known things in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from mmrank.toybox.judge.errors import RefusedError, short
from mmrank.toybox.judge.gallery import Gallery, Thumbnails
from mmrank.toybox.judge.known import Knowledge, Words
from mmrank.toybox.judge.phrases import Phrases
from mmrank.toybox.judge.sight import Seen, Sight

PICTURE = "\ufffc"
"""Stands in the text where a picture is (Unicode's object replacement character)."""


@dataclass(frozen=True, slots=True)
class Thing:
    """Something known between two characters of the text: a picture (or several frames of one clip), or a text.

    `items`: keys of what it shows or tells of; a text that only asks has none. `words`: of a text.
    """

    start: int
    end: int
    items: frozenset[str]
    words: Words | None = None


@dataclass(frozen=True, slots=True)
class Flow:
    """All messages in a row. `prefix`: the beginning of the answer, given. `sheet`: cells (label, key) of a sheet."""

    text: str
    pictures: tuple[Seen, ...]
    prefix: str = ""


class Reader:
    """Turns contents of messages into flows and things, by one collection's knowledge. Thread-safe."""

    def __init__(self, known: Knowledge) -> None:
        self.known = known
        self.gallery = Gallery(known)
        self._sight = Sight(self.gallery)
        long = (words for words, keys in known.tells.items() if any(known.items[k].kind in _LONG for k in keys))
        self._phrases = Phrases([*known.tells, *known.asks], cut=long)

    def flow(self, messages: Sequence[Any], *, goes_on: bool) -> Flow:
        """The flow of a chat. `goes_on`: the last message is the beginning of the answer.

        Raises `RefusedError` for messages or pictures that cannot be read.
        """
        texts: list[str] = []
        pictures: list[Seen] = []
        turns = [_turn(message) for message in messages]
        if not turns:
            raise RefusedError("messages is empty; send at least one user message")
        prefix = ""
        if goes_on:
            role, content = turns.pop()
            if role != "assistant" or not isinstance(content, str):
                raise RefusedError("continue_final_message is set, but the last message is no assistant's text")
            prefix = content
        for _, content in turns:
            text, seen = self.content(content)
            texts.append(text)
            pictures += seen
        return Flow("\n\n".join(texts), tuple(pictures), prefix)

    def content(self, content: Any) -> tuple[str, list[Seen]]:
        """One message's content: its text with PICTURE for each picture, and what the pictures show."""
        if isinstance(content, str):
            return content.replace(PICTURE, " "), []
        if isinstance(content, dict) and "content" in content:
            return self.content(content["content"])
        if not isinstance(content, list):
            raise RefusedError(f"content is {short(repr(content), 60)}; it must be a text or a list of parts")
        text, seen = "", []
        for part in content:
            kind = part.get("type") if isinstance(part, dict) else None
            if kind == "text":
                text += str(part.get("text", "")).replace(PICTURE, " ")
            elif kind == "image_url":
                shown = part.get("image_url")
                url = shown.get("url") if isinstance(shown, dict) else shown
                seen.append(self._sight.look_at_url(str(url)))
                text += PICTURE
            else:
                raise RefusedError(f"a part of type {kind!r} came; this server reads text and image_url")
        return text, seen

    def things(self, flow: Flow) -> list[Thing]:
        """Everything known in a flow, in order; frames of one clip that follow each other are one thing.

        Sheets are left out. Raises `RefusedError` when frames do not tell which clip they are of.
        """
        found = [
            Thing(text.start, text.end, frozenset(self.known.tells.get(text.words, ())), text.words)
            for text in self._phrases.find(flow.text)
        ]
        places = [i for i, character in enumerate(flow.text) if character == PICTURE]
        frames: list[tuple[int, Thumbnails]] = []
        for place, seen in zip(places, flow.pictures, strict=True):
            if frames and (seen.frame is None or flow.text[frames[-1][0] + 1 : place].count("\n") > 1):
                found.append(self._clip(frames))
                frames = []
            if seen.frame is not None:
                frames.append((place, seen.frame))
            elif seen.item is not None:
                found.append(Thing(place, place + 1, frozenset([seen.item])))
        if frames:
            found.append(self._clip(frames))
        return sorted(found, key=lambda thing: thing.start)

    def _clip(self, frames: Iterable[tuple[int, Thumbnails]]) -> Thing:
        places, pixels = zip(*frames, strict=True)
        match = self.gallery.clip(pixels)
        if match.key is None:
            raise RefusedError(
                f"{len(places)} frames do not tell which clip they are of (the nearest is {match.distance:.1f} grey "
                f"levels away, the next {match.second:.1f}); send more of its frames"
            )
        return Thing(places[0], places[-1] + 1, frozenset([match.key]))


_LONG = frozenset({"text", "page"})
"""Kinds whose texts may be cut short by a limit of words."""


def _turn(message: Any) -> tuple[str, Any]:
    if not isinstance(message, dict) or "role" not in message:
        raise RefusedError(f"a message is {short(repr(message), 60)}; it must have a role and content")
    return str(message["role"]), message.get("content")
