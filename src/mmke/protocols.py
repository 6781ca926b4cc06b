"""What a backbone, an editor and an edit session promise: the protocols that everything else is written against.

Metric and Benchmark are in `types`, without torch. A backbone can be cut between two of its layers. The *trunk* is the
part below the cut; it is computed once per input, without gradient. The *tail* is the part above; it is a function of
the trunk's output and of the weights that it is given. The queries of one batch are merged into *packs*. A pack holds
prefix trees (tries) of tokens: a prefix that several queries share (a picture, demonstrations) is in it once, and the
attention mask lets each token attend to its own prefix only. So there is no padding, and nothing shared is computed
twice.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mmke.errors import UserError
from mmke.types import Answer, Ask, Asks, Edit, EditCase, ImageRef, Probe, Query

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class LowRankUpdate:
    """Low-rank update of a weight matrix [out_features in_features]: ΔW = outputsᵀ @ inputs.

    A linear layer adds ΔW x to its output, so that neither the edited matrix nor its gradient is ever formed.

    Attributes:
        inputs: what x is multiplied by first.
        outputs: what the result is multiplied by, transposed.
        normalised: whether a LayerNorm without parameters stands between the two products; then there is no ΔW.
    """

    inputs: Float[Tensor, "rank in_features"]
    outputs: Float[Tensor, "rank out_features"]
    normalised: bool = field(default=False, kw_only=True)

    def product(self) -> Float[Tensor, "out_features in_features"]:
        """Return ΔW.

        Raises:
            UserError: there is none.
        """
        if self.normalised:
            raise UserError(
                "a LayerNorm stands between the two factors of this edit, so that it is no change of weights; ask the "
                "session instead"
            )
        return self.outputs.T @ self.inputs


Weights = Mapping[str, Tensor | LowRankUpdate]
"""Edited tensors by their parameter name in the backbone's module. A full tensor is used in place of the module's own;
a low-rank update is added to it."""

Part = Literal["vision", "alignment", "projection", "language"]
"""The parts of a model: what encodes a picture, what aligns it (a projector or a Q-Former), what hands it to the
language model (the same projector, or the linear layer behind a Q-Former), and the language model."""
Slot = Literal["mlp_in", "mlp_out", "q_proj", "k_proj", "v_proj", "o_proj"]
"""A linear of a decoder layer: those that lead into and out of its MLP, and its attention's projections."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a backbone is divided; from the lowest to the highest: vision, inputs, layer(l), mlp(l), output.

    `layer(l)` lies before decoder layer l, `mlp(l)` inside it, before its MLP.
    """

    place: Literal["vision", "inputs", "layer", "mlp", "output"]
    layer: int | None = None


VISION = Cut("vision")
"""Before the projector or Q-Former."""
INPUTS = Cut("inputs")
"""Projected features and embedded text."""
OUTPUT = Cut("output")
"""Final hidden states, before the head."""


PositionIds = tuple[tuple[int, ...], ...]
"""For each input id its position on every axis (time, height, width)."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """One query as a model reads it.

    Attributes:
        input_ids: one per position: a token id, or -(1 + s) for the s-th of all image positions of the batch.
        target_ids: the gold answer's token ids.
        rows: positions whose logits are wanted.
        answer_rows: those among `rows`, by index, that predict `target_ids`.
        position_ids: the position of each input id; None where it is its index.
        question: the first position of the question's own text, and the one behind its last.
    """

    input_ids: tuple[int, ...]
    target_ids: tuple[int, ...]
    rows: tuple[int, ...]
    answer_rows: tuple[int, ...]
    position_ids: PositionIds | None = None
    question: tuple[int, int] = (0, 0)


class TrieSpan(NamedTuple):
    """A trie in a pack: its nodes from `begin` to `end`. They attend to nodes of the same trie only.

    The nodes before `branch` are one chain without branches: causal attention, which needs no mask.
    """

    begin: int
    branch: int
    end: int


@dataclass(frozen=True, slots=True, eq=False)
class Pack:
    """Several queries as one sequence of tokens: one trie after another. The questions on one picture are one trie.

    Attributes:
        input_ids: one for each node, as in `Encoded`.
        position_ids: the depth of each node, which is its position in every query that it belongs to; or the positions
            that the model itself computes.
        tries: where each trie begins and ends.
        mask: one row for each node from its trie's `branch` on: which nodes of the trie it attends to (itself and its
            ancestors).
        members: the queries in the pack, by index in the batch.
        ends: for each member, the node of the last row that is wanted.
        rows: the nodes whose logits are wanted, member by member.
    """

    input_ids: Int[Tensor, "seq"]
    position_ids: Int[Tensor, "*axes seq"]
    tries: tuple[TrieSpan, ...]
    mask: Bool[Tensor, "masked widest"]
    members: tuple[int, ...]
    ends: Int[Tensor, "members"]
    rows: Int[Tensor, "rows"]


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Encoded queries, the distinct images among them, their packs, and a digest of it all.

    `order` brings the packs' rows, one pack after the other, to the order of the queries.
    """

    encoded: tuple[Encoded, ...]
    images: tuple[ImageRef, ...]
    packs: tuple[Pack, ...]
    order: Int[Tensor, "rows"]
    digest: str


