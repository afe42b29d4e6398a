"""The registry: rows, names, splits, options, samples, files that are not the official ones."""

from __future__ import annotations

import inspect
from importlib import import_module

import pytest

import mmrank as mm
from mmrank.errors import UsageError
from mmrank.evaluation.datasets.registry import Option, find_dataset, list_datasets, load_dataset


@pytest.mark.parametrize("row", list_datasets(), ids=lambda row: row.name)
def test_every_row_leads_to_a_reader_that_takes_its_options(row) -> None:
    module, _, function = row.reader.partition(":")
    read = getattr(import_module(module), function)
    parameters = inspect.signature(read).parameters
    assert list(parameters)[:3] == ["root", "split", "media"]
    named = [name for name, parameter in parameters.items() if parameter.kind is inspect.Parameter.KEYWORD_ONLY]
    assert named == [option.name for option in row.options]
    for option in row.options:
        default = parameters[option.name].default
        if option.kind == "choice":
            assert default == option.values[0]
        elif option.kind == "flag":
            assert default is False
        elif option.kind == "count":
            assert default is None or str(default) == option.default
        else:
            assert default is None
    assert row.splits
    assert all(target in {split.name for split in row.splits} for target in row.aliases.values())
    assert all((row.title, row.protocol, row.media, row.source, row.licence))


def test_names_in_any_case() -> None:
    assert find_dataset("Chat_IR").name == "chat-ir"
    with pytest.raises(UsageError, match=r"there are: cirr, circo.* Did you mean fashioniq\?"):
        find_dataset("fashion-iq")


def test_splits_and_aliases() -> None:
    row = find_dataset("cirr")
    assert row.split(None).name == "val"
    assert row.split("test").name == "test1"
    with pytest.raises(UsageError, match="CIRR has no split 'dev'; it has val, test1, train"):
        row.split("dev")


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        ("flag", "Yes", True),
        ("flag", False, False),
        ("count", "5", 5),
        ("count", 5, 5),
        ("text", "a, b", "a, b"),
        ("choice", "b", "b"),
    ],
)
def test_words_become_values(kind, given, value) -> None:
    assert Option(name="x", kind=kind, help="", values=("a", "b")).value(given) == value


@pytest.mark.parametrize(
    ("kind", "given", "words"),
    [
        ("flag", "perhaps", "yes or no"),
        ("count", "0", "a number from 1"),
        ("count", "-3", "a number from 1"),
        ("text", " ", "a text"),
        ("path", "", "a path"),
        ("choice", "c", "a or b"),
    ],
)
def test_what_cannot_be_meant_is_refused(kind, given, words) -> None:
    with pytest.raises(UsageError, match=f"The option x is {given!r}; it takes {words}"):
        Option(name="x", kind=kind, help="", values=("a", "b")).value(given)


def test_paths_begin_at_home() -> None:
    assert "~" not in str(Option(name="x", kind="path", help="").value("~/a"))


@pytest.fixture
def cirr(tmp_path, write):
    names = [f"dev-{number}" for number in range(5)]
    rows = [
        {
            "pairid": number,
            "reference": names[number],
            "target_hard": names[number + 1],
            "target_soft": {names[number + 1]: 1.0},
            "caption": "other",
            "img_set": {"members": names},
        }
        for number in range(4)
    ]
    write(tmp_path / "cirr/captions/cap.rc2.val.json", rows)
    write(tmp_path / "cirr/image_splits/split.rc2.val.json", {name: f"./dev/{name}.png" for name in names})
    return tmp_path


def test_a_sample_says_so(cirr) -> None:
    dataset = mm.load_dataset("cirr", str(cirr), media="none", limit=3)
    (task,) = dataset.tasks
    assert [query.id for query in task.queries] == ["0", "1", "2"]
    assert set(task.relevant) == set(task.members) == {"0", "1", "2"}
    assert len(task.gallery) == 5
    assert dataset.protocol.endswith("SAMPLE of 3 queries a task")
    assert dataset.submit is None
    assert mm.load_dataset("cirr", cirr, media="none", limit=4).sample is None
    with pytest.raises(UsageError, match="limit is 0"):
        load_dataset("cirr", cirr, limit=0)


def test_other_files_than_the_official_ones_are_said(cirr) -> None:
    words = "NOT THE OFFICIAL FILES: 4 queries and a gallery of 5, officially 4,181 and 2,297"
    assert words in load_dataset("cirr", cirr, media="none").protocol
    assert words in load_dataset("cirr", cirr, media="none", labels="soft").protocol


def test_options_are_checked_before_anything_is_read(tmp_path) -> None:
    with pytest.raises(UsageError, match=r"CIRR has no option 'label'. Its options: labels \(hard or soft\)"):
        load_dataset("cirr", tmp_path, label="soft")
    with pytest.raises(UsageError, match="labels is 'mixed'; it takes hard or soft"):
        load_dataset("cirr", tmp_path, labels="mixed")
    with pytest.raises(UsageError, match="media is 'some'"):
        load_dataset("cirr", tmp_path, media="some")
    with pytest.raises(UsageError, match="There is no folder"):
        load_dataset("cirr", tmp_path / "nowhere", labels=None)


@pytest.mark.compare
@pytest.mark.parametrize("name", ["cirr", "mmdocir", "fashioniq", "msrvtt"])
def test_real_files_are_the_official_ones(real, name) -> None:
    assert "NOT THE OFFICIAL FILES" not in load_dataset(name, real(name), media="none").protocol
