"""Pictures that a server keeps are sent once; one that it has dropped is sent again."""

from __future__ import annotations

from typing import Any

from mmrank.mllm.base import Sampling
from mmrank.mllm.remote import load_remote, once
from mmrank.mllm.remote.once import SentOnce, leaves_out
from mmrank.mllm.remote.wire import PictureStore, messages
from tests.servers.made_up import picture, prompt
from tests.servers.openai_server import OpenAIServer, pictures

COLOURS = ("red", "green", "blue", "white")


def seen(request: dict[str, Any]) -> str:
    """What the model sees: the colours, in order."""
    return " ".join(str(image.convert("RGB").getpixel((0, 0))) for image in pictures(request))


def said(results: Any) -> list[str]:
    return [result.text for result in results]


def prompts() -> list[Any]:
    return [prompt("Which?", picture(one), picture(two)) for one in COLOURS for two in COLOURS if one != two]


def test_every_picture_is_sent_once_and_seen_every_time() -> None:
    with OpenAIServer(seen, keeps_pictures=100) as server:
        plain = load_remote(server.spec, capabilities=["generate"], concurrency=1)
        wanted = said(plain.generate(prompts(), Sampling()))
        all_bytes, server.sizes = sum(server.sizes), []
        mllm = load_remote(server.spec, capabilities=["generate"], concurrency=1, pictures_once=True)
        assert said(mllm.generate(prompts(), Sampling())) == wanted
        assert len(server.sizes) == 12
        assert len(server.kept) == 4
        assert sum(server.sizes) < all_bytes
    assert len(set(wanted)) == 12


def test_what_the_server_has_dropped_is_sent_again() -> None:
    with OpenAIServer(seen, keeps_pictures=2) as server:
        mllm = load_remote(server.spec, capabilities=["generate"], concurrency=1, pictures_once=True)
        for each in prompts():
            (result,) = mllm.generate([each], Sampling())
            assert result.text == seen({"messages": messages(each, PictureStore())})
        refused = len(server.sizes) - 12
        assert 0 < refused <= 12


def test_a_server_that_never_keeps_them_is_soon_sent_all(monkeypatch: Any) -> None:
    monkeypatch.setattr(once, "MOST_MISSES", 2)
    with OpenAIServer(seen, keeps_pictures=0) as server:
        mllm = load_remote(server.spec, capabilities=["generate"], concurrency=1, pictures_once=True)
        results = [result for each in prompts() for result in mllm.generate([each], Sampling())]
        assert [result.text for result in results] == [
            seen({"messages": messages(p, PictureStore())}) for p in prompts()
        ]
        assert len(server.sizes) == 12 + 2


def test_names_are_forgotten_in_the_end(monkeypatch: Any) -> None:
    monkeypatch.setattr(once, "MOST_SENT", 2)
    sent = SentOnce(PictureStore())
    three = [prompt(picture(colour)) for colour in COLOURS[:3]]
    for each in three:
        assert not leaves_out({"messages": messages(each, sent)})
        sent.arrived(each, left_out=False)
    assert [leaves_out({"messages": messages(each, sent)}) for each in three] == [False, True, True]
