"""Templates with named slots."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrank.errors import RecipeError
from mmrank.prompts.slots import check_slots, slot_names, split_slots


def test_doubled_braces_are_braces_and_slots_are_split_off() -> None:
    assert split_slots('{{"1": {count}}}') == (("{", None), ('"1": ', "count"), ("}", None))
    assert slot_names('{{"1": {count}}}') == ("count",)


@pytest.mark.parametrize("template", ["{", "}", "{a!r}", "{a:>3}", "{}", "{0}", "{a.b}", "{a[0]}", "{a b}"])
def test_anything_but_a_plain_name_is_refused(template: str) -> None:
    with pytest.raises(RecipeError, match="[Ss]lot"):
        split_slots(template)


@given(st.text())
def test_words_with_doubled_braces_come_back_as_they_were(words: str) -> None:
    pieces = split_slots(words.replace("{", "{{").replace("}", "}}"))
    assert "".join(piece for piece, _ in pieces) == words
    assert all(name is None for _, name in pieces)


def test_check_slots_names_the_slot_and_what_is_allowed() -> None:
    with pytest.raises(RecipeError, match=r"user has the slot \{querry\}; allowed there: \{query\}"):
        check_slots("{querry}", "user", allowed={"query"})
    with pytest.raises(RecipeError, match="once; it has it 2 times"):
        check_slots("{query}{query}", "user", allowed={"query"}, needed=("query",))
