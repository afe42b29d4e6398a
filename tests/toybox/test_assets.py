import json

import pytest

from mmrank.toybox import ToyboxError, assets


def test_bundled_folders_are_found() -> None:
    assert (assets.sprites_folder() / "LICENSE.txt").is_file()
    assert assets.sample_media_folder().is_dir()
    assert assets.sample_queries_file().is_file()
    assert (assets.toybox_clip_folder() / "open_clip_model.safetensors").is_file()


def test_assets_inside_the_package_win(tmp_path, monkeypatch) -> None:
    package = tmp_path / "mmrank"
    names = package / "assets" / "toybox" / "sprites" / "names.json"
    names.parent.mkdir(parents=True)
    names.write_text(json.dumps([]))
    monkeypatch.setattr(assets, "PACKAGE_FOLDER", package)
    assert assets.assets_folder() == package / "assets"


def test_missing_assets_say_where_they_were_looked_for(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(assets, "PACKAGE_FOLDER", tmp_path / "mmrank")
    with pytest.raises(ToyboxError, match="Reinstall"):
        assets.assets_folder()


def test_assets_stay_small() -> None:
    """They travel in the wheel: 28 MB together at most."""
    files = [path for path in assets.assets_folder().rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 28_000_000
