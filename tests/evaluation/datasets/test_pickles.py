"""Pickles from strangers: plain values are read, anything that would run is refused and does not run."""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmrank.evaluation.dataset import DatasetError
from mmrank.evaluation.datasets.pickles import read_pickle


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "captions.pkl"
    path.write_bytes(content)
    return path


class Runs:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_containers_of_every_protocol(tmp_path: Path, protocol: int) -> None:
    value = {"a_1_2": [["a", "dog"], ["naïve"]], "b": [("x",), {1, 2}, frozenset("y"), 3, 2.5, True, None, b"raw"]}
    assert read_pickle(written(tmp_path, pickle.dumps(value, protocol))) == value


def test_ordered_and_default_dicts_are_dicts(tmp_path: Path) -> None:
    value = defaultdict(list, {"a": [1]})
    assert read_pickle(written(tmp_path, pickle.dumps([OrderedDict(z=1), value]))) == [{"z": 1}, {"a": [1]}]


@pytest.mark.parametrize(
    "number", [np.int64(7), np.int32(-7), np.uint8(7), np.float32(0.5), np.float64(7), np.bool_(True)]
)
def test_single_numbers_of_numpy_are_numbers(tmp_path: Path, number: np.generic) -> None:
    read = read_pickle(written(tmp_path, pickle.dumps({"video7010": number})))
    assert read == {"video7010": number.item()}
    assert type(read["video7010"]) is type(number.item())


def test_numbers_of_old_numpy_and_of_the_other_byte_order(tmp_path: Path) -> None:
    content = pickle.dumps(np.int64(258), protocol=2).replace(b"numpy._core", b"numpy.core")
    assert read_pickle(written(tmp_path, content)) == 258
    order = b"X\x01\x00\x00\x00"
    assert content.count(order + b"<") == 1
    swapped = content.replace(order + b"<", order + b">")
    assert read_pickle(written(tmp_path, swapped)) == int.from_bytes((258).to_bytes(8, "little"), "big")


def test_texts_of_python_2_as_utf8_else_latin_1(tmp_path: Path) -> None:
    utf8 = b"(dp0\nS'vid'\np1\n(lp2\nS'caf\\xc3\\xa9'\np3\nas."
    assert read_pickle(written(tmp_path, utf8)) == {"vid": ["café"]}
    assert read_pickle(written(tmp_path, utf8.replace(b"\\xc3\\xa9", b"\\xe9"))) == {"vid": ["café"]}


def test_what_would_run_is_refused_and_does_not_run(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    with pytest.raises(DatasetError, match="mkdir, and only plain values are read"):
        read_pickle(written(tmp_path, pickle.dumps({"a": Runs(folder)})))
    assert not folder.exists()


@pytest.mark.parametrize(
    "value", [np.zeros(3), np.array(["x"], dtype=object), Path("a"), np.dtype("O"), np.dtype("V8")]
)
def test_other_objects_are_refused(tmp_path: Path, value: object) -> None:
    with pytest.raises(DatasetError, match="plain"):
        read_pickle(written(tmp_path, pickle.dumps(value)))


def test_only_the_one_coding_of_bytes_is_read(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="bytes written as 'utf-7', and only latin1 is read"):
        read_pickle(written(tmp_path, b"c_codecs\nencode\n(Vabc\nVutf-7\ntR."))


@pytest.mark.parametrize(
    "content", [b"", b"not a pickle", pickle.dumps({"a": ["b"] * 9})[:-5], b"\x80\x04R.", b"(dp0\nS'\\xe9'\np1\n"]
)
def test_damage_is_an_error_that_names_the_file(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(DatasetError, match=r"captions\.pkl .*Download it again"):
        read_pickle(written(tmp_path, content))
