"""Running a causal language model of the library up to a layer, and on from there.

The cut before a layer works for any decoder: a pre-hook captures the layer's arguments and stops the forward pass;
later the remaining layers are called with these arguments. The cut before a layer's MLP needs a layer of the form
residual + mlp(norm(x)).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from mmke.backbones.engine.attention import attend_in_packs, attending
from mmke.backbones.engine.cards import card_of
from mmke.backbones.engine.structure import moved, tensors_in
from mmke.protocols import TrieSpan


class _StopForwardError(Exception):
    """Ends a forward pass once its state has been captured."""


class Captured(NamedTuple):
    """Hidden states [1 seq hidden], and the other arguments of the layers above them."""

    hidden: Tensor
    context: Mapping[str, Any]


@dataclass(frozen=True)
class Mlp:
    """The second half of a decoder layer.

    Attributes:
        norm: returns a layer's norm before the MLP; its input is the residual stream.
        run: computes residual + mlp(norm(residual)) of a layer.
        slots: names of the linears that lead into and out of the MLP, relative to the layer.
        known: whether the layers have this form; if not, the cut before the layer is taken instead.
    """

    norm: Callable[[Any], nn.Module]
    run: Callable[[Any, Tensor], Tensor]
    slots: Mapping[str, str]
    known: bool = True


@dataclass(frozen=True)
class Decoder:
    """A causal language model in parts.

    Attributes:
        model: the decoder without its head, called with embeddings, a mask and positions.
        embed: token embeddings.
        layers: its layers.
        finish: what lies between the last layer and the head.
        head: hidden states to logits.
        mlp: the form of its layers, where known.
        config: the language model's configuration.
    """

    model: nn.Module
    embed: nn.Module
    layers: nn.ModuleList
    finish: Callable[[Tensor], Tensor]
    head: nn.Module
    mlp: Mlp
    config: Any

    def run(
        self,
        embeds: Float[Tensor, "1 seq hidden"],
        mask: Bool[Tensor, "masked widest"],
        position_ids: Int[Tensor, "*axes seq"],
        *,
        tries: Sequence[TrieSpan] = (),
        cache: object = None,
    ) -> Float[Tensor, "1 seq hidden"]:
        """Return the final hidden states, before the head; for mask and tries see `attention.attend`."""
        with attending(tries):
            output = self.model(
                inputs_embeds=embeds,
                # With four axes, also without a row: the library then makes no mask of its own.
                attention_mask=mask[None, None],
                position_ids=position_ids.unsqueeze(-2),
                past_key_values=cache,
                use_cache=cache is not None,
            )
        hidden: Tensor = output.last_hidden_state
        return hidden

    def capture(self, forward: Callable[[], object], *, layer: int, before_mlp: bool) -> Captured:
        """Run a forward pass up to a layer, or up to that layer's MLP, and return the state there."""
        context: dict[str, Any] = {}
        hidden: list[Tensor] = []

        def at_layer(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            context.update(kwargs)
            if not before_mlp:
                hidden.append(args[0])
                raise _StopForwardError

        def at_mlp(_module: nn.Module, args: tuple[Any, ...]) -> None:
            hidden.append(args[0])
            raise _StopForwardError

        target = self.layers[layer]
        # Before all other hooks, some of which change the precision of what the layer reads.
        handles = [target.register_forward_pre_hook(at_layer, with_kwargs=True, prepend=True)]
        if before_mlp:
            handles.append(self.mlp.norm(target).register_forward_pre_hook(at_mlp, prepend=True))
        try:
            forward()
        except _StopForwardError:
            # Some layers flatten the batch before their MLP.
            state = Captured(hidden[0].reshape(1, -1, hidden[0].shape[-1]), context)
            return _brought(state, card_of(target))
        finally:
            for handle in handles:
                handle.remove()
        raise RuntimeError(f"layer {layer} was never reached")

    def resume(self, hidden: Tensor, context: Mapping[str, Any], *, layer: int, tries: Sequence[TrieSpan]) -> Tensor:
        """Run the layers from `layer` on and return the final hidden states."""
        with attending(tries):
            for module in list(self.layers)[layer:]:
                hidden = module(hidden, **context)
        return self.finish(hidden)


def _brought(state: Captured, card: torch.device | None) -> Captured:
    """Bring a state to the card of the layers that go on from it, so that not each of their passes has to."""
    if card is None or all(tensor.device == card for tensor in tensors_in(state)):
        return state
    return Captured(moved(state.hidden, card), moved(state.context, card))


def fuse_norms(model: nn.Module) -> None:
    """Let RMS norms in half precision on a GPU run as one kernel; the library's own take eight."""
    for module in model.modules():
        if hasattr(module, "variance_epsilon") and hasattr(module, "weight"):
            module.forward = partial(_rms_norm, module, module.forward)


def _rms_norm(module: Any, written: Callable[[Tensor], Tensor], hidden: Tensor) -> Tensor:
    if hidden.is_cuda and hidden.dtype == module.weight.dtype != torch.float32:
        return functional.rms_norm(hidden, (hidden.shape[-1],), module.weight, module.variance_epsilon)
    return written(hidden)


def llama_parts(model: Any, head: nn.Module) -> Decoder:
    """Take a `LlamaModel` with its head apart."""
    attend_in_packs(model)
    fuse_norms(model)
    return Decoder(
        model=model,
        embed=model.embed_tokens,
        layers=model.layers,
        finish=model.norm,
        head=head,
        mlp=Mlp(
            norm=lambda layer: layer.post_attention_layernorm,
            run=lambda layer, x: x + layer.mlp(layer.post_attention_layernorm(x)),
            slots={"mlp_in": "mlp.up_proj", "mlp_out": "mlp.down_proj"},
        ),
        config=model.config,
    )


def opt_parts(decoder: Any, head: nn.Module) -> Decoder:
    """Take an `OPTDecoder` with pre-layer norms (every size but 350m) and its head apart."""
    attend_in_packs(decoder)

    def finish(hidden: Tensor) -> Tensor:
        hidden = hidden if decoder.final_layer_norm is None else decoder.final_layer_norm(hidden)
        return hidden if decoder.project_out is None else decoder.project_out(hidden)

    return Decoder(
        model=decoder,
        embed=decoder.embed_tokens,
        layers=decoder.layers,
        finish=finish,
        head=head,
        mlp=Mlp(
            norm=lambda layer: layer.final_layer_norm,
            run=lambda layer, x: x + layer.fc2(layer.activation_fn(layer.fc1(layer.final_layer_norm(x)))),
            slots={"mlp_in": "fc1", "mlp_out": "fc2"},
        ),
        config=decoder.config,
    )
