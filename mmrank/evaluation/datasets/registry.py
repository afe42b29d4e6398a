"""Which data sets there are, and reading one by its name."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module, resources
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast, get_args

from mmrank.errors import UsageError
from mmrank.evaluation.dataset import Dataset, DatasetError, Media, Task

OptionKind: TypeAlias = Literal["choice", "flag", "count", "text", "path"]
OptionValue: TypeAlias = str | int | bool | Path

_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """What a reader can be told. `values`: of a choice, the default first. `default`: for readers, not for programs.

    `same_size`: it changes neither the number of queries nor the gallery's, whatever it is set to.
    """

    name: str
    kind: OptionKind
    help: str
    values: tuple[str, ...] = ()
    default: str | None = None
    same_size: bool = False

    def value(self, given: object) -> OptionValue:
        """What was given, as the reader takes it; words become flags, numbers and paths.

        Raises `UsageError` that says what is allowed.

        >>> Option(name="labels", kind="choice", help="", values=("hard", "soft")).value("soft")
        'soft'
        >>> Option(name="turns", kind="flag", help="").value("yes")
        True
        """
        if self.kind == "choice" and str(given) in self.values:
            return str(given)
        if self.kind == "flag" and str(given).lower() in _WORDS:
            return _WORDS[str(given).lower()]
        if self.kind == "count" and str(given).isdecimal() and int(str(given)) > 0:
            return int(str(given))
        if self.kind == "path" and isinstance(given, str | Path) and str(given):
            return Path(given).expanduser()
        if self.kind == "text" and isinstance(given, str) and given.strip():
            return given
        raise UsageError(f"The option {self.name} is {given!r}; it takes {self.allowed}.")

    @property
    def allowed(self) -> str:
        """What it takes, in words."""
        words = {"flag": "yes or no", "count": "a number from 1", "text": "a text", "path": "a path"}
        return words.get(self.kind) or " or ".join(self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """A split: its size in words and, where verified, the (queries, gallery) of each task."""

    name: str
    size: str
    tasks: Mapping[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetRow:
    """One table of `registry.toml`, where the fields are explained. The first split is the default."""

    name: str
    title: str
    reader: str
    protocol: str
    media: str
    source: str
    licence: str
    splits: tuple[Split, ...]
    aliases: Mapping[str, str] = field(default_factory=dict)
    options: tuple[Option, ...] = ()

    def split(self, name: str | None) -> Split:
        """The split of that name or alias, the default for None. Raises `UsageError` that lists them."""
        if name is None:
            return self.splits[0]
        wanted = self.aliases.get(name, name)
        for split in self.splits:
            if split.name == wanted:
                return split
        known = ", ".join(split.name for split in self.splits)
        raise UsageError(f"{self.title} has no split {name!r}; it has {known}.")

    def option(self, name: str) -> Option:
        """The option of that name. Raises `UsageError` that lists them."""
        for option in self.options:
            if option.name == name:
                return option
        known = "; ".join(f"{option.name} ({option.allowed})" for option in self.options) or "none"
        raise UsageError(f"{self.title} has no option {name!r}. Its options: {known}.")


@cache
def list_datasets() -> tuple[DatasetRow, ...]:
    """Every known data set, in the order of `registry.toml`.

    >>> list_datasets()[0].title
    'CIRR'
    """
    text = resources.files("mmrank.evaluation.datasets").joinpath("registry.toml").read_text("utf-8")
    return tuple(_row(name, table) for name, table in tomllib.loads(text).items())


def _row(name: str, table: dict[str, Any]) -> DatasetRow:
    splits = [
        Split(name=split, size=row["size"], tasks={task: (n, m) for task, (n, m) in row.get("tasks", {}).items()})
        for split, row in table.pop("splits").items()
    ]
    options = [
        Option(
            name=option,
            kind="choice" if "values" in row else row["kind"],
            help=row["help"],
            values=tuple(row.get("values", ())),
            default=row["values"][0] if "values" in row else row.get("default"),
            same_size=row.get("same_size", row.get("kind") == "path"),
        )
        for option, row in table.pop("options", {}).items()
    ]
    return DatasetRow(name=name, splits=tuple(splits), options=tuple(options), **table)


def find_dataset(name: str) -> DatasetRow:
    """The data set of that name, in any case and with ``_`` for ``-``. Raises `UsageError` that lists the names.

    >>> find_dataset("CIRR").splits[0].name
    'val'
    """
    wanted = name.strip().lower().replace("_", "-")
    rows = {row.name: row for row in list_datasets()}
    if wanted in rows:
        return rows[wanted]
    near = difflib.get_close_matches(wanted, rows, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise UsageError(f"There is no data set {name!r}; there are: {', '.join(rows)}.{hint}")


def load_dataset(
    name: str,
    root: str | Path,
    split: str | None = None,
    *,
    media: Media = "required",
    limit: int | None = None,
    **options: object,
) -> Dataset:
    """Read a data set from its download, unmodified, under its official protocol.

    Args:
        name: as `mmrank datasets` lists them.
        root: the folder of the download.
        split: a name or alias of the split; None: the default.
        media: "required": every file must be there; "allow_missing": queries and items without files are left out,
            counted and named; "none": nothing has to be there, because given runs or matrices are scored.
        limit: keep the first so many queries of each task; the Dataset then says that it is a sample.
        options: what this data set's reader can be told, as `mmrank datasets NAME` lists it.

    Raises:
        UsageError: an unknown name, split or option, with what is allowed.
        DatasetError: files that are not there or cannot be read, with what was looked for and where.

    Example:
        >>> import tempfile
        >>> from mmrank.toybox import write_toybox
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     made = write_toybox(folder, images=12, videos=0, layouts=["cirr"])
        ...     load_dataset("toybox-cirr", folder).protocol
        'Toybox (CIRR layout) val, hard targets, 12 gallery'
    """
    row = find_dataset(name)
    chosen = row.split(split)
    if media not in get_args(Media):
        raise UsageError(f"media is {media!r}; it must be one of {', '.join(get_args(Media))}.")
    if limit is not None and limit < 1:
        raise UsageError(f"limit is {limit}; keep at least 1 query, or leave it out for all.")
    told = {key: row.option(key).value(value) for key, value in options.items() if value is not None}
    module, _, function = row.reader.partition(":")
    read = cast("Callable[..., Dataset]", getattr(import_module(module), function))
    dataset = read(Path(root).expanduser(), chosen.name, media, **told)
    if all(row.option(key).same_size or str(value) == row.option(key).default for key, value in told.items()):
        dataset = _compared(dataset, chosen)
    return dataset if limit is None else _first_queries(dataset, limit)


def _compared(dataset: Dataset, split: Split) -> Dataset:
    """The data set, with a variant that says so where the files hold other counts than the official split."""
    if dataset.missing or dataset.dropped:
        return dataset  # its name says so already
    read = {task.name: (len(task.queries), len(task.gallery)) for task in dataset.tasks}
    other = {name: size for name, size in read.items() if split.tasks.get(name, size) != size}
    if not other:
        return dataset
    name, (queries, gallery) = next(iter(other.items()))
    official = split.tasks[name]
    words = (
        f"NOT THE OFFICIAL FILES: {queries:,} queries and a gallery of {gallery:,}{f' in {name}' if name else ''}, "
        f"officially {official[0]:,} and {official[1]:,}"
    )
    return replace(dataset, variant=", ".join(part for part in (dataset.variant, words) if part))


def _first_queries(dataset: Dataset, limit: int) -> Dataset:
    if all(len(task.queries) <= limit for task in dataset.tasks):
        return dataset
    # A test server takes no samples, and the writer of the official files knows the whole task.
    return replace(dataset, tasks=tuple(_first(task, limit) for task in dataset.tasks), sample=limit, submit=None)


def _first(task: Task, limit: int) -> Task:
    queries = task.queries[:limit]
    kept = {query.id for query in queries}
    return replace(
        task,
        queries=queries,
        relevant={query: gains for query, gains in task.relevant.items() if query in kept},
        members=None if task.members is None else {q: ids for q, ids in task.members.items() if q in kept},
        labels={query: labels for query, labels in task.labels.items() if query in kept},
    )


__all__ = ["DatasetError", "DatasetRow", "Option", "Split", "find_dataset", "list_datasets", "load_dataset"]
