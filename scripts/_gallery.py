"""What the build_*_index scripts share: one command that builds the index of a data set's galleries."""

from pathlib import Path
from typing import Annotated

import typer

from mmrank.cli.eval_systems import Galleries
from mmrank.cli.values import named_values
from mmrank.evaluation.dataset import Task
from mmrank.evaluation.datasets.registry import load_dataset


def build_command(name: str, *, default_split: str, description: str | None) -> None:
    """Run the command for the data set `name`; prints the folder of every index."""

    def build(
        *,
        root: Annotated[Path, typer.Option(metavar="DIR", help="Where the download lies, unmodified.")],
        split: Annotated[str, typer.Option(metavar="NAME")] = default_split,
        model: Annotated[str | None, typer.Option(metavar="SPEC", help="The embedder; see `mmrank models`.")] = None,
        to: Annotated[
            Path | None, typer.Option(metavar="DIR", help="As of mmrank eval. [evaluations/NAME-SPLIT]")
        ] = None,
        variant: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE")] = None,
        allow_missing: Annotated[bool, typer.Option("--allow-missing")] = False,
        device: Annotated[str | None, typer.Option(metavar="NAME")] = None,
        precision: Annotated[str | None, typer.Option(metavar="NAME")] = None,
        threads: Annotated[int | None, typer.Option(min=1)] = None,
    ) -> None:
        media = "allow_missing" if allow_missing else "required"
        data = load_dataset(name, root, split, media=media, **named_values(variant, "--variant"))
        place = to or Path("evaluations") / f"{data.name}-{data.split}"
        machine = {"device": device, "precision": precision, "threads": threads}
        galleries = Galleries(folder=place / "indexes", models={"": model} if model else {}, machine=machine)
        seen: set[tuple[str, ...]] = set()
        for task in data.tasks:
            if (ids := _ids(task)) not in seen:
                seen.add(ids)
                typer.echo(galleries.place(task, data))

    build.__doc__ = description
    typer.run(build)


def _ids(task: Task) -> tuple[str, ...]:
    return tuple(item.id for item in task.gallery)
