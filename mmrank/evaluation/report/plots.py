"""The page's plots as inline SVG: how many queries have their answer among the first k, and where answers stand."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mmrank.evaluation.report.sides import FloatArray, Side
from mmrank.evaluation.report.words import html

COLOURS = ("#2457c5", "#c8501e", "#1d7a46", "#8b3fa0", "#a87900", "#0d7f8c", "#c23b78", "#57534a")
"""Dark enough on white to be told apart, also by the colour-blind in pairs that stand side by side."""

WIDTH, HEIGHT = 620, 330
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 14, 44

TICKS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
DEPTH = 1000
"""The longest list that is drawn."""

BINS = ((1, 1), (2, 2), (3, 3), (4, 5), (6, 10), (11, 20), (21, 50), (51, 100), (101, math.inf))


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """What is drawn of one side: its name, colour, whether dashed, and the ranks of the queries that count.

    `depth`: how far down its answers are known; its curve ends there.
    """

    name: str
    colour: str
    dashed: bool
    ranks: FloatArray
    depth: int


def drawn(found: Sequence[Side]) -> list[Drawn]:
    """Sides with colours: first stages grey and dashed, systems in colours. Sides without known ranks are left out."""
    result: list[Drawn] = []
    systems = firsts = 0
    for side in found:
        known = side.ranks[~np.isnan(side.ranks)]
        first = side.system is None
        colour = ("#8a857a", "#b5ae9f", "#5f5b53")[firsts % 3] if first else COLOURS[systems % len(COLOURS)]
        firsts, systems = firsts + first, systems + (not first)
        if len(known):
            deepest = int(max(side.longest, known[np.isfinite(known)].max(initial=1)))
            dashed = first or systems > len(COLOURS)
            result.append(Drawn(name=side.name, colour=colour, dashed=dashed, ranks=known, depth=deepest))
    return result


def legend(lines: Sequence[Drawn]) -> str:
    """The names with their colours, as HTML for both plots."""
    swatches = (
        f'<li><svg viewBox="0 0 26 10" width="26" height="10" aria-hidden="true">{_stroke(line, "M1 5H25")}</svg>'
        f"{html(line.name)}</li>"
        for line in lines
    )
    return f'<ul class="legend">{"".join(swatches)}</ul>'


def curve(lines: Sequence[Drawn]) -> str:
    """Percent of queries with their answer among the first k, k from 1 on a logarithmic scale."""
    depth = max(2, min(max(line.depth for line in lines), DEPTH))
    steps = np.unique(np.round(np.geomspace(1, depth, 160)))
    shares = [[float(100 * np.mean(line.ranks <= k)) for k in steps if k <= line.depth] for line in lines]
    lowest, highest = min(map(min, shares)), max(map(max, shares))
    bottom, top = 20 * math.floor(lowest / 20), max(20, 20 * math.ceil(highest / 20))
    bottom = min(bottom, top - 20)

    def x(k: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * math.log(k) / math.log(depth)

    def y(share: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (share - bottom) / (top - bottom)

    parts = [*_grid(bottom, top, y)]
    ticks = [tick for tick in TICKS if tick <= depth]
    ticks += [depth] if depth / ticks[-1] > 1.25 else []
    parts += [_word(x(tick), HEIGHT - BOTTOM + 18, f"{tick}", "middle") for tick in ticks]
    parts.append(_word((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, "k: first results looked at", "middle", "axis"))
    for line, share in zip(lines, shares, strict=True):
        points = " ".join(f"{x(k):.1f},{y(s):.1f}" for k, s in zip(steps, share, strict=False))
        parts.append(_stroke(line, "M" + points.replace(" ", "L")))
        for tick in (tick for tick in ticks if tick <= line.depth):
            at = float(100 * np.mean(line.ranks <= tick))
            said = f"{html(line.name)}: {at:.2f} % within the first {tick}"
            place = f'cx="{x(tick):.1f}" cy="{y(at):.1f}"'
            parts.append(f'<circle {place} r="3.2" fill="{line.colour}"><title>{said}</title></circle>')
    names = ", ".join(html(line.name) for line in lines)
    return _svg(parts, f"Percent of queries with the answer among the first k results: {names}")


def histogram(lines: Sequence[Drawn]) -> str:
    """Percent of queries whose answer stands at each rank, in bins, with those that are in no list."""
    deepest = max(line.depth for line in lines)
    bins = [(low, high) for low, high in BINS if low <= deepest]
    bars = [_binned(line.ranks, bins) for line in lines]
    step = _step(max(map(max, bars)))
    top = step * max(1, math.ceil(max(map(max, bars)) / step))
    slot = (WIDTH - LEFT - RIGHT) / (len(bins) + 1)
    width = min(30.0, slot * 0.82 / len(lines))

    def y(share: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share / top

    parts = [*_grid(0, top, y)]
    labels = [_label(low, high) for low, high in bins] + ["not listed"]
    for place, label in enumerate(labels):
        centre = LEFT + slot * (place + 0.5)
        parts.append(_word(centre, HEIGHT - BOTTOM + 18, label, "middle"))
        for number, (line, shares) in enumerate(zip(lines, bars, strict=True)):
            left = centre + (number - len(lines) / 2) * width
            said = f"{html(line.name)}: {shares[place]:.2f} % at rank {label}"
            parts.append(
                f'<rect x="{left:.1f}" y="{y(shares[place]):.1f}" width="{max(1.0, width - 1.5):.1f}" '
                f'height="{HEIGHT - BOTTOM - y(shares[place]):.1f}" fill="{line.colour}"><title>{said}</title></rect>'
            )
    parts.append(_word((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, "rank of the answer", "middle", "axis"))
    return _svg(parts, f"Percent of queries by the rank of the answer: {', '.join(html(line.name) for line in lines)}")


def _binned(ranks: FloatArray, bins: Sequence[tuple[float, float]]) -> list[float]:
    """Percent of ranks in each bin; a tie's half rank goes to the bin of the next whole one; the last: not listed."""
    whole = np.ceil(ranks)
    shares = [float(100 * np.mean((whole >= low) & (whole <= high) & np.isfinite(whole))) for low, high in bins]
    return [*shares, max(0.0, 100 - sum(shares))]


def _label(low: float, high: float) -> str:
    if low == high:
        return f"{low:.0f}"
    return f"{low:.0f}–{high:.0f}" if math.isfinite(high) else f">{low - 1:.0f}"


def _grid(bottom: float, top: float, y: Callable[[float], float]) -> Iterator[str]:
    for share in range(int(bottom), int(top) + 1, _step(top - bottom)):
        height = y(share)
        yield f'<path class="grid" d="M{LEFT} {height:.1f}H{WIDTH - RIGHT}"/>'
        yield _word(LEFT - 8, height + 4, f"{share}{' %' if share == top else ''}", "end")


def _step(span: float) -> int:
    """Percent between two grid lines: three to six of them."""
    return 20 if span > 40 else 10 if span > 20 else 5


def _stroke(line: Drawn, path: str) -> str:
    dashes = ' stroke-dasharray="6 4"' if line.dashed else ""
    return f'<path d="{path}" fill="none" stroke="{line.colour}" stroke-width="2.2"{dashes}/>'


def _word(x: float, y: float, text: str, anchor: str, kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{named}>{html(text)}</text>'


def _svg(parts: Sequence[str], label: str) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
