"""Bench yes/no reranking: a loop over pairs, sentence-transformers' CrossEncoder and mmrank, on the same weights.

    python scripts/bench_rerank.py pairs --work FOLDER --json rerank.json
    python scripts/bench_rerank.py cirr --work FOLDER --json rerank_cirr.json
    python scripts/bench_rerank.py pairs --work FOLDER --real-size 2b --device cuda --side 512 --candidates 100

A Qwen3-VL of random weights: speed does not depend on what they are. Every contender writes the same prompt and sees
the same pictures, and the largest difference of its log-odds from the loop's is printed. *Cold*: mmrank begins with
nothing kept. *Warm*: the features of all pictures are kept, nothing of this query is. mmrank is measured through its
judge, files and all; the others are given pictures that are open already.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is loaded

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer
from _bench import LIBRARIES, Row, Timed, environment, save, show, timed
from _bench_vl import PROMPT, SHAPES, pictures, sentences, written
from PIL import Image

import mmrank as mm
from mmrank.mllm.local.backend import LocalMLLM
from mmrank.types import Cost, Hit, Query, Ranking

GOALS = {
    ("text", "cold"): 1.4,
    ("text", "warm"): 4.2,
    ("composed", "cold"): 1.9,
    ("composed", "warm"): 6.5,
}
"""Times the loop over pairs; against the CrossEncoder the goal is `OVER_CROSS_ENCODER`, warm."""

OVER_CROSS_ENCODER = 4.0

RUN_GOAL, EXIT_GOAL, EXIT_SAME = 6.0, 10.0, 0.95
"""A run over many queries that begins cold, without and with early exit; the share of queries with the same top 10."""

CLOSE = 1e-4
"""Log-odds by which a float32 score may differ."""

BATCHES = (1, 8, 32)
"""Of the CrossEncoder; the fastest counts."""

FORM = "qwen3-vl-reranker"

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)

Work = Annotated[Path, typer.Option(help="A folder for models and pictures.")]
Json = Annotated[Path | None, typer.Option("--json", help="Write the figures here too.")]
Size = Annotated[str, typer.Option("--real-size", help=f"One of {', '.join(SHAPES)}.")]
Device = Annotated[str, typer.Option(help="cpu or cuda.")]
Side = Annotated[int, typer.Option(help="Pixels of a picture's side; 224 are 49 tokens, 512 are 256.")]
Threads = Annotated[int, typer.Option(help="Threads of torch.")]


@dataclass(frozen=True, slots=True)
class Bench:
    """A loaded model and its processor; `folder` is where they came from."""

    model: Any
    processor: Any
    folder: Path
    device: str
    sides: dict[Path, Image.Image] = field(default_factory=dict)

    def picture(self, path: Path) -> Image.Image:
        """An opened picture, kept open."""
        if path not in self.sides:
            with Image.open(path) as opened:
                self.sides[path] = opened.convert("RGB")
        return self.sides[path]

    def fresh(self) -> LocalMLLM:
        """The model as mmrank runs it, with nothing kept."""
        return LocalMLLM(self.model, self.processor, spec="bench")

    @property
    def answers(self) -> list[int]:
        ids: list[int] = self.processor.tokenizer.convert_tokens_to_ids(["yes", "no"])
        return ids

    def done(self) -> None:
        """Wait for the device, so that a clock may be read."""
        if self.device != "cpu":
            import torch

            torch.cuda.synchronize()


def loaded(work: Path, size: str, device: str, threads: int) -> Bench:
    """The model of a size, float32 on a CPU and bfloat16 on a GPU."""
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    if size not in SHAPES:
        raise typer.BadParameter(f"--real-size is {size!r}; it must be one of {', '.join(SHAPES)}.")
    torch.set_num_threads(threads)
    dtype = "float32" if device == "cpu" else "bfloat16"
    folder = written(work, size, device=device, dtype=dtype)
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=getattr(torch, dtype)).to(device).eval()
    return Bench(model, AutoProcessor.from_pretrained(folder), folder, device)


def loop(bench: Bench, query: Query, paths: Sequence[Path]) -> list[float]:
    """One forward for each pair, as transformers documents it; logits of the last position alone."""
    import torch

    scores = []
    yes, no = bench.answers
    asked: list[dict[str, Any]] = [{"type": "text", "text": f"<Instruct>: {PROMPT.instruction}<Query>:"}]
    asked += [{"type": "image", "image": bench.picture(Path(str(image)))} for image in query.images]
    asked += [{"type": "text", "text": f"{query.text}\n<Document>:"}]
    for path in paths:
        shown = [*asked, {"type": "image", "image": bench.picture(path)}]
        messages = [
            {"role": "system", "content": [{"type": "text", "text": PROMPT.system}]},
            {"role": "user", "content": shown},
        ]
        batch = bench.processor.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
        ).to(bench.device, bench.model.dtype)
        with torch.inference_mode():
            logits = bench.model(**batch, logits_to_keep=1).logits[0, -1].float()
        scores.append(float(logits[yes] - logits[no]))
    return scores


def cross_encoder(bench: Bench) -> Callable[[Query, Sequence[Path], int], list[float]]:
    """sentence-transformers' reranker over the same folder."""
    import torch
    from sentence_transformers import CrossEncoder
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.cross_encoder.modules import LogitScore

    yes, no = bench.answers
    settings = {"dtype": bench.model.dtype}
    body = Transformer(str(bench.folder), transformer_task="any-to-any", model_kwargs=settings)
    model = CrossEncoder(modules=[body, LogitScore(true_token_id=yes, false_token_id=no)], device=bench.device)

    def scored(query: Query, paths: Sequence[Path], batch: int) -> list[float]:
        asked: Any = query.text
        if query.images:
            asked = {"image": bench.picture(Path(str(query.images[0]))), "text": query.text}
        pairs = [(asked, bench.picture(path)) for path in paths]
        said = model.predict(pairs, batch_size=batch, activation_fn=torch.nn.Identity(), show_progress_bar=False)
        return [float(score) for score in said]

    return scored


