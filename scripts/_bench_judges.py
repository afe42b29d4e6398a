"""What the reranking benches share: a model, and the ways in which it is asked: a loop, the CrossEncoder, mmrank."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from _bench import LIBRARIES, environment
from _bench_vl import PROMPT, SHAPES, written
from PIL import Image

import mmrank as mm
from mmrank.mllm.local.backend import LocalMLLM
from mmrank.types import Cost, Hit, Query, Ranking

CLOSE = 1e-4
"""Log-odds by which a float32 score may differ."""

FORM = "qwen3-vl-reranker"

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
    """mmrank's judge over files, all queries in one batch; in the reference's own form, unless a `prompt` is named."""
    depth = max(len(paths) for paths in lists)
    form = None if "prompt" in options else FORM
    judge = mm.load_reranker("yes_no", model=mllm, form=form, depth=depth, strict=True, **options)
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


def total_cost(rankings: Sequence[Ranking]) -> Cost:
    """Of the last stage, over all queries."""
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
