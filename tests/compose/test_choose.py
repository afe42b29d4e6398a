"""Which form a query gets."""

from __future__ import annotations

import pytest

from mmrank.compose import FORMS, Sqaf, Sum, choose_form, named_form
from mmrank.compose.forms import CAPTION_FORMS, PLAIN_FORMS
from mmrank.errors import UsageError
from mmrank.types import Query

COMPOSED = Query(image="a.jpg", text="at night")


@pytest.mark.parametrize(
    ("query", "form"),
    [
        (Query(text="a boat"), "text"),
        (Query(turns=("a boat",)), "text"),
        (Query(image="a.jpg"), "image"),
        (Query(video="a.mp4"), "image"),
        (Query(image="a.jpg", text="  "), "image"),
        (COMPOSED, "sum"),
        (Query(video="a.mp4", turns=("at night",)), "sum"),
    ],
)
def test_the_form_follows_from_what_the_query_has(query: Query, form: str) -> None:
    chosen = choose_form(query)
    assert (chosen.name, chosen.syntax) == (form, False)
    assert choose_form(query, takes_whole=True).name == "whole"
    weighted = choose_form(query, "weighted", takes_whole=True)
    assert (weighted.name, weighted.syntax) == (form, True)


def test_the_text_weight_is_the_embedders_unless_the_form_names_one() -> None:
    chosen = [choose_form(COMPOSED, form, text_weight=0.7) for form in (None, "sum", "slerp", Sum(alpha=0.2))]
    assert [form.alpha for form in chosen if isinstance(form, Sum)] == [0.7, 0.7, 0.7, 0.2]


def test_every_name_gives_its_form() -> None:
    assert {name for name in FORMS if "@" not in name} == {*PLAIN_FORMS, "weighted"}
    for name, form in PLAIN_FORMS.items():
        assert named_form(name) is form
    for name, made in CAPTION_FORMS.items():
        form = named_form(f"{name}@openai:http://localhost:1/v1#m")
        assert isinstance(form, made)
        assert named_form(f"{name}@openai:http://localhost:1/v1#m") is form  # its model is loaded once


def test_a_name_with_a_model_reads_the_spec_and_loads_nothing() -> None:
    form = named_form("sqaf@qwen3-vl-8b")
    assert isinstance(form, Sqaf)
    assert "Qwen/Qwen3-VL-8B-Instruct" in repr(form)
    with pytest.raises(UsageError, match="qwen"):
        named_form("sqaf@qwen3-vl-9b")


def test_forms_that_cannot_be_meant() -> None:
    with pytest.raises(UsageError, match=r"Query 'q' is empty; it needs a text, an image, a video"):
        choose_form(Query(id="q", text=" "))
    with pytest.raises(UsageError, match=r"Query 'q' has no image, which the form 'sum' needs; it has text"):
        choose_form(Query(id="q", text="a"), "sum")
    with pytest.raises(UsageError, match=r"Query 'q' has no image, which the form 'intersection' needs"):
        choose_form(Query(id="q", text="a"), "intersection")
    with pytest.raises(UsageError, match=r"no form 'intersektion'.*Did you mean intersection\?"):
        choose_form(COMPOSED, "intersektion")
    with pytest.raises(UsageError, match=r"'sqaf' needs a model .* sqaf@MODEL .*Sqaf\(captioner=\.\.\.\)"):
        choose_form(COMPOSED, "sqaf")
    with pytest.raises(UsageError, match="'caption' needs a model"):
        choose_form(COMPOSED, "caption@ ")
    with pytest.raises(UsageError, match="'whole' is for embedders that take texts and pictures together"):
        choose_form(COMPOSED, "whole")
    with pytest.raises(UsageError, match="compose is 3; give the name of a form"):
        choose_form(COMPOSED, 3)  # type: ignore[arg-type]


@pytest.mark.parametrize("compose", ["sum", "slerp", "text", "intersection", "image", None])
def test_blank_words_leave_the_picture_to_ask(compose: str | None) -> None:
    """Row 27098 of CIRR's test1: the server wants an answer to it, too."""
    assert choose_form(Query(text=" ", image="a.png"), compose).name == "image"


def test_no_words_at_all_are_not_blank_words() -> None:
    with pytest.raises(UsageError, match="has no text"):
        choose_form(Query(image="a.png"), "sum")