def judged(mllm: LocalMLLM, queries: Sequence[Query], lists: Sequence[Sequence[Path]], **options: Any) -> list[Ranking]:
    """mmrank's judge over files, all queries in one batch."""
    depth = max(len(paths) for paths in lists)
    judge = mm.load_reranker("yes_no", model=mllm, form=FORM, depth=depth, strict=True, **options)
    return judge.process([given(query, paths) for query, paths in zip(queries, lists, strict=True)])


def given(query: Query, paths: Sequence[Path]) -> Ranking:
    """A first stage's ranking of files, best first."""
    hits = [
        Hit(item=mm.Item(id=path.stem, kind="image", uri=str(path)), score=float(len(paths) - i))
        for i, path in enumerate(paths)
    ]
    return Ranking(query=query, hits=hits)


def scores_of(ranking: Ranking, paths: Sequence[Path]) -> list[float]:
    """Scores in the order of `paths`."""
    by_id = {hit.item.id: hit.score for hit in ranking.hits}
    return [by_id[path.stem] for path in paths]


def difference(a: Sequence[float], b: Sequence[float]) -> float:
    """The largest."""
    return max(abs(x - y) for x, y in zip(a, b, strict=True))


@app.command("pairs")
def compare_pairs(
    *,
    work: Work,
    json: Json = None,
    size: Size = "mid",
    device: Device = "cpu",
    threads: Threads = 1,
    candidates: Annotated[int, typer.Option(help="Candidates of a query.")] = 32,
    side: Side = 224,
    rounds: Annotated[int, typer.Option(help="Rounds, each with a query of its own.")] = 3,
) -> None:
    """One query and its candidates: loop, CrossEncoder, mmrank cold and warm, in turn within each round."""
    bench = loaded(work, size, device, threads)
    facts = facts_of(bench, threads)
    paths = pictures(work / "pictures", candidates + rounds, side)
    tables, results = [], {}
    for kind in ("text", "composed"):
        rows, results[kind] = _pairs_of(bench, kind, paths, candidates, rounds)
        title = (
            f"{kind} queries, {candidates} candidates of {side} px, {size} Qwen3-VL of random weights; medians of "
            f"{rounds} rounds"
        )
        columns = ("s", "times loop", "by CPU time", "times ST", "pictures through tower", "largest difference")
        tables.append(show(title, columns, rows, facts))
    save(json, "rerank", facts, results, tables)


