"""Where the files that come with mmrank lie: inside the package once installed, beside it in a checkout."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from mmrank.errors import MmrankError


def bundled_folder(relative: str, alias: str, error: type[MmrankError]) -> Path:
    """The folder `relative` of the bundled assets, of the model known as `alias`.

    Raises `error` when this installation does not have it, and says where it was looked for.

    >>> bundled_folder("models/toybox-clip", "toybox-clip", MmrankError).name
    'toybox-clip'
    """
    package = Path(str(resources.files("mmrank")))
    candidates = [package / "assets" / relative, package.parent / "assets" / relative]
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    looked = " and ".join(str(candidate) for candidate in candidates)
    raise error(f"The bundled model {alias!r} is not part of this installation (looked in {looked}).")


def bundled_pipeline(path: Path) -> Path | None:
    """The pipeline file that comes with mmrank under the name ``NAME.toml`` or ``indexes/NAME.toml``; None: none does.

    >>> found = bundled_pipeline(Path("indexes/square.toml"))
    >>> found is not None and found.name
    'square.toml'
    """
    if path.parts not in {("indexes", path.name), (path.name,)}:
        return None
    package = Path(str(resources.files("mmrank")))
    candidates = (package / "indexes" / path.name, package.parent / "indexes" / path.name)
    return next((candidate for candidate in candidates if candidate.is_file()), None)
