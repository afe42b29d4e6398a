"""``mmrank index``: files and folders into an index."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmrank.cli.command import COULD_NOT
from mmrank.cli.index_report import print_report, report_json
from mmrank.cli.options import Debug, Device, Json, Kinds, Precision, Threads, kinds_named
from mmrank.cli.output import print_json, say, stdout_for_json, warn
from mmrank.errors import IndexStoreError, NoIndexError, UsageError

if TYPE_CHECKING:
    from mmrank.cli.config import IndexConfig
    from mmrank.embed.base import Embedder
    from mmrank.index.report import AddReport
    from mmrank.index.workers import Workers
    from mmrank.media.scan import Scan


def index(
    paths: Annotated[list[str] | None, typer.Argument(metavar="PATH...", help="Files and folders to index.")] = None,
    *,
    to: Annotated[str | None, typer.Option(metavar="DIR", help="Where the index is, or is to be. Required.")] = None,
    model: Annotated[
        str | None, typer.Option(metavar="SPEC", help="The embedding model; see `mmrank models`. Default: vit-b-32.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE.toml", help="Read paths, to, model and more from a file.")
    ] = None,
    kind: Kinds = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ROLE=NAME",
            help="Which column of a CSV, JSONL, Parquet or Arrow file is the id, image, video, pdf, uri, text, kind or "
            "parent; the others are metadata. ROLE= alone: no column is. Repeatable.",
        ),
    ] = None,
    no_sidecars: Annotated[
        bool, typer.Option("--no-sidecars", help="Leave out captions, data and subtitles that lie beside files.")
    ] = False,
    no_file_metadata: Annotated[
        bool, typer.Option("--no-file-metadata", help="Leave out what files say of themselves: time, camera, size.")
    ] = False,
    batch_size: Annotated[int | None, typer.Option(min=1, metavar="N", help="Items the model sees at once.")] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Threads that decode ahead of the model; with --on ray, workers."),
    ] = None,
    on: Annotated[
        str | None,
        typer.Option(
            metavar="WHERE",
            help="Who decodes and embeds: `here` (the default), `ray` (the cluster of RAY_ADDRESS, or workers on this "
            "computer), or a cluster's address, such as head:6379 or ray://head:10001.",
        ),
    ] = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Afterwards remove what is in the index and no longer in these paths.")
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Hash every file, also those whose size and time are what they were.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 when a file could not be indexed.")] = False,
    log: Annotated[Path | None, typer.Option(metavar="FILE", help="Append a detailed log to this file.")] = None,
    json: Json = False,
    device: Device = None,
    precision: Precision = None,
    threads: Threads = None,
    debug: Debug = False,
) -> None:
    """Index photos, PDFs, videos, notes, and what tables and tar shards name or hold, to be searched by meaning.

    Only what is new or changed is worked on. Stop it whenever you like: the same command goes on where it stopped.
    Files that cannot be read are listed, and the rest goes on.

    \b
    mmrank index ~/Pictures --to pictures.index
    mmrank index notes papers talk.mp4 --to work.index --kind text --kind page
    mmrank index products.csv --column image=photo --column id=sku --to products.index
    mmrank index shards/train-*.tar --to train.index
    """
    settings = _settings(
        config,
        paths=paths,
        to=to,
        model=model,
        kinds=kinds_named(kind),
        columns=columns_named(column),
        sidecars=False if no_sidecars else None,
        file_metadata=False if no_file_metadata else None,
        batch_size=batch_size,
        workers=workers,
        on=on,
        prune=prune or None,
        verify=verify or None,
        strict=strict or None,
        device=device,
        precision=precision,
        threads=threads,
    )
    with stdout_for_json(json):
        if log is not None:
            write_log(log)
        report, found, spec = build(settings)
    if json:
        print_json(report_json(report, found))
    else:
        print_report(report, found, spec, settings.to or "")
    if settings.strict and report.failed:
        raise typer.Exit(COULD_NOT)


def build(settings: IndexConfig) -> tuple[AddReport, Scan, str]:
    """Do the work: open the model and the index, scan, add. Returns the report, the scan and the model's spec."""
    from mmrank.cli.progress import BuildProgress
    from mmrank.index.build import BATCH_SIZE
    from mmrank.index.index import Index
    from mmrank.media.scan import SPAN_SECONDS, scan
    from mmrank.media.texts import CHUNK_CHARACTERS

    def scanned() -> Scan:
        return scan(
            settings.paths,
            kinds=settings.kinds,
            span_seconds=SPAN_SECONDS if settings.span_seconds is None else (settings.span_seconds or None),
            chunk_characters=settings.chunk_characters or CHUNK_CHARACTERS,
            columns=settings.columns,
            metadata=settings.file_metadata,
            sidecars=settings.sidecars,
        )

    workers = workers_of(settings)
    found = scanned()  # says at once when a path is not there, before a model is loaded
    embedder = _embedder(settings)
    target = Index.create(settings.to or "", embedder, metadata=settings.metadata)
    size = BATCH_SIZE if settings.batch_size is None else settings.batch_size
    elsewhere = any("://" in path for path in settings.paths)  # listing a bucket twice costs requests
    with BuildProgress("Indexing", None if elsewhere else scanned()) as progress:
        report = target.add(
            found,
            batch_size=size,
            workers=workers,
            progress=progress,
            prune=settings.prune,
            verify=settings.verify,
        )
    return report, found, embedder.spec


