"""The TOML file of `mmrank index --config`: the same settings as the options, kept with the collection.

::

    paths = ["~/Pictures", "papers"]     # relative ones count from the file's own folder, as does `to`
    to = "photos.index"
    model = "vit-b-32"
    kinds = ["image", "page"]
    span_seconds = 30                    # 0 keeps long videos whole
    prune = true                         # forget what is gone from the paths
    sidecars = false                     # leave captions, data and subtitles beside files alone
    on = "ray"                           # build on a Ray cluster: docs/cluster.md

    [metadata]                           # types of metadata keys; others get the type of their first value
    price = "float"
    taken = "date"

    [columns]                            # of tables: which column plays which part
    image = "photo_path"
    id = "sku"
    kind = ""                            # none does: the column of that name is metadata
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mmrank.errors import UsageError
from mmrank.types import Kind


class IndexConfig(BaseModel):
    """What a config file may hold. Everything is optional; an option on the command line wins."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    paths: Annotated[list[str], Field(description="files and folders")] = []
    to: str | None = None
    model: str | None = None
    kinds: list[Kind] | None = None
    span_seconds: Annotated[float | None, Field(ge=0)] = None
    chunk_characters: Annotated[int | None, Field(ge=1)] = None
    batch_size: Annotated[int | None, Field(ge=1)] = None
    workers: Annotated[int | None, Field(ge=1)] = None
    on: str = "here"
    device: str | None = None
    precision: str | None = None
    threads: Annotated[int | None, Field(ge=1)] = None
    columns: Annotated[dict[str, str], Field(description="role -> column of tables")] = {}
    sidecars: bool = True
    file_metadata: bool = True
    prune: bool = False
    verify: bool = False
    strict: bool = False
    metadata: Annotated[dict[str, str], Field(description="types of metadata keys")] = {}


def read_config(path: Path) -> IndexConfig:
    """Read and check a config file; paths in it come back absolute, addresses such as ``s3://`` as they are.

    Raises `UsageError` that names what is wrong: a missing file, broken TOML, unknown keys, values of a wrong type.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"The config file {path} cannot be read: {error.strerror or error}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"The config file {path} is not valid TOML: {error}.") from error
    try:
        config = IndexConfig.model_validate(table)
    except ValidationError as error:
        raise UsageError(f"The config file {path} cannot be used.\n{_explain(error.errors())}") from None
    home = path.absolute().parent
    return config.model_copy(
        update={
            "paths": [_from(home, value) for value in config.paths],
            "to": None if config.to is None else _from(home, config.to),
        }
    )


def _from(home: Path, value: str) -> str:
    return value if "://" in value else str(home / Path(value).expanduser())


def _explain(errors: Sequence[Any]) -> str:
    """One line per mistake, with what may have been meant or is allowed."""
    keys = list(IndexConfig.model_fields)
    lines = []
    for error in errors:
        name = ".".join(str(part) for part in error["loc"])
        if error["type"] == "extra_forbidden":
            near = difflib.get_close_matches(name, keys, n=1)
            lines.append(f"  unknown key {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
        else:
            lines.append(f"  {name}: {error['msg'][:1].lower()}{error['msg'][1:]}, not {error['input']!r}")
    if any(error["type"] == "extra_forbidden" for error in errors):
        lines.append(f"Allowed keys: {', '.join(keys)}.")
    return "\n".join(lines)
