"""Losses of trained editors: that the edited model gives the new answer, and answers everything else as before."""

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy


def answer_loss(logits: Float[Tensor, "rows vocab"], target: Int[Tensor, "rows"]) -> Float[Tensor, ""]:
    """Return the mean negative log-likelihood of the target's tokens, in nats, computed in float32."""
    return cross_entropy(logits.float(), target)


def locality_divergence(before: Float[Tensor, "rows vocab"], after: Float[Tensor, "rows vocab"]) -> Float[Tensor, ""]:
    """Return the mean KL(before ‖ after) per row, in nats, computed in float32; no gradient flows into `before`."""
    old = before.detach().float().log_softmax(-1)
    new = after.float().log_softmax(-1)
    return (old.exp() * (old - new)).sum(-1).mean()
