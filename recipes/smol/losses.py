"""What is minimised, and the running mean of what minimises it."""

import copy
from pathlib import Path

import torch
from answering import prompt_embeddings
from batches import IGNORED, Batch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedTokenizerFast

from mmke.backbones.smol.parts import SmolLlava, SmolMiniGPT4


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
        attention_mask=torch.zeros_like(sees, dtype=state.dtype).masked_fill(~sees, torch.finfo(state.dtype).min)[
            :, None
        ],
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
        small = {
            name: (tensor.half() if tensor.is_floating_point() else tensor).contiguous().cpu()
            for name, tensor in kept.items()
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(small, path)
