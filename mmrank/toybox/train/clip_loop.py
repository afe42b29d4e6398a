"""The training loop of toybox-clip: resumable, on a GPU where there is one, on one CPU thread otherwise."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import open_clip
import torch
from torch import nn

from mmrank.toybox.errors import ToyboxError
from mmrank.toybox.train.clip_batches import Batch, batches
from mmrank.toybox.train.clip_model import MODEL_CONFIG, new_model, pixels, tokens
from mmrank.toybox.train.clip_score import scene_scores

MAX_LOGIT_SCALE = math.log(100)
"""CLIP's own bound on the learned temperature."""

CHECKPOINT = "checkpoint.pt"


@dataclass(frozen=True, slots=True)
class Plan:
    """How to train: the rate warms up, stays, and falls linearly to zero over the last `decay` share of the steps."""

    steps: int = 1600
    batch: int = 128
    rate: float = 1e-3
    warm_up: int = 100
    decay: float = 0.4
    weight_decay: float = 0.05
    seed: int = 0
    log_every: int = 25
    score_every: int = 200
    save_seconds: float = 180.0

    def rate_at(self, step: int) -> float:
        """The learning rate of one step."""
        rising = min(1.0, (step + 1) / self.warm_up)
        falling = min(1.0, (self.steps - step) / (self.decay * self.steps))
        return self.rate * min(rising, falling)


class ClipTrainer:
    """A model on its way: weights, optimiser state, the next step, seconds spent so far."""

    def __init__(self, plan: Plan, device: str) -> None:
        self.plan = plan
        self.device = torch.device(device)
        self.model = new_model(plan.seed).to(self.device)
        self.optimizer = torch.optim.AdamW(_groups(self.model, plan), lr=plan.rate, betas=(0.9, 0.98))
        self.loss = open_clip.ClipLoss()
        self.step = 0
        self.seconds = 0.0

    def save(self, folder: Path) -> None:
        """Write the checkpoint so that a kill at any moment leaves the old or the new one whole."""
        folder.mkdir(parents=True, exist_ok=True)
        state = {
            "config": MODEL_CONFIG,
            "seed": self.plan.seed,
            "batch": self.plan.batch,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }
        torch.save(state, folder / (CHECKPOINT + ".part"))
        (folder / (CHECKPOINT + ".part")).replace(folder / CHECKPOINT)

    def resume(self, folder: Path) -> bool:
        """Go on from the folder's checkpoint, if it has one.

        Raises:
            ToyboxError: the checkpoint was made with another model shape, seed or batch size.
        """
        path = folder / CHECKPOINT
        if not path.exists():
            return False
        state = torch.load(path, map_location=self.device, weights_only=True)
        came = (state["config"], state["seed"], state["batch"])
        if came != (MODEL_CONFIG, self.plan.seed, self.plan.batch):
            raise ToyboxError(
                f"{path} was made with another model shape, seed ({state['seed']}) or batch size ({state['batch']}); "
                "give the same ones, or another work folder"
            )
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = state["step"], state["seconds"]
        return True

    def learn(self, batch: Batch) -> float:
        """One optimiser step; returns the contrastive loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.plan.rate_at(self.step)
        images, texts = pixels(batch.pictures).to(self.device), tokens(batch.captions).to(self.device)
        loss = self.loss(*self.model(images, texts))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        scale: Any = self.model.logit_scale
        with torch.no_grad():
            scale.clamp_(0, MAX_LOGIT_SCALE)
        self.step += 1
        return float(loss.detach())


def train(plan: Plan, folder: Path, device: str, say: Callable[[str], None]) -> ClipTrainer:
    """Train to the end of the plan, going on from `folder`'s checkpoint; `say` gets one line of news at a time."""
    trainer = ClipTrainer(plan, device)
    if trainer.resume(folder):
        say(f"goes on from step {trainer.step} of {plan.steps}")
    before, began, saved = trainer.seconds, time.monotonic(), time.monotonic()
    losses: list[float] = []
    with batches(plan.seed, trainer.step, plan.steps, plan.batch) as stream:
        for batch in stream:
            trainer.model.train()
            losses.append(trainer.learn(batch))
            trainer.seconds = before + time.monotonic() - began
            if trainer.step % plan.log_every == 0:
                mean = sum(losses) / len(losses)
                say(f"step {trainer.step} loss {mean:.3f} minutes {trainer.seconds / 60:.1f}")
                losses.clear()
            if trainer.step % plan.score_every == 0:
                trainer.model.eval()
                say("; ".join(str(score) for score in scene_scores(trainer.model)))
            if time.monotonic() - saved > plan.save_seconds:
                trainer.save(folder)
                saved = time.monotonic()
    trainer.save(folder)
    trainer.model.eval()
    return trainer


def _groups(model: nn.Module, plan: Plan) -> list[dict[str, Any]]:
    """Weight decay for matrices only: not for gains, biases, positions, the vocabulary or the temperature."""
    decayed: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        plain = parameter.ndim < 2 or "embedding" in name
        (free if plain else decayed).append(parameter)
    return [{"params": decayed, "weight_decay": plan.weight_decay}, {"params": free, "weight_decay": 0.0}]
