from __future__ import annotations

from typing import Any

import pytest

from mmrank.errors import MllmError
from mmrank.mllm.local.skeleton import Shape, skeleton

TWO: Shape = (("system", ("text",)), ("user", ("text", "picture", "text")))


def rendered(messages: list[dict[str, Any]]) -> str:
    """A template as Qwen's: every part in its place."""
    out = ""
    for message in messages:
        out += f"<{message['role']}>"
        for part in message["content"]:
            out += "(PIC)" if part["type"] == "image" else part["text"]
        out += "</>"
    return out + "<assistant>"


def images_first(messages: list[dict[str, Any]]) -> str:
    out = ""
    for message in messages:
        out += f"<{message['role']}>"
        out += "".join("(PIC)" for part in message["content"] if part["type"] == "image")
        out += "".join("\n" + part["text"] for part in message["content"] if part["type"] == "text")
        out += "</>"
    return out + "<assistant>"


def trimming(messages: list[dict[str, Any]]) -> str:
    return "".join(f"<{m['role']}>\n{m['content'].strip()}</>" for m in messages) + "<assistant>"


def test_words_around_the_parts() -> None:
    found = skeleton(TWO, rendered, picture_token="PIC")
    assert found.literals == ("<system>", "</><user>", "(", ")", "</><assistant>")
    assert found.trims == ((False, False),) * 4


def test_a_template_that_moves_pictures_is_given_them_as_text() -> None:
    found = skeleton(TWO, images_first, picture_token="PIC")
    assert found.literals == ("<system>\n", "</><user>\n", "(", ")", "</><assistant>")


def test_trimming_is_seen_at_the_ends_of_a_message_only() -> None:
    found = skeleton((("user", ("text", "text")),), trimming, picture_token=None)
    assert found.literals == ("<user>\n", "", "</><assistant>")
    assert found.trims == ((True, False), (False, True))


def test_messages_without_parts() -> None:
    assert skeleton((("user", ()),), rendered, picture_token="PIC").literals == ("<user></><assistant>",)


def test_a_template_that_refuses_says_why() -> None:
    def refuses(messages: list[dict[str, Any]]) -> str:
        raise ValueError("System role not supported")

    with pytest.raises(MllmError, match=r"roles system, user \(System role not supported\).*chat_template="):
        skeleton(TWO, refuses, picture_token="PIC")


def test_a_template_that_loses_a_part_is_refused() -> None:
    def loses(messages: list[dict[str, Any]]) -> str:
        return rendered(messages[1:])

    with pytest.raises(MllmError, match="does not keep the parts"):
        skeleton(TWO, loses, picture_token="PIC")


def test_a_template_without_pictures_is_refused() -> None:
    def blind(messages: list[dict[str, Any]]) -> str:
        return "".join(p["text"] for m in messages for p in m["content"] if p["type"] == "text")

    with pytest.raises(MllmError, match="does not write PIC for a picture"):
        skeleton(TWO, blind, picture_token="PIC")
