"""Bench the forms of composed queries: which finds the right Item, with toybox-clip, on families of near-duplicates.

    python scripts/bench_compose.py forms --work FOLDER --json compose_forms.json
    python scripts/bench_compose.py sample --json compose_sample.json

`forms`: weights are chosen on families of train scenes (a grid; R@1, then R@5), every form is reported on families of
held-out scenes. Each family holds near-duplicates that differ in an object, the ground or how the objects stand; the
reference is one of them and is left out of the answer. Captions are the toybox's own true ones of the right answer: an
upper bound that no model reaches. `sample`: the same forms at the chosen weights on the bundled sample collection.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy is loaded

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import typer
from _bench import Row, environment, save, show

from mmrank.compose import Caption, Form, GivenCaptions, ImageForm, Intersection, Sides, Sqaf, Sum, TextForm
from mmrank.compose.agreement import agreement

Floats = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float32]

KS = (1, 5, 10)
ALPHAS = tuple(round(0.05 * i, 2) for i in range(1, 20))
COARSE = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
TRUE = GivenCaptions(captions={})
"""The bench brings the captions' vectors itself."""

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)

Json = Annotated[Path | None, typer.Option("--json", help="Write the figures here too.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A gallery's vectors (n, d), and of each query its sides' vectors, and the rows of its reference and answer."""

    gallery: Matrix
    image: Matrix
    text: Matrix
    caption: Matrix
    references: Sequence[int]
    answers: Sequence[int]


@app.command()
def forms(
    *,
    work: Annotated[Path, typer.Option(help="A folder for the collections; what is there is used again.")],
    json: Json = None,
    families: Annotated[int, typer.Option(help="Families of each split, one composed query each.")] = 600,
    seed: Annotated[int, typer.Option(help="Of the collections.")] = 0,
) -> None:
    """R@1, R@5, R@10 of every form on held-out families, its weights chosen on train families."""
    facts = environment()
    train, heldout = (_families(work, split, families, seed) for split in ("train", "heldout"))
    grid = {_label(form): recalls(form, train) for form in _grid()}
    chosen: dict[str, Form] = {}
    for form in _grid():
        best = chosen.get(_kind(form))
        if best is None or grid[_label(form)][:2] > grid[_label(best)][:2]:
            chosen[_kind(form)] = form
    figures = {_label(form): (grid[_label(form)], recalls(form, heldout)) for form in chosen.values()}
    columns = tuple(f"{split} R@{k}" for split in ("train", "held-out") for k in KS)
    table = _table(f"Composed queries, {families} families a split, toybox-clip", columns, figures, facts)
    curve = {_label(form): (grid[_label(form)],) for form in _grid() if isinstance(form, Sum) and not form.arc}
    flat = _table("The text's share on train families", tuple(f"R@{k}" for k in KS), curve, facts)
    save(json, "compose_forms", facts, {"chosen": figures, "grid": grid}, [table, flat])


@app.command()
def sample(
    *,
    json: Json = None,
    alpha: Annotated[float | None, typer.Option(help="The text's share in sums; default: the registry's.")] = None,
) -> None:
    """The forms on the composed queries of the bundled sample collection, among its photographs."""
    from mmrank.compose.weights import text_weight_of
    from mmrank.toybox.assets import sample_media_folder, sample_queries_file
    from mmrank.toybox.manifest import read_queries

    facts = environment()
    media = sample_media_folder()
    captions = {row["path"]: row["caption"] for row in _rows(media.parent / "captions.jsonl")}
    photos = sorted(path for path in captions if path.startswith("photos/"))
    asked = [query for query in read_queries(sample_queries_file()) if query.task == "composed"]
    collection = _embedded(media, photos, captions, asked)
    share = text_weight_of("toybox") if alpha is None else alpha
    listed = (*_fixed(), Sum(alpha=0.5), Sum(alpha=share), Sum(alpha=share, arc=True), Sqaf(captioner=TRUE))
    figures = {_label(form): (recalls(form, collection),) for form in dict.fromkeys(listed)}
    title = f"Composed queries of the bundled sample: {len(asked)}, {len(photos)} photographs"
    table = _table(title, tuple(f"R@{k}" for k in KS), figures, facts)
    save(json, "compose_sample", facts, figures, [table])


def recalls(form: Form, asked: Asked) -> tuple[float, ...]:
    """R@k in percent; an Item that ties with the answer counts as before it."""
    ranks = []
    for number, (reference, answer) in enumerate(zip(asked.references, asked.answers, strict=True)):
        sides = Sides(image=asked.image[number], text=asked.text[number], caption=asked.caption[number])
        scores = _scores(form, form.vectors(sides), asked.gallery, reference)
        ranks.append(int((np.delete(scores, answer) >= scores[answer]).sum()) + 1)
    return tuple(round(100 * float(np.mean(np.array(ranks) <= k)), 1) for k in KS)


def _scores(form: Form, vectors: Matrix, gallery: Matrix, reference: int) -> Floats:
    """Scores of all Items, the reference and what an intersection does not look at at minus infinity."""
    cosines = (vectors @ gallery.T).astype(np.float64)
    cosines[:, reference] = -np.inf
    if not isinstance(form, Intersection):
        one: Floats = cosines[0]
        return one
    union = np.unique([np.argsort(-side, kind="stable")[: form.depth] for side in cosines])
    union = union[union != reference]
    scores = np.full(len(gallery), -np.inf)
    scores[union] = agreement(cosines[0, union], cosines[1, union], form.rule)
    return scores


def _fixed() -> tuple[Form, ...]:
    return (ImageForm(), TextForm(), Intersection(), Intersection(rule="product"), Caption(captioner=TRUE))


def _grid() -> list[Form]:
    sums: list[Form] = [Sum(alpha=alpha, arc=arc) for arc in (False, True) for alpha in ALPHAS]
    sqafs: list[Form] = [Sqaf(captioner=TRUE, alpha=alpha, beta=beta) for alpha in COARSE for beta in COARSE]
    depths: list[Form] = [
        Intersection(rule=rule, depth=depth) for rule in ("min", "product") for depth in (50, 200, 1000)
    ]
    return [*_fixed(), *sums, *depths, *sqafs]


def _kind(form: Form) -> str:
    arc = "slerp" if isinstance(form, Sum) and form.arc else form.name
    return f"{arc} {form.rule}" if isinstance(form, Intersection) else arc


def _label(form: Form) -> str:
    told = {name: getattr(form, name) for name in ("alpha", "beta", "depth") if getattr(form, name, None) is not None}
    true = ", true captions" if "caption" in form.needs else ""
    return f"{_kind(form)}{''.join(f', {name} {value}' for name, value in told.items())}{true}"


def _table(
    title: str, columns: tuple[str, ...], figures: Mapping[str, tuple[tuple[float, ...], ...]], facts: dict[str, Any]
) -> Any:
    lines = [Row(name, tuple(f"{x:.1f}" for part in parts for x in part)) for name, parts in figures.items()]
    return show(title, columns, lines, facts)


def _families(work: Path, split: Any, families: int, seed: int) -> Asked:
    from mmrank.toybox.families import write_families

    made = write_families(work / f"{split}-{families}-{seed}", families=families, seed=seed, split=split)
    captions = {item.path: item.caption for item in made.items}
    asked = [query for query in made.queries if query.task == "composed"]
    return _embedded(made.media, list(captions), captions, asked)


def _embedded(media: Path, paths: Sequence[str], captions: Mapping[str, str], asked: Sequence[Any]) -> Asked:
    from PIL import Image

    from mmrank.embed.registry import load_embedder

    embedder = load_embedder("toybox", device="cpu", threads=1)
    pieces = []
    for start in range(0, len(paths), 64):
        pieces.append(embedder.embed_images([Image.open(media / p).convert("RGB") for p in paths[start : start + 64]]))
    gallery = np.concatenate(pieces)
    place = {path: row for row, path in enumerate(paths)}
    references = [place[query.reference] for query in asked]
    return Asked(
        gallery=gallery,
        image=gallery[references],
        text=embedder.embed_texts([query.text for query in asked]),
        caption=embedder.embed_texts([captions[query.answer] for query in asked]),
        references=references,
        answers=[place[query.answer] for query in asked],
    )


def _rows(path: Path) -> list[dict[str, Any]]:
    import json

    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


if __name__ == "__main__":
    app()