def workers_of(settings: IndexConfig) -> int | Workers | None:
    """Who decodes and embeds: so many threads of this process, or workers of a cluster."""
    if settings.on == "here":
        return settings.workers
    if settings.on != "ray" and ":" not in settings.on:
        raise UsageError(
            f"--on is {settings.on!r}; it may be here, ray, or a Ray cluster's address: HOST:6379 or ray://HOST:10001."
        )
    from mmrank.index.ray_workers import RayWorkers

    return RayWorkers(
        None if settings.on == "ray" else settings.on,
        count=settings.workers,
        gpus=0 if settings.device == "cpu" else None,
        device=settings.device,
        precision=settings.precision,
        threads=settings.threads,
    )


def columns_named(pairs: Sequence[str] | None) -> dict[str, str]:
    """The ``--column ROLE=NAME`` options by role; an empty NAME means that no column plays the part.

    >>> columns_named(["image=photo path", "kind="])
    {'image': 'photo path', 'kind': ''}
    """
    found: dict[str, str] = {}
    for pair in pairs or ():
        role, equals, name = (part.strip() for part in pair.partition("="))
        if not equals or not role:
            raise UsageError(f"--column {pair!r} is not ROLE=NAME, such as --column image=photo_path.")
        if found.setdefault(role, name) != name:
            raise UsageError(f"--column {role} is given twice, as {found[role]!r} and {name!r}; a role has one column.")
    return found


def write_log(path: Path) -> None:
    """Append everything the package logs to a file, each line written through at once, with time and process id."""
    import logging

    try:
        handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise UsageError(f"--log {path} cannot be written: {error.strerror}.") from error
    line = "%(asctime)s.%(msecs)03d %(process)d %(levelname)s %(name)s: %(message)s"
    handler.setFormatter(logging.Formatter(line, "%Y-%m-%d %H:%M:%S"))
    logger = logging.getLogger("mmrank")
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    logger.propagate = False


def _settings(config: Path | None, **given: Any) -> IndexConfig:
    """The config file's settings, with what the command line names in their place."""
    from mmrank.cli.config import IndexConfig, read_config

    settings = read_config(config) if config else IndexConfig()
    if given.get("columns"):  # role by role, as the options are settings of their own
        given["columns"] = {**settings.columns, **given["columns"]}
    settings = settings.model_copy(update={name: value for name, value in given.items() if value or value is False})
    if not settings.paths:
        raise UsageError("Nothing to index: give files or folders, or a --config with paths.")
    if not settings.to:
        raise UsageError("Where to? Give --to DIR, the folder of the index.")
    return settings


def _embedder(settings: IndexConfig) -> Embedder:
    """The model named; else the one the index was built with; else the default, with its download size said."""
    from mmrank.cli.models import download_size
    from mmrank.embed.registry import default_model, load_embedder

    spec = settings.model or _spec_of(settings.to or "")
    if spec is None:
        known = default_model()
        spec = known.spec
        say(
            f"Model: {known.alias} ({known.spec}), the default. Its {download_size(known.download_mb)} are downloaded "
            "once, then kept; `mmrank models` lists others."
        )
    else:
        say(f"Model: {spec}")
    _check_known(spec, settings.to or "")
    embedder = load_embedder(spec, device=settings.device, precision=settings.precision, threads=settings.threads)
    if embedder.warning:
        warn(f"{spec}: {embedder.warning}.")
    return embedder


def _check_known(spec: str, address: str) -> None:
    """Refuse a model of the list before it is downloaded, where the index was built with another of the list."""
    from mmrank.embed.registry import list_models

    listed = {name: row.spec for row in list_models() for name in (row.alias, row.spec)}
    built = _spec_of(address)
    if built in listed and spec in listed and listed[built] != listed[spec]:
        raise IndexStoreError(
            f"The vectors in {address} were made by {built}; {spec} makes others, and the two do not compare. Leave "
            f"--model out for this index, or build a new one in another folder with {spec}."
        )


def _spec_of(address: str) -> str | None:
    """The model an index was built with, None where there is no index yet. A damaged one raises."""
    from mmrank.index.store import Store

    try:
        return Store.open(address, None).manifest.embedder
    except NoIndexError:
        return None
