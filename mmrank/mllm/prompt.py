"""What is sent to an MLLM: messages made of text and pictures, with everything a backend must know about them.

A Prompt holds no pixels: a `Picture` knows its size and how it is opened, so that a batch across all queries
of a run costs memory only for what a backend works on at the moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from PIL.Image import Image

Role: TypeAlias = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture that can be opened when it is needed.

    `key` names its exact pixels: equal keys mean equal pixels, so a vision cache may go by it.
    `width`, `height`: pixels of what `open` returns. `open` gives an RGB PIL image; thread-safe; it raises
    `MediaError` when the file has gone since it was rendered.
    """

    key: str
    width: int
    height: int
    open: Callable[[], Image] = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextPart:
    """Words of a message. `data` is True for what comes from a query or candidate and not from mmrank's own prompt
    files: a backend must see to it that no control token of its model can be written there.

    `mark` names a span whose tokens `MLLM.attention` reports about.
    """

    text: str
    data: bool = False
    mark: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePart:
    """A picture in a message."""

    picture: Picture
    mark: str | None = None


Part: TypeAlias = TextPart | ImagePart


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn."""

    role: Role
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The two sides of a yes/no prompt, for servers that take pairs (``/score``) and write the prompt themselves."""

    query: tuple[Part, ...]
    document: tuple[Part, ...]
    instruction: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One call: messages, and what is to be known about them.

    `labels`: label i names slot i of the block this prompt shows; empty for a prompt without candidates.
    `answer_prefix`: words the answer begins with (put after the assistant header; the model continues them).
    `shared`: how many leading parts, counted over all messages, this prompt has in common with the other prompts
    of its query: the end of the shared prefix. `lasting`: those parts are a candidate and not the query, so other
    queries begin their prompts with them too and what the model made of them is worth keeping even for one prompt.
    `pair`: the two sides, for a pair layout.
    `max_tokens_in`: the checkpoint's own limit in tokens; longer prompts lose words from the end of the last data
    text, never pictures (None: the model's context).
    """

    messages: tuple[Message, ...]
    labels: tuple[str, ...] = ()
    answer_prefix: str = ""
    shared: int = 0
    lasting: bool = False
    pair: Pair | None = None
    max_tokens_in: int | None = None

    def parts(self) -> Iterator[Part]:
        """All parts, message by message."""
        for message in self.messages:
            yield from message.parts

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """The pictures in the order the model sees them."""
        return tuple(part.picture for part in self.parts() if isinstance(part, ImagePart))

    @property
    def text(self) -> str:
        """All words, pictures as ``<image>``; for logs and tests.

        >>> Prompt(messages=(Message(role="user", parts=(TextPart(text="hello"),)),)).text
        'user: hello'
        """
        return "\n".join(
            f"{m.role}: " + "".join(p.text if isinstance(p, TextPart) else "<image>" for p in m.parts)
            for m in self.messages
        )
