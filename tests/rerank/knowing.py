"""A judge that knows what every candidate is worth and answers in the form each recipe asks for."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from scripted import Scripted

from mmrank.mllm.base import Capability
from mmrank.mllm.prompt import ImagePart, Prompt, TextPart

ALL: frozenset[Capability] = frozenset({"generate", "choices", "attention"})


def shown(prompt: Prompt) -> list[int]:
    """The number of the item behind each label, by the words ``doc7.`` or by the picture's width (20 + number)."""
    sheet = prompt.pictures[-1] if prompt.pictures else None
    if sheet is not None and hasattr(sheet.open, "cell"):
        return [picture.width - 20 for picture in sheet.open.pictures]  # type: ignore[attr-defined]
    numbers: dict[int, int] = {}
    for part in prompt.parts():
        if part.mark is None or not part.mark.isdigit():
            continue
        if isinstance(part, ImagePart):
            numbers[int(part.mark)] = part.picture.width - 20
        elif isinstance(part, TextPart) and (found := re.search(r"doc(\d+)\.", part.text)):
            numbers[int(part.mark)] = int(found[1])
    return [numbers[position] for position in range(max(1, len(prompt.labels)))]


def ordered(prompt: Prompt, worth: Sequence[float]) -> list[str]:
    """The prompt's labels, best first."""
    values = [worth[number] for number in shown(prompt)]
    return [prompt.labels[i] for i in sorted(range(len(values)), key=lambda i: -values[i])]


def written(recipe: str, prompt: Prompt, worth: Sequence[float]) -> str:
    """The answer of a recipe that reads text."""
    if recipe == "retro":
        return f"1. doc 2. query 3. fits <score>{round(worth[shown(prompt)[0]])}</score>"
    labels = ordered(prompt, worth)
    numbers = ", ".join(labels)
    if recipe == "grouprank":
        given = {f"[{label}]": worth[n] / 10 for label, n in zip(prompt.labels, shown(prompt), strict=True)}
        return f"<reason>[1] is good</reason><answer>{json.dumps(given)}</answer>"
    return {
        "cotrr": json.dumps({"CoT": "Picture [1] then [2]", f"top_{len(labels)}_indices": [int(x) for x in labels]})
        if all(label.isdigit() for label in labels)
        else "",
        "mm_r5": f"<think>Image 2 before [1]</think><answer>[{numbers}]</answer>",
        "vic": f"[{numbers}]",
        "jointrank": " ".join(labels),
        "unime": f"{labels[0]})",
        "rankfusion": labels[0],
    }.get(recipe, " > ".join(f"[{label}]" for label in labels))


def knowing(recipe: str, worth: Sequence[float], capabilities: frozenset[Capability] = ALL) -> Scripted:
    """A model that says the truth about items numbered 0, 1, ... in a recipe's own form."""

    def says(prompt: Prompt, detail: Any, _times: int) -> object:
        if detail is None:
            return _attention(prompt, worth)
        if isinstance(detail, Sequence):
            values = [worth[number] for number in shown(prompt)]
            return values if len(prompt.labels) > 1 else [values[0] / 2, -values[0] / 2]
        return written(recipe, prompt, worth)

    return Scripted(says=says, capabilities=capabilities)


def _attention(prompt: Prompt, worth: Sequence[float]) -> Mapping[str, Sequence[float]]:
    empty = any(isinstance(p, TextPart) and p.mark == "query" and p.text == "N/A" for p in prompt.parts())
    return {str(i): [0.5 if empty else 0.5 + worth[number]] for i, number in enumerate(shown(prompt))}
