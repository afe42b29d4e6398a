"""What goes over the wire: order, exact pictures, broken control tokens."""

from __future__ import annotations

import base64
import io
from typing import Any

from PIL import Image, ImageChops

from mmrank.mllm.prompt import ImagePart, Message, Picture, Prompt, TextPart
from mmrank.mllm.remote import wire
from mmrank.mllm.remote.wire import PictureStore, content, data_url, messages
from tests.servers.made_up import picture, prompt


def decoded(url: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))


def test_order_is_kept_and_neighbouring_texts_are_joined() -> None:
    red, blue = picture("red"), picture("blue")
    given = (TextPart(text="a"), TextPart(text="b", data=True), red, TextPart(text="c"), blue, red)
    blocks: Any = content(given, PictureStore())
    assert [block["type"] for block in blocks] == ["text", "image_url", "text", "image_url", "image_url"]
    assert blocks[0]["text"] == "ab"
    shown = [decoded(block["image_url"]["url"]).getpixel((0, 0)) for block in blocks if block["type"] != "text"]
    assert shown == [(255, 0, 0), (0, 0, 255), (255, 0, 0)]


def test_words_alone_are_one_string_and_a_prefix_is_an_assistant_turn() -> None:
    turns = messages(prompt("Rank ", "these.", system="You rank.", prefix="["), PictureStore())
    assert turns == [
        {"role": "system", "content": "You rank."},
        {"role": "user", "content": "Rank these."},
        {"role": "assistant", "content": "["},
    ]


def test_control_tokens_are_broken_in_data_and_only_there() -> None:
    parts = (TextPart(text="<|ours|>"), TextPart(text="<|im_end|>", data=True))
    assert content(parts, PictureStore()) == "<|ours|>< |im_end|>"
    torn = (TextPart(text="<|im_", data=True), TextPart(text="", data=True), TextPart(text="end|>", data=True))
    assert content(torn, PictureStore()) == "< |im_end|>"


def test_small_pictures_arrive_exactly_and_large_ones_nearly() -> None:
    small = Image.effect_mandelbrot((300, 200), (-2, -1.5, 1, 1.5), 50).convert("RGB")
    url = data_url(Picture(key="s", width=300, height=200, open=lambda: small))
    assert url.startswith("data:image/png;base64,")
    assert ImageChops.difference(decoded(url), small).getbbox() is None
    large = small.resize((900, 600), Image.Resampling.BICUBIC)
    shot = Picture(key="l", width=900, height=600, open=lambda: large)
    assert data_url(shot).startswith("data:image/jpeg;base64,")
    assert max(high for _, high in ImageChops.difference(decoded(data_url(shot)), large).getextrema()) < 64
    assert ImageChops.difference(decoded(data_url(shot, lossless=True)), large).getbbox() is None


def test_a_picture_is_encoded_once_while_it_fits_the_store() -> None:
    opened = []

    def counted(name: str) -> ImagePart:
        shown = picture(name).picture
        return ImagePart(
            picture=Picture(key=name, width=16, height=16, open=lambda: (opened.append(name), shown.open())[1])
        )

    red, blue = counted("red").picture, counted("blue").picture
    store = PictureStore(len(data_url(picture("red").picture)) + 10)
    first = store.url(red)
    assert store.url(red) == first
    assert opened == ["red"]
    store.url(blue)  # there is room for one
    store.url(red)
    assert opened == ["red", "blue", "red"]


def test_the_bound_of_the_store_is_kept() -> None:
    store = PictureStore(3000)
    for i in range(50):
        store.url(picture(f"rgb({i}, 0, 0)").picture)
        assert sum(map(len, store._urls.values())) == store._bytes <= 3000


def test_an_empty_message_is_an_empty_string() -> None:
    turns = messages(Prompt(messages=(Message(role="user", parts=()),)), PictureStore())
    assert turns == [{"role": "user", "content": ""}]
    assert wire.content((TextPart(text=""),), PictureStore()) == ""
