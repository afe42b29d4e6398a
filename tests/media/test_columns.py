from __future__ import annotations

import pytest

from mmrank.errors import MediaError, UsageError
from mmrank.media.columns import Columns


def test_names_are_compared_without_case_and_white_space() -> None:
    roles = Columns({}).resolve([" Image ", "CAPTION", "Year"], "t.csv")
    assert {role: columns for role, columns in roles.items() if columns} == {"image": ("image",), "text": ("caption",)}


def test_a_mapped_medium_turns_the_usual_media_into_metadata() -> None:
    roles = Columns({"video": "Clip"}).resolve(["clip", "image", "uri", "text"], "t.csv")
    assert (roles["video"], roles["image"], roles["uri"], roles["text"]) == (("clip",), (), (), ("text",))


def test_a_column_that_one_role_claims_is_no_other_by_its_name() -> None:
    roles = Columns({"id": "text", "image": "caption"}).resolve(["text", "caption"], "t.csv")
    assert (roles["id"], roles["image"], roles["text"]) == (("text",), ("caption",), ())


def test_a_table_may_declare_its_pictures_itself() -> None:
    columns = Columns({})
    assert columns.resolve(["img", "text"], "t.arrow", image="img")["image"] == ("img",)
    assert columns.resolve(["img", "image"], "t.arrow", image="img")["image"] == ("image",)
    assert Columns({"video": "clip"}).resolve(["img", "clip"], "t.arrow", image="img")["image"] == ()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"picture": "a"}, "'picture', which is no part of an Item"),
        ({"imag": "a"}, "did you mean 'image'"),
        ({"image": "a", "text": "A"}, "two roles to 'a'"),
        ({"image": 3}, "maps to 3"),
    ],
)
def test_what_is_no_mapping_is_refused(given: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Columns(given)


def test_a_table_without_anything_to_find_says_what_it_has() -> None:
    with pytest.raises(MediaError, match=r"columns a, b; an Item needs one of .*--column image=a"):
        Columns({}).resolve(["a", "b"], "t.csv")
    with pytest.raises(MediaError, match="has the columns a"):
        Columns({"text": ""}).resolve(["a", "text"], "t.csv")
