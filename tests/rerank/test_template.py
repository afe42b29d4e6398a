"""Filling templates: what becomes one part, and where the shared prefix ends."""

from __future__ import annotations

from mmrank.mllm.prompt import ImagePart, Picture, TextPart
from mmrank.rerank.template import fill


def picture() -> ImagePart:
    def never() -> object:
        raise AssertionError("layouts must not open pictures")

    return ImagePart(picture=Picture(key="k", width=1, height=1, open=never))  # type: ignore[arg-type]


CAT = TextPart(text="cat", data=True)


def test_words_join_and_parts_split() -> None:
    shown = picture()
    filled = fill("{count} of {last}: {query}, {sheet}", {"count": "3", "last": "C", "query": [CAT], "sheet": [shown]})
    assert filled.parts == (TextPart(text="3 of C: "), CAT, TextPart(text=", "), shown)


def test_values_are_not_read_as_templates() -> None:
    assert fill("{query}", {"query": "{count}"}).parts == (TextPart(text="{count}"),)


def test_the_shared_prefix_ends_where_something_moves() -> None:
    values = {"query": [CAT], "count": "3", "document": [CAT]}
    assert fill("Q: {query} D: {document} end", values, moving={"document"}).shared == 3
    assert fill("Q: {query} of {count}", values, moving={"count"}).shared == 2
    assert fill("{count} Q: {query}", values, moving={"count"}).shared == 0
    assert fill("Q: {query} end", values, moving={"document"}).shared == 3


def test_a_slot_without_parts_leaves_nothing() -> None:
    assert fill("a{query}b", {"query": ()}).parts == (TextPart(text="a"), TextPart(text="b"))