def _pairs_of(
    bench: Bench, kind: str, paths: Sequence[Path], count: int, rounds: int
) -> tuple[list[Row], dict[str, Any]]:
    shown, references = paths[:count], paths[count:]
    texts = sentences(rounds + 1, seed=len(kind))
    images = [str(path) if kind == "composed" else None for path in references]
    queries = [Query(text=text, image=image) for text, image in zip(texts, images, strict=False)]
    encoder = cross_encoder(bench)
    warm = bench.fresh()
    judged(warm, [Query(text=texts[-1])], [paths])  # all features kept, of references too
    encoded: dict[str, int] = {}

    def ours(mllm: Callable[[], LocalMLLM], name: str) -> Callable[[Query], list[float]]:
        def run(query: Query) -> list[float]:
            (ranking,) = judged(mllm(), [query], [shown])
            encoded[name] = ranking.records[-1].cost.images_encoded
            return scores_of(ranking, shown)

        return run

    contenders: dict[str, Callable[[Query], list[float]]] = {
        "loop over pairs": lambda query: loop(bench, query, shown),
        **{f"CrossEncoder, batches of {n}": lambda query, n=n: encoder(query, shown, n) for n in BATCHES},
        "mmrank, cold": ours(bench.fresh, "mmrank, cold"),
        "mmrank, warm": ours(lambda: warm, "mmrank, warm"),
    }
    spent: dict[str, list[Timed]] = {name: [] for name in contenders}
    apart = dict.fromkeys(contenders, 0.0)
    for number, query in enumerate(queries):
        order = list(contenders) if number % 2 == 0 else list(reversed(contenders))
        said: dict[str, list[float]] = {}
        for name in order:
            said[name], taken = timed(lambda name=name, query=query: _waited(bench, contenders[name], query))
            spent[name].append(taken)
        for name in contenders:
            apart[name] = max(apart[name], difference(said[name], said["loop over pairs"]))
    seconds = {name: [one.seconds for one in taken] for name, taken in spent.items()}
    best = min((n for n in contenders if n.startswith("Cross")), key=lambda name: median(seconds[name]))
    rows = []
    for name in contenders:
        over_loop = median(b / a for a, b in zip(seconds[name], seconds["loop over pairs"], strict=True))
        by_cpu = median(b.cpu / a.cpu for a, b in zip(spent[name], spent["loop over pairs"], strict=True))
        over_best = median(b / a for a, b in zip(seconds[name], seconds[best], strict=True))
        goal = (
            GOALS.get((kind, name.rpartition(" ")[2])) if name.startswith("mmrank") and bench.device == "cpu" else None
        )
        reached = None if goal is None else over_loop >= goal and apart[name] <= CLOSE
        if reached and name == "mmrank, warm":
            reached = over_best >= OVER_CROSS_ENCODER
        cells = (f"{median(seconds[name]):.2f}", f"{over_loop:.2f}", f"{by_cpu:.2f}", f"{over_best:.2f}")
        rows.append(Row(name, (*cells, str(encoded.get(name, "")), f"{apart[name]:.1e}"), reached))
    return rows, {"seconds": seconds, "cpu": {n: [t.cpu for t in taken] for n, taken in spent.items()}, "apart": apart}


def _waited(bench: Bench, run: Callable[[Query], list[float]], query: Query) -> list[float]:
    scores = run(query)
    bench.done()
    return scores


