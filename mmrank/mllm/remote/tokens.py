"""Whether a choice is one token of the server's model, where the server can say so (vLLM, SGLang, llama.cpp)."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from mmrank.errors import RecipeError
from mmrank.mllm.remote.calls import Caller, Refusal
from mmrank.mllm.remote.spec import Server


class TokenCounter:
    """Asks ``/tokenize`` once per text. A server without it is believed."""

    def __init__(self, server: Server, caller: Caller) -> None:
        self._server = server
        self._caller = caller
        self._ids: dict[str, tuple[int, ...] | None] = {}
        self._absent = False
        self._lock = threading.Lock()

    def check_single(self, choice: str) -> None:
        """Raises `RecipeError` when `choice` is more than one token."""
        ids = self._looked_up(choice)
        if ids is not None and len(ids) != 1:
            raise RecipeError(
                f"{choice!r} is {len(ids)} tokens for {self._server.spec}, and a choice must be one. Use labels that "
                "are single tokens, such as letters."
            )

    def ids(self, choices: Sequence[str]) -> list[int]:
        """The token id of each choice. Raises `RecipeError` when the server cannot say."""
        found: list[int] = []
        for choice in choices:
            self.check_single(choice)
            ids = self._looked_up(choice)
            if ids is None:
                raise RecipeError(
                    f"{self._server.spec} has no /tokenize, so that restrict='allowed_token_ids' cannot be used. "
                    "Leave restrict out, or use 'structured_outputs'."
                )
            found += ids
        return found

    def _looked_up(self, text: str) -> tuple[int, ...] | None:
        with self._lock:
            if text in self._ids or self._absent:
                return self._ids.get(text)
            # "prompt" is vLLM's and SGLang's name for the text, "content" is llama.cpp's.
            body = {"model": self._server.model, "prompt": text, "content": text, "add_special_tokens": False}
            outcome = self._caller.post(f"{self._server.root_url}/tokenize", body, retries=1)
            if isinstance(outcome, Refusal):
                self._absent = not outcome.passing
                return None
            tokens = outcome.body.get("tokens") if isinstance(outcome.body, dict) else None
            whole = isinstance(tokens, list) and all(isinstance(token, int) for token in tokens)
            self._ids[text] = tuple(tokens) if whole and isinstance(tokens, list) else None
            return self._ids[text]
