"""Where the time of a warm query goes, and the least that its operations and bytes could take on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer
from _bench import Row, save, show, timed
from _bench_judges import Bench, Device, Json, Side, Size, Threads, Work, facts_of, judged, loaded
from _bench_vl import PROMPT, pictures, sentences

from mmrank.types import Query

GROUPS = {
    "products of matrices": ("aten::mm", "aten::addmm", "aten::bmm", "aten::linear"),
    "attention": ("aten::_scaled_dot_product", "aten::_flash_attention", "aten::_efficient_attention", "aten::where"),
    "copies and joins": ("aten::cat", "aten::copy_", "aten::index", "aten::_to_copy", "aten::to", "aten::clone"),
}
"""Names of torch's operations by their beginnings; what is in none of them is norms, rotations and sums."""

REST = "norms, rotations, sums"


def profile_warm(
    *,
    work: Work,
    json: Json = None,
    size: Size = "mid",
    device: Device = "cpu",
    threads: Threads = 1,
    candidates: Annotated[int, typer.Option(help="Candidates of a query.")] = 32,
    side: Side = 224,
    rounds: Annotated[int, typer.Option(min=1, help="Queries that are timed.")] = 3,
) -> None:
    """One query with the features of all pictures kept: time by kind of operation, beside the floor.

    The floor counts what cannot be left out: the query's tokens once and each candidate's own tokens once through the
    layers (two operations for each weight of a matrix and token, four for each pair of places and number of a head's
    width), at the rate that one large product of matrices reaches here; and the bytes of the weights read once, at the
    rate of a copy. The larger of the two is the floor.
    """
    bench = loaded(work, size, device, threads)
    facts = facts_of(bench, threads)
    rate, bandwidth = _product_rate(bench), _copy_rate(bench)
    paths = pictures(work / "pictures", candidates + rounds + 2, side)
    tables, results = [], {"product GFLOP/s": rate / 1e9, "copy GB/s": bandwidth / 1e9}
    for kind in ("text", "composed"):
        found = _measured(bench, kind, paths, candidates, rounds)
        floor = max(found["operations"] / rate, found["bytes"] / bandwidth)
        rows = [
            Row(name, (f"{seconds:.3f}", f"{seconds / found['seconds']:.0%}"))
            for name, seconds in found["by kind"].items()
        ]
        rows.append(Row("one query, in all (CPU seconds)", (f"{found['seconds']:.3f}", "100%")))
        counted = f"floor: {found['operations'] / 1e9:.1f} G operations, {found['bytes'] / 1e6:.0f} MB"
        rows.append(Row(counted, (f"{floor:.3f}", f"{floor / found['seconds']:.0%}")))
        where = f"{rate / 1e9:.0f} GFLOP/s, {bandwidth / 1e9:.1f} GB/s"
        title = f"{kind} query, {candidates} candidates of {side} px, {size}, warm; floor at {where}"
        tables.append(show(title, ("s", "share"), rows, facts))
        results[kind] = {**found, "floor seconds": floor}
    save(json, "rerank-profile", facts, results, tables)


