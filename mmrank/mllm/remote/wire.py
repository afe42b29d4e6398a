"""Messages as the JSON of the chat endpoint: texts, and pictures as data URLs."""

from __future__ import annotations

import base64
import io
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Protocol

from mmrank.mllm.control import broken_control_tokens
from mmrank.mllm.prompt import ImagePart, Message, Part, Picture, Prompt, TextPart

PNG_PIXELS = 512 * 512
"""Up to here a picture is sent as PNG: exact, and at most some 0.5 MB even for a photograph. Sheets and drawings are
smaller as PNG than as JPEG. Beyond, a PNG photograph weighs five times its JPEG, and a list of 20 of them would not
fit into what servers accept."""

JPEG_QUALITY = 95

CACHE_BYTES = 128 * 2**20
"""Encoded pictures kept: a candidate seen in many blocks of a schedule is encoded once."""


class PictureStore:
    """Data URLs of pictures by their key, the latest used kept up to `max_bytes`; thread-safe.

    Two threads that ask for the same new picture at the same moment encode it twice, which is cheaper than waiting.
    """

    def __init__(self, max_bytes: int = CACHE_BYTES, *, lossless: bool = False) -> None:
        self._max_bytes = max_bytes
        self._lossless = lossless
        self._urls: OrderedDict[str, str] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def block(self, picture: Picture) -> dict[str, Any]:
        """The picture as a part of a message."""
        return whole(picture, self)

    def url(self, picture: Picture) -> str:
        """The picture as ``data:image/...;base64,...``. Raises `MediaError` when its file has gone."""
        with self._lock:
            if picture.key in self._urls:
                self._urls.move_to_end(picture.key)
                return self._urls[picture.key]
        url = data_url(picture, lossless=self._lossless)
        with self._lock:
            if picture.key not in self._urls and len(url) <= self._max_bytes:
                self._urls[picture.key] = url
                self._bytes += len(url)
                while self._bytes > self._max_bytes:
                    self._bytes -= len(self._urls.popitem(last=False)[1])
        return url


def data_url(picture: Picture, *, lossless: bool = False) -> str:
    """PNG for small pictures (see `PNG_PIXELS`) or when `lossless`, else JPEG of quality 95 in full colour detail."""
    image = picture.open()
    file = io.BytesIO()
    if lossless or image.width * image.height <= PNG_PIXELS:
        kind = "png"
        image.save(file, "PNG", compress_level=3)  # a third of the default's time for a few per cent more bytes
    else:
        kind = "jpeg"
        image.save(file, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


class Blocks(Protocol):
    """What makes a picture a part of a message."""

    def block(self, picture: Picture) -> dict[str, Any]: ...


def whole(picture: Picture, store: PictureStore) -> dict[str, Any]:
    """A picture as OpenAI's form has it."""
    return {"type": "image_url", "image_url": {"url": store.url(picture)}}


def content(parts: Sequence[Part], store: Blocks) -> str | list[dict[str, Any]]:
    """The content of one message, in order. Words alone are one string, which every server and template takes.

    Texts that follow each other become one text: chat templates and servers differ in what they put between two.
    Control tokens are broken in texts that are data.
    """
    blocks: list[dict[str, Any]] = []
    for part in _runs(parts):
        if isinstance(part, ImagePart):
            blocks.append(store.block(part.picture))
            continue
        words = broken_control_tokens(part.text) if part.data else part.text
        if blocks and blocks[-1]["type"] == "text":
            blocks[-1]["text"] += words
        elif words:
            blocks.append({"type": "text", "text": words})
    if all(block["type"] == "text" for block in blocks):
        return "".join(block["text"] for block in blocks)
    return blocks


def _runs(parts: Sequence[Part]) -> list[Part]:
    """The parts, with data texts that follow each other as one: a control token must not be made of two of them."""
    runs: list[Part] = []
    for part in parts:
        last = runs[-1] if runs else None
        if isinstance(part, TextPart) and isinstance(last, TextPart) and part.data == last.data:
            runs[-1] = TextPart(text=last.text + part.text, data=part.data)
        else:
            runs.append(part)
    return runs


def messages(prompt: Prompt, store: Blocks) -> list[dict[str, Any]]:
    """All messages; the answer prefix, where there is one, as an assistant message that is to be continued."""
    turns: list[dict[str, Any]] = [message(turn, store) for turn in prompt.messages]
    if prompt.answer_prefix:
        turns.append({"role": "assistant", "content": prompt.answer_prefix})
    return turns


def message(turn: Message, store: Blocks) -> dict[str, Any]:
    """One message."""
    return {"role": turn.role, "content": content(turn.parts, store)}