@dataclass(frozen=True, slots=True, eq=False)
class Trunk:
    """What lies below a cut, for one batch.

    Attributes:
        cut: where.
        batch: for which queries.
        features: vision features per image, at the cut `vision`: a tensor, or what else the image side hands on.
        hidden: per pack the state at the cut: the whole pack [1 seq hidden], or at `mlp(last)` and `output`, where
            positions no longer mix, only the rows that are asked for [rows hidden].
        contexts: per pack the arguments that the layers above the cut take besides it.
    """

    cut: Cut
    batch: Batch
    features: tuple[Any, ...] = ()
    hidden: tuple[Tensor, ...] = ()
    contexts: tuple[Mapping[str, object], ...] = ()


class Written(NamedTuple):
    """What a model wrote: its token ids, and whether it ended by itself and not at its limit."""

    ids: tuple[int, ...]
    finished: bool


@runtime_checkable
class Store(Protocol):
    """Keeps what was computed once, as long as its budget allows."""

    def get(self, key: tuple[object, ...], make: Callable[[], T]) -> T:
        """Return what is kept under `key`, making and keeping it when it is not there."""
        ...


@runtime_checkable
class Answerer(Protocol):
    """Whatever answers probes: a backbone, or a session in which it is edited."""

    def answer(self, probes: Sequence[Probe], ask: Asks) -> list[Answer]:
        """Answer each probe, in the given order; teacher-forced and written answers are not mixed."""
        ...


