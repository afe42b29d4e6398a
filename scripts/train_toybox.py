"""Train the bundled toybox models from nothing.

    python scripts/train_toybox.py clip --work /somewhere/with/room

goes on where it was stopped; about an hour on one CPU core, minutes on a GPU.
"""

from pathlib import Path
from typing import Annotated

import torch
import typer

from mmrank.toybox.assets import toybox_clip_folder
from mmrank.toybox.train.clip_loop import ClipTrainer, Plan, train
from mmrank.toybox.train.clip_model import export, load
from mmrank.toybox.train.clip_score import clip_score, order_share, page_score, scene_scores

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


if __name__ == "__main__":
    app()
