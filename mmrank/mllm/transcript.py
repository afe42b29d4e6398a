"""Every call to an MLLM written to a file, and a file played back in the place of the MLLM.

A transcript is JSON Lines, only ever appended to, so that it may be cut off anywhere. Its lines:

* ``{"line": "model", "spec", "capabilities", "limits", "warning"}``: at the beginning of each recording;
* ``{"line": "call", "key", "kind", "prompt", "asked", "result" or "failure", "cost", "at"}``: one prompt and what
  came back; pictures stand in it as key and size, and `key` is a hash of all that was asked;
* ``{"line": "parse", "key", "parsed"}``: what the judge made of the call with that key, which stands before it. Of
  calls that were equal in everything (one key), the first parse is of the first, and so on.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar

from mmrank.errors import MllmError, RecipeError, UsageError
from mmrank.mllm.base import (
    MLLM,
    Attended,
    Capability,
    Choices,
    Failure,
    Generated,
    Limits,
    PairScore,
    Sampling,
    Speed,
)
from mmrank.mllm.prompt import Prompt
from mmrank.mllm.remote.spec import without_key
from mmrank.mllm.remote.trim import estimated_tokens
from mmrank.mllm.transcript_lines import (
    attended_of,
    choices_of,
    digest,
    generated_of,
    pair_score_of,
    read_lines,
    shown_prompt,
    shown_result,
)
from mmrank.types import Cost

R = TypeVar("R", Generated, Choices, PairScore, Attended)

FORMAT = 1


class Recording:
    """An MLLM that answers as `mllm` does and writes every call to the file at `path`, appending to what is there.

    Lines are written and flushed when a batch has been answered. Raises `UsageError` when the file holds the calls of
    another model, `OSError` when it cannot be written. Thread-safe.

    >>> import tempfile
    >>> from mmrank.mllm.prompt import Message
    >>> from mmrank.mllm.remote import load_remote
    >>> path = Path(tempfile.mkdtemp()) / "calls.jsonl"
    >>> recording = Recording(load_remote("openai:http://localhost:8000/v1#model"), path)
    >>> recording.spec
    'openai:http://localhost:8000/v1#model'
    """

    def __init__(self, mllm: MLLM, path: str | Path) -> None:
        self._mllm = mllm
        self.path = Path(path)
        self._lock = threading.Lock()
        self._begun = False
        with self.path.open("ab"):
            pass  # what cannot be written is better known before the first call
        if self.path.stat().st_size:
            other = [spec for line in read_lines(self.path)[0] if (spec := line.get("spec", mllm.spec)) != mllm.spec]
            if other:
                raise UsageError(
                    f"{self.path} holds the calls of {other[0]}, not of {mllm.spec}. Give each model its own file."
                )

    def __repr__(self) -> str:
        return f"Recording({self._mllm!r}, {str(self.path)!r})"

    @property
    def spec(self) -> str:
        return self._mllm.spec

    @property
    def capabilities(self) -> frozenset[Capability]:
        return self._mllm.capabilities

    @property
    def limits(self) -> Limits:
        return self._mllm.limits

    @property
    def warning(self) -> str | None:
        return self._mllm.warning

    @property
    def batch_tokens(self) -> int | None:
        """Tokens in one batch of a local model; None where there is no such limit."""
        return getattr(self._mllm, "batch_tokens", None)

    @property
    def concurrency(self) -> int | None:
        """Requests under way at a time of a server; None where nothing is under way side by side."""
        return getattr(self._mllm, "concurrency", None)

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Generated | Failure]:
        results = self._mllm.generate(prompts, sampling)
        return self._recorded("generate", prompts, [asdict(sampling.at(i)) for i in range(len(prompts))], results)

    def choice_logprobs(self, prompts: Sequence[Prompt], choices: Sequence[Sequence[str]]) -> list[Choices | Failure]:
        results = self._mllm.choice_logprobs(prompts, choices)
        return self._recorded("choices", prompts, [list(given) for given in choices], results)

    def check_choices(self, prompt: Prompt, choices: Sequence[str]) -> None:
        self._mllm.check_choices(prompt, choices)

    def pair_scores(self, prompts: Sequence[Prompt]) -> list[PairScore | Failure]:
        return self._recorded("pairs", prompts, [None] * len(prompts), self._mllm.pair_scores(prompts))

    def attention(self, prompts: Sequence[Prompt]) -> list[Attended | Failure]:
        return self._recorded("attention", prompts, [None] * len(prompts), self._mllm.attention(prompts))

    def count_tokens(self, prompt: Prompt) -> int:
        return self._mllm.count_tokens(prompt)

    def speed(self) -> Speed | None:
        return self._mllm.speed()

    def note(self, parsed: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        """Write down what was made of some calls, each by the `call` of its result."""
        self._write([{"line": "parse", "key": call, "parsed": dict(what)} for call, what in parsed])

    def _recorded(
        self, kind: Capability, prompts: Sequence[Prompt], asked: Sequence[Any], results: Sequence[R | Failure]
    ) -> list[R | Failure]:
        """The results, written down, each with the key of its call."""
        lines: list[dict[str, Any]] = []
        named: list[R | Failure] = []
        if not self._begun:
            self._begun = True
            lines.append(
                {
                    "line": "model",
                    "format": FORMAT,
                    "spec": self.spec,
                    "capabilities": sorted(self.capabilities),
                    "limits": asdict(self.limits),
                    "warning": self.warning,
                }
            )
        # Not strict: a backend that gives too few results is told so by whoever asked.
        for prompt, what, result in zip(prompts, asked, results, strict=False):
            said = shown_prompt(prompt)
            key = digest([kind, said, what])
            named.append(replace(result, call=key))
            lines.append(
                {"line": "call", "key": key, "kind": kind, "prompt": said, "asked": what, **shown_result(result)}
                | {"at": round(time.time(), 3)}
            )
        self._write(lines)
        return named

    def _write(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Append lines in one write; a line that an earlier recording was torn in is closed off first."""
        # A key of the environment has no business here, but a server might have repeated it in an answer.
        text = "".join(without_key(json.dumps(line, ensure_ascii=False)) + "\n" for line in lines)
        with self._lock, self.path.open("a+b") as file:
            if file.tell() > 0:
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    text = "\n" + text
            file.write(text.encode("utf-8", errors="backslashreplace"))
            file.flush()