def _measured(bench: Bench, kind: str, paths: Sequence[Path], count: int, rounds: int) -> dict[str, Any]:
    """Processor seconds of a query (the clock's on a GPU), the shares by kind, operations and bytes."""
    from torch.profiler import ProfilerActivity, profile

    shown, references = paths[:count], paths[count:]
    mllm = bench.fresh()
    judged(mllm, [Query(text="warm")], [paths])
    texts = sentences(rounds + 2, seed=9)
    images = [str(path) if kind == "composed" else None for path in references]
    queries = [Query(text=text, image=image) for text, image in zip(texts, images, strict=True)]
    taken = []
    for query in queries[:-1]:
        _, one = timed(lambda query=query: (judged(mllm, [query], [shown]), bench.done()))
        taken.append(one.cpu if bench.device == "cpu" else one.seconds)
    seconds = median(taken[1:])
    with profile(activities=[ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (bench.device != "cpu")) as profiled:
        _, whole = timed(lambda: (judged(mllm, [queries[-1]], [shown]), bench.done()))
    own = {event.key: _own_seconds(event, bench.device) for event in profiled.key_averages()}
    operations = {name: spent for name, spent in own.items() if name.startswith("aten::")}
    by_kind = {name: sum(s for key, s in operations.items() if key.startswith(some)) for name, some in GROUPS.items()}
    by_kind[REST] = sum(operations.values()) - sum(by_kind.values())
    watched = whole.cpu if bench.device == "cpu" else whole.seconds
    by_kind["files, prompts, tokens; and the profiler"] = max(0.0, watched - sum(by_kind.values()))
    scale = seconds / sum(by_kind.values())
    by_kind = {name: spent * scale for name, spent in by_kind.items()}
    operations_count, read = _least(bench, queries[-1], shown)
    return {"seconds": seconds, "by kind": by_kind, "operations": operations_count, "bytes": read}


def _own_seconds(event: Any, device: str) -> float:
    own = event.self_cpu_time_total if device == "cpu" else event.self_device_time_total
    return float(own) / 1e6


def _least(bench: Bench, query: Query, shown: Sequence[Path]) -> tuple[float, float]:
    """Operations and bytes that a query cannot do without, the vision tower not run."""
    config = bench.model.config.get_text_config()
    layers = bench.model.model.language_model.layers
    weights = sum(p.numel() for p in layers.parameters() if p.ndim == 2)
    before, whole = _tokens(bench, query, shown)
    own = sum(length - before for length in whole)
    pairs = before * before / 2 + sum((n - before) * (before + (n - before) / 2) for n in whole)
    width = config.num_attention_heads * config.head_dim * config.num_hidden_layers
    return 2.0 * weights * (before + own) + 4.0 * width * pairs, weights * next(layers.parameters()).element_size()


def _tokens(bench: Bench, query: Query, shown: Sequence[Path]) -> tuple[int, list[int]]:
    """Tokens of what all prompts of a query begin with, and of each whole prompt."""
    asked = f"<Instruct>: {PROMPT.instruction}<Query>:"
    said = [
        {"type": "text", "text": asked},
        *[{"type": "image", "image": bench.picture(Path(str(i)))} for i in query.images],
    ]
    said.append({"type": "text", "text": f"{query.text}\n<Document>:"})
    begun = _count(bench, said)
    wholes = [_count(bench, [*said, {"type": "image", "image": bench.picture(path)}]) for path in shown]
    ending = len(bench.processor.tokenizer("<|im_end|>\n<|im_start|>assistant\n")["input_ids"])
    return begun - ending, wholes


def _count(bench: Bench, said: Sequence[dict[str, Any]]) -> int:
    messages = [
        {"role": "system", "content": [{"type": "text", "text": PROMPT.system}]},
        {"role": "user", "content": list(said)},
    ]
    batch = bench.processor.apply_chat_template(
        messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )
    return int(batch["input_ids"].shape[1])


def _product_rate(bench: Bench) -> float:
    """Operations a second of one product as large as a layer's, in the model's dtype."""
    import torch

    config = bench.model.config.get_text_config()
    a = torch.randn(2048, config.hidden_size, device=bench.device).to(bench.model.dtype)
    b = torch.randn(config.hidden_size, config.intermediate_size, device=bench.device).to(bench.model.dtype)
    times = _repeated(bench, lambda: a @ b)
    return 2.0 * a.shape[0] * b.numel() / times


def _copy_rate(bench: Bench) -> float:
    """Bytes a second that are read, from a copy of 256 MB."""
    import torch

    a = torch.zeros(64 << 20, dtype=torch.float32, device=bench.device)
    b = torch.empty_like(a)
    return a.numel() * 4 / _repeated(bench, lambda: b.copy_(a))


def _repeated(bench: Bench, work: Any, times: int = 10) -> float:
    """Seconds of one call, after two that are not counted; the best of three runs of `times`."""
    for _ in range(2):
        work()
    bench.done()

    def run() -> None:
        for _ in range(times):
            work()
        bench.done()

    took = [timed(run)[1] for _ in range(3)]
    return min(one.cpu if bench.device == "cpu" else one.seconds for one in took) / times
