"""From a chat completion with log-probabilities to one log-probability per choice."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

LOWEST = -9000.0
"""vLLM writes -9999 where it means minus infinity (a token its sampler may not take): nothing known about it."""

ASKED = 16
"""Tokens asked for beyond four per choice: room for other spellings ("Yes", "**yes") that rank between choices."""

Restriction: TypeAlias = Literal["allowed_token_ids", "guided_choice", "structured_outputs"]


def asked_for(choices: int, cap: int) -> int:
    """How many of the likeliest tokens to ask for, so that `choices` of them are among these."""
    return max(1, min(cap, 4 * choices + ASKED))


def top_tokens(body: Any) -> list[tuple[str, float]] | str:
    """The likeliest first tokens of a chat completion with their log-probabilities; a sentence when there are none."""
    try:
        first = body["choices"][0]["logprobs"]["content"][0]
        listed = [(str(entry["token"]), float(entry["logprob"])) for entry in first["top_logprobs"] or ()]
    except (KeyError, IndexError, TypeError, ValueError):
        return "the server answered without log-probabilities"
    if not listed:
        return "the server answered with an empty list of log-probabilities"
    return [(token, value) for token, value in listed if math.isfinite(value) and LOWEST < value <= 1e-3]


def choice_values(
    tokens: Sequence[tuple[str, float]], choices: Sequence[str], *, merge_spaces: bool = True
) -> tuple[float | None, ...]:
    """The log-probability of each choice, None where no token listed is that choice.

    A token is a choice when its text is exactly the choice. With `merge_spaces` one leading space is looked over, and
    the probabilities of both spellings are added: after an answer prefix many models write " A" where others write
    "A", and servers with SentencePiece vocabularies do not tell the two apart.

    >>> choice_values([("yes", -1.0), (" yes", -1.0), ("YES", -2.0)], ["yes", "no"])
    (-0.3068528194400547, None)
    """
    return tuple(_sum([value for token, value in tokens if _is(token, choice, merge_spaces)]) for choice in choices)


def _is(token: str, choice: str, merge_spaces: bool) -> bool:
    return token == choice or (merge_spaces and token.removeprefix(" ") == choice)


def _sum(values: Sequence[float]) -> float | None:
    """log(sum(exp(values))), None for none."""
    if not values:
        return None
    largest = max(values)
    return largest + math.log(sum(math.exp(value - largest) for value in values))


def cap_named(words: str) -> int | None:
    """The largest number of log-probabilities that a refusal names.

    >>> cap_named("Requested sample logprobs of 128, which is greater than max allowed: 20")
    20
    >>> cap_named("Invalid value for 'top_logprobs': must be less than or equal to 20.")
    20
    """
    found = re.search(
        r"(?:max(?:imum)?(?: allowed)?(?: is| of)?:?|less than or equal to|<=|at most|up to)\s*(\d+)", words
    )
    return int(found.group(1)) if found else None


def restricted(how: Restriction | None, choices: Sequence[str], token_ids: Sequence[int]) -> dict[str, Any]:
    """What a request says so that the server lets the model answer with nothing but the choices."""
    if how is None:
        return {}
    if how == "allowed_token_ids":
        return {"allowed_token_ids": list(token_ids)}
    if how == "guided_choice":
        return {"guided_choice": list(choices)}
    return {"structured_outputs": {"choice": list(choices)}}
