"""The training loop of toybox-vl: phases of different mixes, resumable, on one CPU thread."""

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mmrank.toybox.errors import ToyboxError
from mmrank.toybox.train.vl_batches import Batch, Mix, batches
from mmrank.toybox.train.vl_learner import Learner, total
from mmrank.toybox.train.vl_model import TEXT_CONFIG, VISION_CONFIG
from mmrank.toybox.train.vl_score import judge_scores

CHECKPOINT = "checkpoint.pt"

WATCHED = ("objects", "ground", "relation", "swapped", "composed", "mixed", "clips")
"""Sorts of questions that are scored now and then."""


@dataclass(frozen=True, slots=True)
class Phase:
    """Steps of one mix.

    Attributes:
        steps: how many.
        mix: what they are made of.
        pace, end: the rate as a multiple of the plan's at the first and the last step, going straight between them.
        warm_up: the rate rises from nothing over so many steps.
        sight: the rate of the vision tower as a multiple of that.
    """

    steps: int
    mix: Mix
    pace: float = 1.0
    end: float = 1.0
    warm_up: int = 0
    sight: float = 1.0


PICTURES = Mix(tokens=0, pictures=64)
MOST_FORMS = Mix(composed=1.0, captions=0.1, clips=0.3, documents=0.2, listed=0.4, ordered=0.15, sheets=0.25)
MORE = replace(MOST_FORMS, text=0.7, composed=1.2, captions=0.08, documents=0.15, listed=0.45, sheets=0.1)
LISTS = replace(MORE, listed=0.5, ordered=0.2)
LAST = replace(MORE, text=0.8, clips=0.7, documents=0.3, listed=0.45, ordered=0.25)

PHASES = (
    Phase(1300, PICTURES, pace=1.5, end=1.5, warm_up=100),
    Phase(1900, replace(PICTURES, clips=0.1), pace=1.2, end=0.1),
    Phase(600, Mix(composed=0.35, captions=0.1), pace=0.9, end=0.9, warm_up=50, sight=0.3),
    Phase(321, Mix(composed=0.0, captions=0.05), pace=0.9, end=0.9, sight=0.3),
    Phase(500, Mix(composed=0.8, captions=0.05, clips=0.2, listed=0.3), pace=0.9, end=0.9, sight=0.3),
    Phase(79, MOST_FORMS, pace=0.9, end=0.9, sight=0.3),
    Phase(229, replace(MOST_FORMS, captions=0.08, documents=0.15, sheets=0.15), pace=0.9, end=0.9, sight=0.3),
    Phase(150, MORE, pace=0.9, end=0.9, sight=0.3),
    Phase(121, MORE, pace=0.9, end=0.67, sight=0.3),
    Phase(110, LISTS, pace=0.7, end=0.7, sight=0.3),
    Phase(250, LISTS, pace=0.7, end=0.0, sight=0.3),
    Phase(1250, LAST, pace=0.7, end=0.0, warm_up=30, sight=0.3),
)
"""Pictures alone until their cells are told, then questions: pairs about scenes first, at last all sorts and forms."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How to train: what is learned when, how fast, and how often there is news."""

    phases: tuple[Phase, ...] = PHASES
    rate: float = 1e-3
    weight_decay: float = 0.05
    seed: int = 0
    half: bool = True
    log_every: int = 20
    score_every: int = 200
    score_questions: int = 20
    save_seconds: float = 180.0

    @property
    def steps(self) -> int:
        """Steps of all phases."""
        return sum(phase.steps for phase in self.phases)

    def phase_at(self, step: int) -> tuple[int, Phase]:
        """The phase that a step belongs to, and its first step."""
        first = 0
        for phase in self.phases:
            if step < first + phase.steps:
                return first, phase
            first += phase.steps
        raise ToyboxError(f"the plan has {self.steps} steps; there is no step {step}")

    def mix_at(self, step: int) -> Mix:
        """What a step is made of."""
        return self.phase_at(step)[1].mix

    def rate_at(self, step: int) -> float:
        """The learning rate of one step."""
        first, phase = self.phase_at(step)
        rising = min(1.0, (step - first + 1) / phase.warm_up) if phase.warm_up else 1.0
        return self.rate * rising * (phase.pace + (phase.end - phase.pace) * (step - first) / phase.steps)


