"""Small prompts and pictures for tests of servers and backends."""

from __future__ import annotations

from PIL import Image

from mmrank.mllm.prompt import ImagePart, Message, Pair, Part, Picture, Prompt, TextPart


def picture(colour: str, size: int = 16) -> ImagePart:
    """A picture of one colour with one black dot, so that it is not symmetric."""

    def opened() -> Image.Image:
        image = Image.new("RGB", (size, size), colour)
        image.putpixel((1, 2), (0, 0, 0))
        return image

    return ImagePart(picture=Picture(key=f"{colour}-{size}", width=size, height=size, open=opened))


def prompt(*parts: Part | str, prefix: str = "", system: str | None = None) -> Prompt:
    """A user's turn of words (mmrank's own) and parts."""
    shown = tuple(TextPart(text=part) if isinstance(part, str) else part for part in parts)
    turns = [Message(role="system", parts=(TextPart(text=system),))] if system else []
    return Prompt(messages=(*turns, Message(role="user", parts=shown)), answer_prefix=prefix)


def pair(query: str, *document: Part | str, instruction: str | None = None) -> Prompt:
    """A pair of a text and a document."""
    shown = tuple(TextPart(text=part, data=True) if isinstance(part, str) else part for part in document)
    sides = Pair(query=(TextPart(text=query, data=True),), document=shown, instruction=instruction)
    return Prompt(messages=(Message(role="user", parts=(*sides.query, *sides.document)),), pair=sides)
