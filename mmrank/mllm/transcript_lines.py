"""The lines of a transcript: prompts and results as JSON, and back."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from mmrank.errors import MllmError
from mmrank.mllm.base import Attended, Choices, Failure, Generated, PairScore
from mmrank.mllm.prompt import Part, Prompt, TextPart
from mmrank.types import Cost


def generated_of(result: Mapping[str, Any], cost: Cost) -> Generated:
    return Generated(**result, cost=cost)


def choices_of(result: Mapping[str, Any], cost: Cost) -> Choices:
    return Choices(**{**result, "logprobs": tuple(result["logprobs"])}, cost=cost)


def pair_score_of(result: Mapping[str, Any], cost: Cost) -> PairScore:
    return PairScore(**result, cost=cost)


def attended_of(result: Mapping[str, Any], cost: Cost) -> Attended:
    import numpy as np

    scores = {mark: np.frombuffer(base64.b64decode(data), np.float32).copy() for mark, data in result["scores"].items()}
    return Attended(**{**result, "scores": scores}, cost=cost)


def shown_result(result: Generated | Choices | PairScore | Attended | Failure) -> dict[str, Any]:
    """A result without its cost and its key, and its cost without zeros."""
    cost = {name: value for name, value in asdict(result.cost).items() if value}
    if isinstance(result, Attended):
        scores = {mark: base64.b64encode(row.astype("<f4").tobytes()).decode() for mark, row in result.scores.items()}
        return {"result": {"scores": scores, "retries": result.retries, "shortened": result.shortened}, "cost": cost}
    said = asdict(replace(result, cost=Cost()))
    del said["cost"], said["call"]
    return {"failure" if isinstance(result, Failure) else "result": said, "cost": cost}


def shown_prompt(prompt: Prompt) -> dict[str, Any]:
    """All of a prompt that an answer depends on."""
    said: dict[str, Any] = {
        "messages": [{"role": m.role, "parts": [_shown(part) for part in m.parts]} for m in prompt.messages],
        "labels": list(prompt.labels),
        "answer_prefix": prompt.answer_prefix,
        "max_tokens_in": prompt.max_tokens_in,
    }
    if prompt.pair is not None:
        said["pair"] = {
            "query": [_shown(part) for part in prompt.pair.query],
            "document": [_shown(part) for part in prompt.pair.document],
            "instruction": prompt.pair.instruction,
        }
    return said


def _shown(part: Part) -> dict[str, Any]:
    """A text as it is; a picture by its key and size."""
    said: dict[str, Any]
    if isinstance(part, TextPart):
        said = {"text": part.text, "data": part.data}
    else:
        said = {"picture": part.picture.key, "size": [part.picture.width, part.picture.height]}
    return said | ({"mark": part.mark} if part.mark else {})


def digest(value: Any) -> str:
    """A hash of anything JSON can hold; the same for equal values on every machine."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:24]


def read_lines(path: Path) -> tuple[list[dict[str, Any]], list[int]]:
    """The lines of a transcript, and the numbers (from 1) of those that cannot be read. Raises `MllmError`."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise MllmError(f"The transcript {path} cannot be read: {error.strerror or error}.") from None
    lines, torn = [], []
    for number, raw in enumerate(data.split(b"\n"), 1):
        if not raw.strip():
            continue
        try:
            line = json.loads(raw.decode("utf-8"))
        except ValueError:
            torn.append(number)
            continue
        if isinstance(line, dict):
            lines.append(line)
        else:
            torn.append(number)
    return lines, torn
