"""Where the bundled assets lie: beside the package in a clone, inside it in an installed wheel."""

from pathlib import Path

from mmrank.toybox.errors import ToyboxError

PACKAGE_FOLDER = Path(__file__).resolve().parent.parent


def assets_folder() -> Path:
    """The folder that holds `toybox/` (sprites, sample media) and `models/`.

    In a wheel it is `mmrank/assets/`, in a clone the folder `assets/` beside the package.

    Raises:
        ToyboxError: neither is there.

    Example:
        >>> (assets_folder() / "toybox" / "sprites" / "names.json").is_file()
        True
    """
    candidates = (PACKAGE_FOLDER / "assets", PACKAGE_FOLDER.parent / "assets")
    for folder in candidates:
        if (folder / "toybox" / "sprites" / "names.json").is_file():
            return folder
    raise ToyboxError(
        f"no toybox assets found; looked in {candidates[0]} and {candidates[1]}. "
        "Reinstall the mmrank wheel, or run from a full clone of the repository."
    )


def sprites_folder() -> Path:
    """The folder of object pictures: `names.json`, one RGBA PNG per object, and their licence."""
    return assets_folder() / "toybox" / "sprites"


def sample_media_folder() -> Path:
    """The bundled sample collection: folders photos, clips, reports and notes, with nothing but media in them."""
    return assets_folder() / "toybox" / "media"


def sample_queries_file() -> Path:
    """The truth about the sample collection: one query a line with its one right answer (`manifest.read_queries`)."""
    return assets_folder() / "toybox" / "queries.jsonl"


def toybox_clip_folder() -> Path:
    """The bundled `toybox-clip` model, to be loaded as `local-dir:` by open_clip."""
    return assets_folder() / "models" / "toybox-clip"


def toybox_vl_folder() -> Path:
    """The bundled `toybox-vl` model, to be loaded with transformers' Auto classes."""
    return assets_folder() / "models" / "toybox-vl"
