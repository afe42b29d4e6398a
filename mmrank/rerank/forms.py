"""Checkpoint rows: what a model that was trained to judge wants to be asked, and in which form. The rows are data,
in ``forms.toml``."""

from __future__ import annotations

import difflib
import re
import tomllib
from fnmatch import fnmatchcase
from functools import cache
from importlib import resources
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from mmrank.errors import RecipeError
from mmrank.mllm.base import Capability
from mmrank.rerank.render_settings import RenderSettings

Setting: TypeAlias = str | int | bool

PROMPT_KEYS = re.compile(r"(pair|list|sheet)\.[a-z_]+")


class Form(BaseModel):
    """One checkpoint, or a family that was trained on one form.

    `models`: patterns (``*`` and ``?``, case ignored) for the last part of a hub id, folder or served name. `source`:
    where its form is written down. `prompts`: the prompt file for a layout and ask ("pair.yes_no"), in place of the
    recipe's. `ask`, `layout`, `rendering`: settings that replace the recipe's. `instruction`: the default task.
    `max_tokens_in`, `max_candidates`: what it was trained with at most, None where that is not known. `needs`: what
    the backend must offer for its scores to be right, beside what the ask wants. `serve`: what ``vllm serve`` is to be
    told beside the model's name; empty: as for any chat model. `warning`: what to know before trusting it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    models: tuple[str, ...] = ()
    source: str
    prompts: dict[str, str] = Field(default_factory=dict)
    ask: dict[Literal["positive", "negative"], str] = Field(default_factory=dict)
    layout: dict[Literal["columns", "cell"], int] = Field(default_factory=dict)
    rendering: dict[str, Setting] = Field(default_factory=dict)
    instruction: str | None = None
    max_tokens_in: int | None = Field(default=None, gt=0)
    max_candidates: int | None = Field(default=None, gt=0)
    needs: tuple[Capability, ...] = ()
    serve: tuple[str, ...] = ()
    warning: str | None = None

    @field_validator("prompts")
    @classmethod
    def _known_keys(cls, prompts: dict[str, str]) -> dict[str, str]:
        for key in prompts:
            if not PROMPT_KEYS.fullmatch(key):
                raise RecipeError(f"prompts has the key {key!r}; it must be LAYOUT.ASK, such as pair.yes_no")
        return prompts

    @field_validator("rendering")
    @classmethod
    def _known_settings(cls, rendering: dict[str, Setting]) -> dict[str, Setting]:
        try:
            RenderSettings(**rendering)  # type: ignore[arg-type]
        except TypeError as error:
            raise RecipeError(f"rendering has a setting that is none ({error})") from error
        return rendering

    def matches(self, name: str) -> bool:
        """True when one of the patterns fits `name`, a bare name without owner and folder."""
        return any(fnmatchcase(name.lower(), pattern.lower()) for pattern in self.models)


@cache
def list_forms() -> tuple[Form, ...]:
    """All rows, in the order in which they are tried.

    >>> "qwen3-vl-reranker" in [form.name for form in list_forms()]
    True
    """
    text = (resources.files("mmrank.rerank") / "forms.toml").read_text(encoding="utf-8")
    try:
        forms = tuple(Form.model_validate(row) for row in tomllib.loads(text)["form"])
    except ValidationError as error:
        raise RecipeError(f"forms.toml is wrong: {error}") from error
    names = [form.name for form in forms]
    if len(set(names)) < len(names):
        raise RecipeError("forms.toml has two rows of one name.")
    return forms


def find_form(name: str) -> Form:
    """The row of that name. Raises `RecipeError` when there is none, with the nearest names.

    >>> find_form("monoqwen2-vl").ask["positive"]
    'True'
    """
    forms = {form.name: form for form in list_forms()}
    if name in forms:
        return forms[name]
    near = difflib.get_close_matches(name, forms, n=3)
    hint = f"Near it: {', '.join(near)}. " if near else ""
    raise RecipeError(f"There is no form {name!r}. {hint}All of them: {', '.join(forms)}.")


def form_for(spec: str) -> Form | None:
    """The row for a model, by its spec: a hub id, a folder, an alias, or ``openai:BASE_URL#MODEL``. None when it was
    not trained on a form of its own (any instruct model): the recipe's own words then hold.

    >>> form_for("Qwen/Qwen3-VL-Reranker-8B").name, form_for("openai:http://localhost:8000/v1#mm-r5").name
    ('qwen3-vl-reranker', 'mm-r5')
    >>> form_for("Qwen/Qwen3-VL-8B-Instruct") is None
    True
    """
    names = _bare_names(spec)
    return next((form for form in list_forms() if any(form.name == n or form.matches(n) for n in names)), None)


def _bare_names(spec: str) -> tuple[str, ...]:
    """The last part of the model's name; of a folder in the hub's cache also the name that its snapshots are under."""
    model = spec.rpartition("#")[2] if spec.startswith("openai:") else spec
    parts = [part for part in re.split(r"[/\\]", model) if part]
    last = parts[-1].partition("@")[0] if parts else ""
    return (last, *(part.rpartition("--")[2] for part in parts if part.startswith("models--")))
