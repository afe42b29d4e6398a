"""Train the bundled toybox models from nothing.

    python scripts/train_toybox.py clip --work /somewhere/with/room
    python scripts/train_toybox.py vl --work /somewhere/else/with/room

go on where they were stopped; an hour and nearly two hours on one CPU core.
"""

from pathlib import Path
from typing import Annotated

import torch
import typer

from mmrank.toybox.assets import toybox_clip_folder, toybox_vl_folder
from mmrank.toybox.train.clip_loop import ClipTrainer, Plan, train
from mmrank.toybox.train.clip_model import export, load
from mmrank.toybox.train.clip_score import clip_score, order_share, page_score, scene_scores
from mmrank.toybox.train.vl_found import Judge, found_scores, order_score
from mmrank.toybox.train.vl_loop import Plan as VlPlan
from mmrank.toybox.train.vl_loop import VlTrainer
from mmrank.toybox.train.vl_loop import train as train_vl
from mmrank.toybox.train.vl_model import export as export_vl
from mmrank.toybox.train.vl_model import load as load_vl
from mmrank.toybox.train.vl_model import new_processor
from mmrank.toybox.train.vl_score import judge_scores

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)


@app.callback()
def models() -> None:
    """Train one of the bundled models."""


@app.command()
def clip(
    *,
    work: Annotated[Path, typer.Option(help="Folder for checkpoints.")],
    to: Annotated[Path | None, typer.Option(help="Folder to export to; the bundled one by default.")] = None,
    steps: Annotated[int, typer.Option(help="Optimiser steps in all.")] = Plan().steps,
    batch: Annotated[int, typer.Option(help="Pairs per step.")] = Plan().batch,
    rate: Annotated[float, typer.Option(help="Peak learning rate.")] = Plan().rate,
    seed: Annotated[int, typer.Option(help="Seed of weights and data.")] = 0,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 1,
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.")] = "auto",
    export_only: Annotated[bool, typer.Option(help="Do not train: export and score the checkpoint in --work.")] = False,
) -> None:
    """toybox-clip: an open_clip CLIP for 64-pixel pictures, exported as float16 safetensors."""
    torch.set_num_threads(threads)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    plan = Plan(steps=steps, batch=batch, rate=rate, seed=seed)
    folder = to or toybox_clip_folder()
    if export_only:
        trainer = ClipTrainer(plan, device)
        if not trainer.resume(work):
            raise typer.BadParameter(f"no checkpoint in {work}; train first, without --export-only")
    else:
        trainer = train(plan, work, device, lambda line: print(line, flush=True))
    export(trainer.model, folder)
    model, preprocess = load(folder)
    print(f"exported step {trainer.step} ({trainer.seconds / 60:.1f} minutes of training) to {folder}")
    print("as loaded by open_clip:")
    for score in (*scene_scores(model, preprocess), page_score(model, preprocess), clip_score(model, preprocess)):
        print(f"  {score}")
    print(f"  order of two told right: {order_share(model, preprocess):.3f} (chance 0.5)")


@app.command()
def vl(
    *,
    work: Annotated[Path, typer.Option(help="Folder for checkpoints.")],
    to: Annotated[Path | None, typer.Option(help="Folder to export to; the bundled one by default.")] = None,
    rate: Annotated[float, typer.Option(help="Peak learning rate.")] = VlPlan().rate,
    seed: Annotated[int, typer.Option(help="Seed of weights and data.")] = 0,
    half: Annotated[bool, typer.Option(help="Compute in bfloat16 where it is safe.")] = VlPlan().half,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 1,
    questions: Annotated[int, typer.Option(help="Held-out questions of each sort at the end.")] = 200,
    export_only: Annotated[bool, typer.Option(help="Do not train: export and score the checkpoint in --work.")] = False,
) -> None:
    """toybox-vl: a small Qwen3-VL that captions, says yes or no and picks from lists, as float16 safetensors."""
    torch.set_num_threads(threads)
    plan = VlPlan(rate=rate, seed=seed, half=half)
    folder = to or toybox_vl_folder()
    if export_only:
        trainer = VlTrainer(plan)
        if not trainer.resume(work):
            raise typer.BadParameter(f"no checkpoint in {work}; train first, without --export-only")
        trainer.learner.eval()
    else:
        trainer = train_vl(plan, work, lambda line: print(line, flush=True))
    export_vl(trainer.learner.model, new_processor(), folder)
    print(f"exported step {trainer.step} ({trainer.seconds / 60:.1f} minutes of training) to {folder}")
    model, processor = load_vl(folder)
    trainer.learner.model.load_state_dict(model.state_dict())
    print("among near-duplicates, with the exported weights:")
    for score in judge_scores(trainer.learner, questions):
        print(f"  {score}")
    print("among what toybox-clip finds, through the processor and the chat template:")
    judge = Judge(model, processor)
    for found in (*found_scores(judge, questions), order_score(judge, questions // 2)):
        print(f"  {found}")


if __name__ == "__main__":
    app()