@runtime_checkable
class Backbone(Answerer, Protocol):
    """A multimodal model with its prompt, its image processing and the places where it can be cut and edited.

    Attributes:
        name: as registered.
        revision: identifies the weights.
        prompt_revision: identifies the prompt as it is rendered, which a chat template may change.
        state: what a stored result depends on besides its input: revision, precision, device, and the edit that is
            written into the module now, if any.
        module: the whole model; editing never writes into it.
        device: where it is.
        dtype: the language model's precision.
        max_positions: length of the longest input that it was made for, in positions.
        learned_positions: whether positions are a learned table, so that a longer input is an error.
        layers: decoder layers of the language model.
        vocabulary: number of token ids that it predicts.
    """

    @property
    def name(self) -> str: ...
    @property
    def revision(self) -> str: ...
    @property
    def prompt_revision(self) -> str: ...
    @property
    def state(self) -> tuple[object, ...]: ...
    @property
    def module(self) -> nn.Module: ...
    @property
    def device(self) -> torch.device: ...
    @property
    def dtype(self) -> torch.dtype: ...
    @property
    def max_positions(self) -> int: ...
    @property
    def learned_positions(self) -> bool: ...
    @property
    def layers(self) -> int: ...
    @property
    def vocabulary(self) -> int: ...

    def encode(self, queries: Sequence[Query], targets: Sequence[str], ask: Asks) -> Batch:
        """Apply the prompt, tokenise, and pack; `ask` says how labels are taken and which rows are wanted.

        Raises:
            CannotAskError: a picture or a text cannot be read, or the answer leaves no row that predicts it.
        """
        ...

    def length(self, query: Query, target: str) -> int:
        """Return how many positions a query with its answer takes."""
        ...

    def problems(self, query: Query, target: str, ask: Ask, *, pictures: bool = True) -> str | None:
        """Say why a query with its answer cannot be asked, in one line; None where it can. Needs no weights.

        Found are texts that this model can only read as special tokens, answers without tokens, queries too long for
        a table of positions, and pictures that cannot be read or that the model's own processing refuses.

        Args:
            query: the question and its picture.
            target: the gold answer.
            ask: how it is asked.
            pictures: also read and process the picture, which is most of the time.
        """
        ...

    def trunk(self, batch: Batch, cut: Cut, *, store: Store, begun: Trunk | None = None) -> Trunk:
        """Compute what lies below `cut`, without gradient; image features are kept in `store`.

        `begun` is the trunk below a lower cut of the language model, from which the computation continues; the bits of
        the result are the same.
        """
        ...

    def tail(self, trunk: Trunk, weights: Weights) -> Float[Tensor, "rows vocab"]:
        """Compute the logits of every wanted row, query by query, with `weights` in place of the module's own.

        Gradients flow into `weights`. Nothing is written into the module. A submodule with edited tensors of another
        precision computes in that precision and converts its output back; all others compute in the model's own.

        Raises:
            ValueError: an edited tensor lies below the cut, where editing it would change nothing.
        """
        ...

    def gradients(self, loss: Float[Tensor, ""], of: Sequence[Tensor]) -> Sequence[Tensor]:
        """Return the gradients of a loss with respect to outputs of modules, from the forward pass of a tail."""
        ...

    def repeat(self, step: Callable[[], None], times: int) -> None:
        """Run a step many times; it reads and writes the same tensors each time, and never waits for the device."""
        ...

    def greedy(self, batch: Batch, limits: Sequence[int], *, store: Store, weights: Weights) -> list[Written]:
        """Continue each query with its most probable tokens, at most `limits` of them.

        Ends at end-of-sequence, or before a token with a newline unless only white space came before it; neither is
        returned. Leading white space is returned, and counts for the limit.
        """
        ...

    def prompt_text(self, query: Query) -> str | None:
        """Return the whole prompt of a question as text, for people; None where it cannot be asked."""
        ...

    def text(self, ids: Sequence[int]) -> str:
        """Return token ids as text."""
        ...

    def tokens(self, text: str) -> tuple[int, ...]:
        """Return the token ids of a text alone, after the beginning-of-sequence token if the tokenizer adds one."""
        ...

    def site(self, part: Part, layer: int | None = None, slot: Slot | None = None) -> str:
        """Return the name of the submodule that plays a role; negative layers count from the last.

        Raises:
            UserError: the backbone has no such place.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class SessionState:
    """The result of all edits of a session, from which a new session of the same editor can continue.

    Attributes:
        tensors: by name; they can be written to a safetensors file.
        facts: what JSON can hold: whose state it is, and for instance the texts of edits.
    """

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]


@runtime_checkable
class EditSession(Protocol):
    """A backbone under edit. Before the first `apply` it answers as the unedited model."""

    def apply(self, edits: Sequence[Edit]) -> None:
        """Apply the edits of one batch together, on top of the batches before; an empty batch changes nothing.

        Raises:
            UserError: an edit that this editor cannot make; what was applied before still holds.
        """
        ...

    def answer(self, probes: Sequence[Probe], ask: Asks) -> list[Answer]:
        """Answer each probe as the edited model does; teacher-forced and written answers are not mixed."""
        ...

    def module(self) -> AbstractContextManager[nn.Module]:
        """Lend the edited model as an ordinary module; on leaving, the module's own weights are back.

        Raises:
            UserError: the edit does not live in the weights.
        """
        ...

    def state(self) -> SessionState:
        """Return the result of the edits so far."""
        ...

    def load_state(self, state: SessionState) -> None:
        """Replace what was applied here by the state of another session; the answers then have the same bits as there.

        Raises:
            UserError: the state of another editor, of other weights, or of other settings.
        """
        ...


@runtime_checkable
class TakesOwnEdits(Protocol):
    """A session that can be told which edits the questions belong to.

    Only an upper bound uses it, which chooses the right edit by definition: see the setting `memory = "own"` of IKE.
    """

    def take_own_edits(self, edits: Sequence[Edit]) -> None:
        """Say to which edits the probes belong that are asked from now on, whether they are applied or not."""
        ...


Route = int | None
"""Which of the remembered edits answers a query, by index; None: the unedited model does."""


@runtime_checkable
class Router(Protocol):
    """A session that decides for each query whether an edit concerns it, and which."""

    def decide(self, queries: Sequence[Query]) -> list[Route]:
        """Return each query's route, from its question and picture only, however the query is asked."""
        ...