class VlTrainer:
    """A model on its way: weights, optimiser state, the next step, seconds spent so far."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.learner = Learner(plan.seed)
        self.optimizer = torch.optim.AdamW(_groups(self.learner, plan), lr=plan.rate, betas=(0.9, 0.98))
        self.step = 0
        self.seconds = 0.0

    def save(self, folder: Path) -> None:
        """Write the checkpoint so that a kill at any moment leaves the old or the new one whole."""
        folder.mkdir(parents=True, exist_ok=True)
        state = {
            "shape": _shape(),
            "seed": self.plan.seed,
            "learner": self.learner.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }
        torch.save(state, folder / (CHECKPOINT + ".part"))
        (folder / (CHECKPOINT + ".part")).replace(folder / CHECKPOINT)

    def resume(self, folder: Path) -> bool:
        """Go on from the folder's checkpoint, if it has one.

        Raises:
            ToyboxError: the checkpoint was made with another model shape or seed.
        """
        path = folder / CHECKPOINT
        if not path.exists():
            return False
        state = torch.load(path, weights_only=True)
        if (state["shape"], state["seed"]) != (_shape(), self.plan.seed):
            raise ToyboxError(
                f"{path} was made with another model shape or seed ({state['seed']}); "
                "give the same ones, or another work folder"
            )
        self.learner.load_state_dict(state["learner"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = state["step"], state["seconds"]
        return True

    def learn(self, batch: Batch) -> dict[str, float]:
        """One optimiser step; returns the losses by name."""
        _, phase = self.plan.phase_at(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = self.plan.rate_at(self.step) * (phase.sight if group["sees"] else 1.0)
        self.learner.train()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.plan.half):
            losses = self.learner(batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss: Any = total(losses)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.learner.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        return {name: float(each.detach()) for name, each in losses.items()}


def train(plan: Plan, folder: Path, say: Callable[[str], None]) -> VlTrainer:
    """Train to the end of the plan, going on from `folder`'s checkpoint; `say` gets one line of news at a time."""
    trainer = VlTrainer(plan)
    if trainer.resume(folder):
        say(f"goes on from step {trainer.step} of {plan.steps}")
    before, began, saved = trainer.seconds, time.monotonic(), time.monotonic()
    sums: dict[str, list[float]] = defaultdict(list)
    # A plain dict, so that the process that draws needs nothing of this module, and no torch.
    mixes = {step: plan.mix_at(step) for step in range(trainer.step, plan.steps)}
    with batches(plan.seed, trainer.step, plan.steps, mixes.__getitem__) as stream:
        for batch in stream:
            for name, loss in trainer.learn(batch).items():
                sums[name].append(loss)
            trainer.seconds = before + time.monotonic() - began
            if trainer.step % plan.log_every == 0:
                means = " ".join(f"{name} {sum(each) / len(each):.3f}" for name, each in sums.items())
                say(f"step {trainer.step} {means} minutes {trainer.seconds / 60:.1f}")
                sums.clear()
            if trainer.step % plan.score_every == 0 and plan.mix_at(trainer.step - 1).tokens:
                trainer.learner.eval()
                say("; ".join(str(score) for score in judge_scores(trainer.learner, plan.score_questions, WATCHED)))
            if time.monotonic() - saved > plan.save_seconds:
                trainer.save(folder)
                saved = time.monotonic()
    trainer.save(folder)
    trainer.learner.eval()
    return trainer


def _shape() -> dict[str, Any]:
    return {"text": TEXT_CONFIG, "vision": VISION_CONFIG}


def _groups(learner: nn.Module, plan: Plan) -> list[dict[str, Any]]:
    """The vision tower apart from the rest; weight decay for matrices only, not for gains, biases or the vocabulary."""
    groups: list[dict[str, Any]] = [
        {"params": [], "weight_decay": decay, "sees": sees}
        for sees in (True, False)
        for decay in (plan.weight_decay, 0.0)
    ]
    for name, parameter in learner.named_parameters():
        plain = parameter.ndim < 2 or "embed" in name
        groups[2 * (".visual." not in name) + plain]["params"].append(parameter)
    return groups
