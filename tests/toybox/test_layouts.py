import filecmp
from pathlib import Path

import pytest

from mmrank.toybox import ToyboxError, write_toybox
from mmrank.toybox.assets import sample_media_folder, sample_queries_file
from mmrank.toybox.manifest import read_queries

SMALL = {"images": 12, "videos": 2, "pages": 3, "notes": 2}


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_same_seed_same_bytes(tmp_path) -> None:
    write_toybox(tmp_path / "a", **SMALL, seed=5)
    write_toybox(tmp_path / "b", **SMALL, seed=5)
    names = files(tmp_path / "a")
    assert names == files(tmp_path / "b")
    assert filecmp.cmpfiles(tmp_path / "a", tmp_path / "b", names, shallow=False) == (names, [], [])
    write_toybox(tmp_path / "c", **SMALL, seed=6)
    assert (tmp_path / "c" / "queries.jsonl").read_text() != (tmp_path / "a" / "queries.jsonl").read_text()


def test_manifest_matches_the_files(tmp_path) -> None:
    manifest = write_toybox(tmp_path, **SMALL)
    assert manifest.cirr == tmp_path / "cirr"
    assert manifest.msrvtt == tmp_path / "msrvtt"
    assert read_queries(tmp_path / "queries.jsonl") == manifest.queries
    on_disk = {item.path.split("#")[0] for item in manifest.items}
    assert on_disk == set(files(manifest.media)), "the media folder holds media and nothing else"


def test_only_the_wanted_layouts(tmp_path) -> None:
    manifest = write_toybox(tmp_path, **SMALL, layouts=["cirr"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cirr"]
    assert manifest.items == ()
    assert manifest.msrvtt is None


def test_nothing_wanted_nothing_written(tmp_path) -> None:
    manifest = write_toybox(tmp_path, images=0, videos=0, pages=0, notes=0)
    assert manifest.items == manifest.queries == ()
    assert manifest.cirr is None


def test_wrong_arguments_are_refused(tmp_path) -> None:
    with pytest.raises(ToyboxError, match="pages is -1"):
        write_toybox(tmp_path, pages=-1)
    with pytest.raises(ToyboxError, match="coco"):
        write_toybox(tmp_path, layouts=["coco"])


def test_bundled_sample_is_what_the_defaults_write(tmp_path) -> None:
    """Texts and counts, not bytes: encoders differ between machines."""
    manifest = write_toybox(tmp_path, layouts=["media"])
    assert read_queries(sample_queries_file()) == manifest.queries
    assert files(sample_media_folder()) == files(manifest.media)
