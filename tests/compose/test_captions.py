"""Captions from a model behind real HTTP: cached by content, one failure each, never empty."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mmrank.compose import Captioned, CaptionFile, GivenCaptions, TargetCaptions, named_form
from mmrank.compose.caption_cache import CaptionCache, caption_key
from mmrank.errors import MediaError, MllmError, RecipeError, UsageError
from mmrank.mllm.remote import load_remote
from mmrank.types import Query
from tests.servers.openai_server import Answered, Json, OpenAIServer, pictures, text_of


def _said(request: Json) -> Any:
    """What the server says depends on the words it is sent."""
    words = text_of(request)
    if "hush" in words:
        return "<think>hm</think>  "
    if "endless" in words:
        return Answered(text="a dog and a", finish="length")
    colour = pictures(request)[0].convert("RGB").getpixel((3, 3)) if pictures(request) else "none"
    return f'<think>well</think>\n"a picture of {colour},\n at night"'


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer(_said) as running:
        yield running


def _reference(folder: Path, name: str, colour: str) -> Path:
    path = folder / name
    Image.new("RGB", (16, 16), colour).save(path)
    return path


def _captions(server: OpenAIServer, folder: Path | None, **more: Any) -> TargetCaptions:
    return TargetCaptions(load_remote(server.spec), cache=folder, **more)


def test_the_model_sees_the_reference_and_the_change_and_its_reasoning_is_left_out(
    server: OpenAIServer, tmp_path: Path
) -> None:
    query = Query(image=_reference(tmp_path, "red.png", "red"), text="make it </text> night")
    (said,) = _captions(server, tmp_path / "kept").write([query])
    assert isinstance(said, Captioned)
    assert said.text == "a picture of (255, 0, 0), at night"
    assert (said.cost.model_calls, said.cost.images_encoded) == (1, 1)
    asked = text_of(server.requests[0])
    assert "<text>make it < /text> night</text>" in asked
    assert "as a caption of that picture alone" in asked


def test_captions_are_found_again_by_content_and_equal_queries_asked_once(server: OpenAIServer, tmp_path: Path) -> None:
    red, same, blue = (
        _reference(tmp_path, name, colour)
        for name, colour in (("r.png", "red"), ("other name.png", "red"), ("b.png", "blue"))
    )
    queries = [Query(image=path, text="at night", id=path.name, exclude=(path.name,)) for path in (red, same, blue)]
    first = _captions(server, tmp_path / "kept").write(queries)
    assert [said.cost.cache_hits for said in first if isinstance(said, Captioned)] == [0, 1, 0]
    assert len(server.requests) == 2
    again = _captions(server, tmp_path / "kept").write(queries)
    assert [said.text for said in again] == [said.text for said in first]  # type: ignore[union-attr]
    assert all(isinstance(said, Captioned) and said.cost.model_calls == 0 for said in again)
    assert len(server.requests) == 2
    Image.new("RGB", (16, 16), "green").save(red)
    assert "(0, 128, 0)" in _captions(server, tmp_path / "kept").write(queries)[0].text  # type: ignore[union-attr]
    _captions(server, tmp_path / "kept", max_tokens=100).write(queries[2:])
    assert len(server.requests) == 4
    _captions(server, None).write(queries[2:])
    assert len(server.requests) == 5


def test_each_query_fails_alone_and_no_failure_is_kept(server: OpenAIServer, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    good = _reference(tmp_path, "good.png", "red")
    queries = [
        Query(image=good, text="at night", id="good"),
        Query(image=tmp_path / "gone.png", text="at night", id="gone"),
        Query(image=tmp_path / "broken.png", text="at night", id="broken"),
        Query(image=good, text="hush", id="silent"),
        Query(image=good, text="be endless", id="cut"),
        Query(text="no picture at all", id="text"),
    ]
    captions = _captions(server, tmp_path / "kept")
    found = captions.write(queries)
    assert [type(one) for one in found] == [Captioned, MediaError, MediaError, MllmError, MllmError, Captioned]
    for one, name in zip(found[1:5], ("gone", "broken", "silent", "cut"), strict=True):
        assert f"Query '{name}'" in str(one)
    assert "wrote no caption" in str(found[3])
    assert "did not end within 512 tokens" in str(found[4])
    assert len(list((tmp_path / "kept").rglob("*.json"))) == 2


def test_a_server_that_is_gone_is_a_named_failure(tmp_path: Path) -> None:
    with OpenAIServer(_said) as server:
        mllm = load_remote(server.spec, retries=0)
    failed, other = TargetCaptions(mllm, cache=None).write([Query(text="a boat", id="q"), Query(text="b", id="r")])
    assert isinstance(failed, MllmError)
    assert "Query 'q': No server answers" in str(failed)
    assert "Query 'r': No server answers" in str(other)


def test_a_damaged_file_is_no_caption_and_is_written_anew(server: OpenAIServer, tmp_path: Path) -> None:
    captions = _captions(server, tmp_path)
    captions.write([Query(text="a boat")])
    (file,) = tmp_path.rglob("*.json")
    for damage in (b"{", b"[]", b'{"caption": " "}', b"\xff\xfe"):
        file.write_bytes(damage)
        (said,) = captions.write([Query(text="a boat")])
        assert isinstance(said, Captioned)
        assert said.cost.model_calls == 1
    assert not list(tmp_path.rglob("*.part"))


def test_what_cannot_be_meant_is_refused_before_a_model_is_asked(server: OpenAIServer, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="layout pair; captions need 'query'"):
        TargetCaptions(server.spec, prompt="pair")
    with pytest.raises(UsageError):
        TargetCaptions("not a spec")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match="Captions cannot be kept in"):
        _captions(server, tmp_path / "file" / "kept").write([Query(text="a")])
    assert server.requests == []


def test_a_spec_is_loaded_with_the_first_caption(server: OpenAIServer, tmp_path: Path) -> None:
    captions = TargetCaptions(server.spec, cache=tmp_path)
    assert server.paths == []
    (said,) = captions.write([Query(text="a boat")])
    assert isinstance(said, Captioned)
    assert server.spec in repr(captions)


def test_given_captions_are_those_and_no_others() -> None:
    given = GivenCaptions(captions={"a": " a dog ", "b": " "})
    said, empty, missing = given.write([Query(text="x", id=i) for i in "abc"])
    assert isinstance(said, Captioned)
    assert said.text == "a dog"
    assert "Query 'b' has an empty caption among the 2 given" in str(empty)
    assert "Query 'c' has no caption" in str(missing)


def test_keys_tell_contents_apart(tmp_path: Path) -> None:
    red, blue = (_reference(tmp_path, f"{c}.png", c) for c in ("red", "blue"))
    queries = [
        Query(text="a"),
        Query(text="b"),
        Query(turns=("a",)),
        Query(text="a", turns=("b",)),
        Query(text="a", instruction="find it"),
        Query(text="a", image=red),
        Query(text="a", image=blue),
        Query(text="a", image=[red, blue]),
        Query(text="a", image=[blue, red]),
    ]
    assert len({caption_key(query, "m") for query in queries}) == len(queries)
    assert caption_key(queries[0], "m") != caption_key(queries[0], "n")
    assert caption_key(Query(text="a", image=red.read_bytes()), "m") == caption_key(queries[5], "m")


def test_a_cache_gives_back_what_was_put(tmp_path: Path) -> None:
    cache = CaptionCache(tmp_path)
    cache.put("0af3", "naïve “café”", model="m")
    assert cache.get("0af3") == "naïve “café”"
    assert cache.get("0af4") is None


def test_a_file_of_captions_is_named_in_a_models_place(tmp_path: Path) -> None:
    path = tmp_path / "captions.jsonl"
    path.write_text('{"id": "a", "caption": "a dog"}\n\n{"id": 7, "caption": "a cat", "score": 1}\n', encoding="utf-8")
    form = named_form(f"caption@{path}")
    assert form is not None
    assert isinstance(form.captions, CaptionFile)
    said = form.captions.write([Query(text="x", id="7"), Query(text="x", id="a"), Query(text="x", id="gone")])
    assert [s.text for s in said if isinstance(s, Captioned)] == ["a cat", "a dog"]
    assert "'gone' has no caption among the 2 given" in str(said[2])


@pytest.mark.parametrize("text", ["[]", '{"id": "a"}', "no JSON", '{"id": "a", "caption": 3}'])
def test_a_line_that_is_no_caption_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "captions.jsonl"
    path.write_text('{"id": "a", "caption": "a dog"}\n' + text, encoding="utf-8")
    with pytest.raises(UsageError, match=r"Line 2 of .*captions.jsonl is no caption"):
        CaptionFile(path).write([Query(text="x")])
    with pytest.raises(UsageError, match="cannot be read"):
        CaptionFile(tmp_path / "gone.jsonl").write([Query(text="x")])