@runtime_checkable
class Editor(Protocol):
    """A method of editing; `name` is the registered one."""

    @property
    def name(self) -> str: ...

    def check(self, backbone: Backbone) -> None:
        """Resolve every edit site.

        Raises:
            UserError: the backbone lacks one.
        """
        ...

    def cut(self, backbone: Backbone) -> Cut | None:
        """Return the highest cut below all that is edited in the backbone; None where nothing in it is edited."""
        ...

    def open(self, backbone: Backbone, store: Store) -> AbstractContextManager[EditSession]:
        """Begin a session; on leaving, also by an exception, the backbone is bit for bit what it was."""
        ...


@dataclass(frozen=True, slots=True)
class Training:
    """How an editor is trained; its settings file states the values.

    Attributes:
        steps: records that are trained on, at most.
        gradient_accumulation_steps: records between two steps of the optimizer.
        max_grad_norm: norm to which gradients are clipped.
        validate_every: records between two validations; 0: as many as there are, so that each epoch ends with one.
        validation_records: records of each validation, at most.
        patience: records without a better validation after which training ends.
    """

    steps: int
    gradient_accumulation_steps: int
    max_grad_norm: float
    validate_every: int
    validation_records: int
    patience: int


@dataclass(frozen=True, slots=True)
class PublishedTraining:
    """What the published training computes without need; the plain loop of the speed benchmark computes it too.

    Attributes:
        whole_gradient: the gradient of an edit with respect to the whole language model, of which only the edited
            matrices' is used.
        asks_all: all probes of the record in each step, of which the loss uses four.
    """

    whole_gradient: bool = False
    asks_all: bool = False


@runtime_checkable
class TrainableEditor(Editor, Protocol):
    """An editor with networks of its own, which are trained before it edits; the backbone is never trained.

    Attributes:
        training: its training settings.
        single_process_reason: why only a single process can train it; None: several can.
        network: the networks that are trained and saved; None before `prepare` or `load_state_dict`.
        published_schedule: how its published training counts: by "epochs", where early stopping ends the epoch and not
            the training, or by "steps" (see `training.progress`).
        published: what its published training computes without need.
        second_model: a model that was loaded beside the backbone; None: there is none.
    """

    @property
    def training(self) -> Training: ...
    @property
    def single_process_reason(self) -> str | None: ...
    @property
    def network(self) -> nn.Module | None: ...
    @property
    def published_schedule(self) -> Literal["epochs", "steps"]: ...
    @property
    def published(self) -> PublishedTraining: ...
    @property
    def second_model(self) -> Backbone | None: ...

    def prepare(self, backbone: Backbone, cases: Sequence[EditCase], *, store: Store) -> None:
        """Make networks with initial values for a backbone; compute from the training records what training needs."""
        ...

    def load_state_dict(self, backbone: Backbone, tensors: Mapping[str, Tensor]) -> None:
        """Make the networks for a backbone and fill them with tensors that were trained for it.

        Raises:
            UserError: a tensor is missing, surplus, or of another shape.
        """
        ...

    def release(self) -> None:
        """Free the networks' memory; `load_state_dict` makes them again."""
        ...

    def translate(self, published: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the tensors of a checkpoint of the published code under the networks' own names.

        Raises:
            UserError: it is not one of this editor's.
        """
        ...

    def optimizer(self) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler | None]:
        """Return the optimizer of the networks, and the scheduler of its learning rate if there is one."""
        ...

    def losses(self, backbone: Backbone, case: EditCase, *, store: Store, learn: bool) -> Mapping[str, Tensor]:
        """Return the parts of one record's loss, by name; training differentiates `total`.

        Args:
            backbone: unedited.
            case: the record.
            store: keeps what the backbone computes below the edited layers.
            learn: True in training, False in validation, where running statistics do not change.
        """
        ...

    def after_step(self) -> None:
        """Correct the networks after a step of the optimizer, such as values that left their range."""
        ...

    def after_validation(self, figures: Mapping[str, float]) -> float:
        """Return the figure by which the best networks are chosen; lower is better.

        Args:
            figures: what `losses` returned in validation, each the mean over the records.
        """
        ...