@app.command("cirr")
def compare_runs(
    *,
    work: Work,
    json: Json = None,
    size: Size = "mid",
    device: Device = "cpu",
    threads: Threads = 1,
    side: Side = 224,
    queries: Annotated[int, typer.Option(help="Queries, each a picture and a text.")] = 200,
    depth: Annotated[int, typer.Option(help="Candidates of each.")] = 50,
    images: Annotated[int, typer.Option(help="Pictures that candidates and references are drawn from.")] = 300,
    sample: Annotated[int, typer.Option(help="Pairs the loop is timed on, half before and half after.")] = 64,
    noise: Annotated[float, typer.Option(help="Of the first stage, in deviations of the judge's scores.")] = 0.3,
    patience: Annotated[int, typer.Option(help="Of the early exit.")] = 10,
) -> None:
    """Many queries over one gallery, beginning cold; the loop over pairs extrapolated from a sample.

    A model of random weights has no first stage that suits it, so one is made up: the judge's own scores with normal
    noise. How often an early exit keeps the top 10 depends on it; how fast it is does not.
    """
    bench = loaded(work, size, device, threads)
    facts = facts_of(bench, threads)
    paths = pictures(work / "pictures", images, side)
    rng = random.Random(0)
    asked = [Query(text=text, image=str(rng.choice(paths))) for text in sentences(queries, seed=1)]
    lists = [rng.sample(paths, depth) for _ in asked]
    pairs = [(i, path) for i, some in enumerate(lists) for path in some]
    halves = [rng.sample(pairs, sample // 2) for _ in range(2)]
    expected: dict[tuple[int, Path], float] = {}

    def sampled(half: Sequence[tuple[int, Path]]) -> None:
        for i, path in half:
            expected[i, path] = loop(bench, asked[i], [path])[0]
        bench.done()

    loops = [timed(lambda: sampled(halves[0]))[1]]
    every, cold = timed(lambda: judged(bench.fresh(), asked, lists))
    bench.done()
    loops.append(timed(lambda: sampled(halves[1]))[1])
    scores = [scores_of(ranking, some) for ranking, some in zip(every, lists, strict=True)]
    apart = max(abs(expected[i, path] - scores[i][lists[i].index(path)]) for i, path in expected)
    first = [_first_stage(some, own, noise, rng) for some, own in zip(lists, scores, strict=True)]
    k = min(10, depth)
    stop = {"schedule": "early_exit", "k": k, "patience": patience}
    exits, short = timed(lambda: judged(bench.fresh(), asked, first, **stop))
    same = sum(a.ids[:k] == b.ids[:k] for a, b in zip(every, exits, strict=True)) / len(asked)

    whole = Timed(sum(t.seconds for t in loops), sum(t.cpu for t in loops))
    scale = len(pairs) / (2 * (sample // 2))
    loop_all = Timed(whole.seconds * scale, whole.cpu * scale)
    cost_all, cost_exits = _cost(every), _cost(exits)
    faster, much_faster = loop_all.seconds / cold.seconds, loop_all.seconds / short.seconds
    on_cpu = device == "cpu"
    rows = [
        Row(
            "loop over pairs, extrapolated", (*_cells(loop_all, loop_all), f"{2 * len(pairs):,}", f"{len(pairs):,}", "")
        ),
        Row(
            "mmrank, all candidates",
            (*_cells(loop_all, cold), *_counts(cost_all), f"{apart:.1e}"),
            faster >= RUN_GOAL and apart <= CLOSE if on_cpu else None,
        ),
        Row(
            f"mmrank, early exit (patience {patience})",
            (*_cells(loop_all, short), *_counts(cost_exits), f"top {k} same for {same:.0%}"),
            much_faster >= EXIT_GOAL and same >= EXIT_SAME if on_cpu else None,
        ),
    ]
    title = (
        f"{queries} queries (picture and text) x {depth} candidates from {images} pictures of {side} px, {size}, cold"
    )
    columns = ("s", "times loop", "by CPU time", "pictures through tower", "pairs", "difference")
    table = show(title, columns, rows, facts)
    figures = {"loop_s": loop_all.seconds, "all_s": cold.seconds, "exit_s": short.seconds, "same_top": same}
    save(json, "rerank-cirr", facts, {**figures, "apart": apart, "noise": noise, "patience": patience}, [table])


def _first_stage(paths: Sequence[Path], scores: Sequence[float], noise: float, rng: random.Random) -> list[Path]:
    mean = sum(scores) / len(scores)
    spread = (sum((score - mean) ** 2 for score in scores) / len(scores)) ** 0.5
    blurred = [score + rng.gauss(0, noise * spread) for score in scores]
    return [path for _, path in sorted(zip(blurred, paths, strict=True), reverse=True)]


def _cells(whole: Timed, taken: Timed) -> tuple[str, str, str]:
    return f"{taken.seconds:.1f}", f"{whole.seconds / taken.seconds:.2f}", f"{whole.cpu / taken.cpu:.2f}"


def _counts(cost: Cost) -> tuple[str, str]:
    return f"{cost.images_encoded:,}", f"{cost.model_calls:,}"


def _cost(rankings: Sequence[Ranking]) -> Cost:
    return sum((ranking.records[-1].cost for ranking in rankings), Cost())


def facts_of(bench: Bench, threads: int) -> dict[str, Any]:
    """The machine, with the versions that count here."""
    import importlib.metadata

    facts = environment(threads, bench.device)
    if bench.device != "cpu":
        import torch

        facts["device"] = torch.cuda.get_device_name()
    versions = {name: importlib.metadata.version(name) for name in ("transformers", "sentence-transformers")}
    facts["versions"] = {**versions, **{n: v for n, v in facts["versions"].items() if n in LIBRARIES}}
    return facts


if __name__ == "__main__":
    app()
