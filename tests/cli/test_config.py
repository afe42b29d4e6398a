"""The config file of `mmrank index`."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmrank.cli.config import read_config
from mmrank.errors import UsageError


@pytest.fixture
def written(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "photos.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_everything_it_may_hold(written, tmp_path: Path) -> None:
    config = read_config(
        written(
            'paths = ["photos", "/data/x", "~/y"]\nto = "s3://bucket/index"\nmodel = "vit-b-32"\nkinds = ["image"]\n'
            "span_seconds = 20\nchunk_characters = 500\nbatch_size = 8\nworkers = 2\nstrict = true\n"
            'device = "cpu"\nprecision = "float32"\nthreads = 1\n'
        )
    )
    assert config.paths == [str(tmp_path / "photos"), "/data/x", str(Path("~/y").expanduser())]
    assert config.to == "s3://bucket/index"
    assert (config.kinds, config.span_seconds, config.threads) == (["image"], 20.0, 1)


def test_to_counts_from_the_files_own_folder(written, tmp_path: Path) -> None:
    assert read_config(written('to = "here.index"')).to == str(tmp_path / "here.index")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('path = ["a"]', "unknown key 'path'; did you mean 'paths'?"),
        ("zzz = 1", "Allowed keys: paths, to, model"),
        ('workers = "two"', "workers: input should be a valid integer, not 'two'"),
        ("batch_size = 0", "batch_size: input should be greater than or equal to 1, not 0"),
        ('kinds = ["photo"]', "kinds.0: input should be 'text', 'image', 'page' or 'video', not 'photo'"),
        ("paths = [", "is not valid TOML"),
    ],
)
def test_mistakes_are_named(written, text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_config(written(text))
    assert said in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"gone\.toml cannot be read: No such file"):
        read_config(tmp_path / "gone.toml")