class Replay:
    """A transcript in the place of the MLLM that it was recorded from: no model, the same results.

    A call that is not in the file is a `Failure` that says so. A prompt that was asked several times gives its answers
    in the order they were recorded, and fails when they are used up. Lines that cannot be read (a torn last one, after
    a kill) are left out, and `warning` says so. Raises `MllmError` when the file is no transcript.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        lines, torn = read_lines(self.path)
        models = [line for line in lines if line.get("line") == "model"]
        if not models:
            raise MllmError(f"{self.path} is not a transcript of mmrank: it has no line about a model.")
        if models[-1].get("format") != FORMAT:
            raise MllmError(
                f"{self.path} is a transcript of format {models[-1].get('format')}; this version of mmrank reads "
                f"format {FORMAT}. Record it again."
            )
        self._model = models[-1]
        self._torn = torn
        self._calls: dict[str, deque[dict[str, Any]]] = defaultdict(deque)
        for line in lines:
            if line.get("line") == "call":
                self._calls[line["key"]].append(line)
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Replay({str(self.path)!r})"

    @property
    def spec(self) -> str:
        return str(self._model["spec"])

    @property
    def capabilities(self) -> frozenset[Capability]:
        return frozenset(self._model["capabilities"])

    @property
    def limits(self) -> Limits:
        return Limits(**self._model["limits"])

    @property
    def warning(self) -> str | None:
        said = [self._model["warning"]] if self._model["warning"] else []
        if self._torn:
            numbers = ", ".join(map(str, self._torn[:5]))
            said.append(f"{self.path}: {len(self._torn)} torn lines were left out (line {numbers}).")
        return " ".join(said) or None

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Generated | Failure]:
        return [self._found("generate", p, asdict(sampling.at(i)), generated_of) for i, p in enumerate(prompts)]

    def choice_logprobs(self, prompts: Sequence[Prompt], choices: Sequence[Sequence[str]]) -> list[Choices | Failure]:
        return [self._found("choices", p, list(c), choices_of) for p, c in zip(prompts, choices, strict=True)]

    def check_choices(self, prompt: Prompt, choices: Sequence[str]) -> None:
        """Nothing to check: what is in the file was answered."""

    def pair_scores(self, prompts: Sequence[Prompt]) -> list[PairScore | Failure]:
        return [self._found("pairs", prompt, None, pair_score_of) for prompt in prompts]

    def attention(self, prompts: Sequence[Prompt]) -> list[Attended | Failure]:
        return [self._found("attention", prompt, None, attended_of) for prompt in prompts]

    def count_tokens(self, prompt: Prompt) -> int:
        """An estimate: no model is here."""
        return estimated_tokens(prompt)

    def speed(self) -> Speed | None:
        return None

    def _found(self, kind: Capability, prompt: Prompt, asked: Any, read: Any) -> Any:
        if kind not in self.capabilities:
            raise RecipeError(
                f"{self.path} was recorded from {self.spec}, which cannot do {kind!r}. "
                f"It can: {', '.join(sorted(self.capabilities))}."
            )
        key = digest([kind, shown_prompt(prompt), asked])
        with self._lock:
            known = self._calls.get(key)
            line = known.popleft() if known else None
        if line is None:
            times = "no more often than it was asked already" if known is not None else "not"
            words = prompt.text if len(prompt.text) <= 120 else prompt.text[:120] + "..."
            return Failure(error=f"this {kind} call is {times} in {self.path} (key {key}): {words!r}")
        cost = Cost(**line["cost"])
        return Failure(**line["failure"], cost=cost) if "failure" in line else read(line["result"], cost)
