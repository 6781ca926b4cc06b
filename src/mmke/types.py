"""The data that all other parts exchange: edits, probes, answers, scores, and what the two protocols switch.

Plain frozen data without torch, so that a benchmark, a metric or a table never loads a model.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

Role = Literal["recall", "relation", "locality", "hard locality"]
"""The purpose of a kind of question. "recall": the edit's own prompt, or another wording or picture of it, with the
edit's target as the answer. "relation": another question on the new knowledge. "locality": an unrelated question,
whose answer should not change. "hard locality": one that looks like the edit's, and whose answer should not change."""


@dataclass(frozen=True, slots=True)
class ProbeKind:
    """A kind of question, supplied by whoever builds the probes: other parts ask for its role, never for its name.

    Attributes:
        name: in rows, and the column that its first metric feeds, such as `t_rel`.
        label: heading of that column, such as `T-Rel`.
        role: its purpose.
        headline: whether its column stands in every table.
        group: which aggregate it counts towards: of hard locality "RI", "NI" or "CI"; None: none.
    """

    name: str
    label: str
    role: Role
    headline: bool = False
    group: str | None = None

    def __str__(self) -> str:
        """Return the name."""
        return self.name


ASKED = ProbeKind("question", "question", "relation")
"""The kind of a question that is asked for its answer alone, and is never scored."""


@dataclass(frozen=True, slots=True)
class ImageRef:
    """A picture by path, with the sha256 of the file's bytes.

    `upright` turns it as its EXIF orientation says; else it is read as it is stored.
    """

    path: Path
    sha256: str
    upright: bool = True

    @property
    def key(self) -> str:
        """Return what identifies the picture as it is read."""
        return self.sha256 if self.upright else f"{self.sha256} as stored"


@dataclass(frozen=True, slots=True)
class Query:
    """A question before any prompt template, with the picture it is about, if any."""

    text: str
    image: ImageRef | None = None


@dataclass(frozen=True, slots=True)
class Edit:
    """One piece of new knowledge: the edited model should answer `query` with `target`.

    `original` is the description before the edit, where the benchmark has one.
    """

    query: Query
    target: str
    original: str | None = None


@dataclass(frozen=True, slots=True)
class Probe:
    """One question with its gold answer. `tags` describe it for break-downs (`knowledge`, `rephrase_style`, …)."""

    kind: ProbeKind
    query: Query
    target: str
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EditCase:
    """One record of a benchmark: its edits, its probes, and the kinds it cannot be asked, each with the reason."""

    id: str
    edits: tuple[Edit, ...]
    probes: tuple[Probe, ...]
    unscored: Mapping[ProbeKind, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ask:
    """How a probe is put to a model and what of the answer is wanted.

    Attributes:
        decode: "loglikelihood" feeds the gold answer (teacher forcing), "generate" lets the model write.
        labels: "joint" takes the answer's tokens from the joint text by offset, "alone" tokenises the answer by itself
            and aligns it from the right end, as the published benchmark does.
        positions: where `top_ids` and `logprobs` are taken: at the rows that predict the answer, or at all rows.
        top: how many of the most probable token ids to keep per position.
        logprobs: whether to return the log-probabilities of the whole vocabulary.
        native_topk: rank after a softmax in the model's own precision instead of float32 with ties by id.
        begin: put the beginning-of-sequence token before a query with a picture, where the model's prompt has none; the
            published code of one editor (KE) does so.
        max_new: a written answer ends after max(max_new, 2 × target tokens) tokens, at end-of-sequence, or at a newline
            that is not the beginning; leading white space is removed.
        target: the text that is fed under "loglikelihood": the probe's gold answer, or what the unedited model writes
            by itself to this probe (at most `max_new` tokens). Whoever asks puts that text in the gold answer's place.
    """

    decode: Literal["loglikelihood", "generate"] = "loglikelihood"
    labels: Literal["joint", "alone"] = "joint"
    positions: Literal["answer", "all"] = "answer"
    top: int = 1
    logprobs: bool = False
    native_topk: bool = False
    begin: bool = False
    max_new: int = 16
    target: Literal["gold", "unedited"] = "gold"


WeightSource = Path | Literal["random"] | None
"""Where a backbone's weights come from: a folder, drawn at random, or (None) where they are looked for by default."""

Asks = Ask | Sequence[Ask]
"""One way to ask all probes, or one for each."""


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What a model said to one probe.

    Attributes:
        text: `token_ids` as text.
        token_ids: the ids written; under "loglikelihood" the most probable id at each row that predicts the answer.
        target_ids: the ids of the gold answer that were scored; empty when the model writes.
        target_logprob: mean log-probability of `target_ids` in nats per token; NaN when the model writes.
        top_ids: the most probable ids, best first, at the positions asked for; [0 × 0] when the model writes.
        logprobs: log-probabilities at the positions asked for, only when asked for; never written to disk.
        notes: counts that an editor wants in the rows, such as the demonstrations that fitted.
        finished: when the model writes: whether it ended by itself, and not at its limit; None under teacher forcing.
        image: the picture that was asked about, where the editor put another one than the probe's; else None.
        reason: why the probe could not be asked; everything else is empty then, and its rows are unscored.
    """

    text: str
    token_ids: tuple[int, ...]
    target_ids: tuple[int, ...]
    target_logprob: float
    top_ids: Int[np.ndarray, "positions top"]
    logprobs: Float[np.ndarray, "positions vocab"] | None = None
    notes: Mapping[str, int] = field(default_factory=dict)
    finished: bool | None = None
    image: ImageRef | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """A metric's verdict on one probe.

    Attributes:
        value: in [0, 1] unless the metric says otherwise; NaN when it cannot be scored.
        n_scored: tokens or entries that were counted, for micro averages.
        reason: why it cannot be scored, else None.
    """

    value: float
    n_scored: int
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """An answer as a results folder stores it: enough to read it, and to score it again by tokens or by text.

    Attributes:
        text: the answer.
        ids: the token ids of `text`.
        target_logprob: the gold answer's mean log-probability in nats per token; None where the model wrote by itself.
        target_ids: token ids of the gold answer; empty where the model wrote by itself.
        top_ids: the most probable ids, best first, at each row that predicts the answer; empty where `ids` alone were
            asked for, or other rows too.
        finished: whether the model ended by itself; None where it was given the gold answer.
        image: file name of the picture that was asked about, where it is not the probe's own; else None.
        ask: how it was asked; None in results of the first format.
        model: which model answered: "edited", "floor" (the unedited model's run), or the reference that locality
            compares with, "base" or "previous edit".
    """

    text: str
    ids: tuple[int, ...]
    target_logprob: float | None = None
    target_ids: tuple[int, ...] = ()
    top_ids: tuple[tuple[int, ...], ...] = ()
    finished: bool | None = None
    ask: Ask | None = None
    model: str = "edited"
    image: str | None = None

    @property
    def ranks(self) -> int:
        """How many ids are kept of each row that predicts the answer."""
        return len(self.top_ids[0]) if self.top_ids else 0


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """One line of `rows.jsonl`: the score of one probe by one metric.

    Attributes:
        case_id: the case that was edited and asked; what was asked stands in `cases.jsonl`.
        probe: the probe's index within its case; None for a kind that the case cannot be asked.
        kind: the name of the probe's kind.
        metric: the column of the table that this row feeds, such as `i_rel` or `i_rel_f1`.
        edits_applied: how many cases were edited into the model when the probe was asked (a case of two edits counts
            once).
        value: the score; None when it could not be scored (then `reason` says why).
        floor: the unedited model's score of the same probe and metric; None for locality.
        n_scored: tokens or entries counted.
        reason: why there is no value.
        notes: counts from the editor and from scoring.
        before: what the reference model said, where the metric compares two models, or what the floor said.
        after: what the edited model said.
        schedule: in which order edits and questions came; "single": each record alone.
        order_seed: of the order of the edits; None where it does not matter.
        position: in a stream, how many cases were edited into the model when the case's own step had ended, so that
            `edits_applied` − `position` is the age of the edit; None where each record is alone.
        more: fields of a later version, kept as they are.
    """

    case_id: str
    probe: int | None
    kind: str
    metric: str
    edits_applied: int
    value: float | None
    floor: float | None
    n_scored: int
    reason: str | None
    notes: Mapping[str, int]
    before: StoredAnswer | None
    after: StoredAnswer | None
    schedule: str = "single"
    order_seed: int | None = None
    position: int | None = None
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Switches:
    """Where the two protocols differ for every editor; every field stands in run.json and acts where its name says.

    What differs for one editor alone is a setting of that editor (`<editor>.paper.toml` beside its module), and so are
    the fields of this record that its published evaluation had otherwise (the table `[switches]` of that file).

    Attributes:
        protocol: the name the figures carry.
        labels: how a gold answer becomes token ids.
        reference: the model that locality compares with: the unedited one, or the one after the previous record's edit,
            for editors whose weights the published code restores too late.
        locality_match: "top1" agreement for both localities, or the published "ranks" (1 text, 10 image).
        locality_positions: rows that locality compares.
        topk_dtype: precision in which ranks are taken.
        exif_orientation: whether a picture is turned as its EXIF data say, or read as it is stored.
        hop_drops_records: whether a record without a question of the asked hop leaves every metric.
        answer_blanks: whether white space at the beginning and the end of answers is left out or is scored.
        limit_counts: whether a limit counts the records of the file, as published, or those that are used.
        average: how figures are averaged over records in tables: "macro", the mean over records, or "micro", all tokens
            together, as KE's were published.
    """

    protocol: Literal["strict", "paper"]
    labels: Literal["joint", "alone"]
    reference: Literal["base", "previous edit"]
    locality_match: Literal["top1", "ranks"]
    locality_positions: Literal["answer", "all"]
    topk_dtype: Literal["float32", "native"]
    exif_orientation: Literal["applied", "ignored"]
    hop_drops_records: bool
    answer_blanks: Literal["stripped", "kept"]
    limit_counts: Literal["used records", "all records"]
    average: Literal["macro", "micro"] = "macro"

    def as_dict(self) -> dict[str, Any]:
        """Return the switches as plain data for run.json."""
        return asdict(self)


STRICT = Switches(
    protocol="strict",
    labels="joint",
    reference="base",
    locality_match="top1",
    locality_positions="answer",
    topk_dtype="float32",
    exif_orientation="applied",
    hop_drops_records=False,
    answer_blanks="stripped",
    limit_counts="used records",
)
"""What we would publish today; the default."""

PAPER = Switches(
    protocol="paper",
    labels="alone",
    reference="base",
    locality_match="ranks",
    locality_positions="all",
    topk_dtype="native",
    exif_orientation="ignored",
    hop_drops_records=True,
    answer_blanks="kept",
    limit_counts="all records",
)
"""The published arithmetic with its quirks, to compare figures with the paper's; see `editing.settings` for what an
editor changes in it."""

PROTOCOLS: Mapping[str, Switches] = {"strict": STRICT, "paper": PAPER}


class Dropped(NamedTuple):
    """A record that a benchmark left out: its number in the file and why."""

    record: int
    reason: str


@dataclass(frozen=True, slots=True)
class Split:
    """One loaded split.

    Attributes:
        cases: in file order.
        dropped: records that were left out.
        notes: what else was noticed, in words for whoever starts a run.
    """

    cases: tuple[EditCase, ...]
    dropped: tuple[Dropped, ...]
    notes: tuple[str, ...] = ()

    @property
    def kinds(self) -> tuple[ProbeKind, ...]:
        """Return the kinds of question that the cases ask or leave unscored, in the order of their first appearance."""
        asked = (kind for case in self.cases for kind in (*(probe.kind for probe in case.probes), *case.unscored))
        return tuple(dict.fromkeys(asked))


@runtime_checkable
class Benchmark(Protocol):
    """A set of records. `revision` is the sha256 of the annotation files."""

    name: str
    revision: str

    def load(self, split: Literal["train", "eval"], *, hop: int, switches: Switches) -> Split:
        """Read a split; `hop` 0 asks no portability question.

        Raises:
            UserError: files are missing or broken; the message lists every problem at once.
        """
        ...


@runtime_checkable
class Metric(Protocol):
    """A small pure function on answers.

    Attributes:
        name: unique among the metrics.
        roles: the roles of the probe kinds that it scores.
        ask: what the answers must contain.
        reference: the model it compares the edited one with; None when the answer is judged alone.
        unit: of its scores; those in "per cent" are shares in [0, 1], or differences of two, and tables show them times
            100.
        higher_is_better: which way is better.
        parameters: what its scores depend on besides the answers, such as {"k": 10}; it stands in run.json.
    """

    @property
    def name(self) -> str: ...
    @property
    def roles(self) -> tuple[Role, ...]: ...
    @property
    def ask(self) -> Ask: ...
    @property
    def reference(self) -> Literal["base", "previous edit"] | None: ...
    @property
    def unit(self) -> str: ...
    @property
    def higher_is_better(self) -> bool: ...
    @property
    def parameters(self) -> Mapping[str, Any]: ...

    def column(self, kind: ProbeKind) -> str:
        """Return the table column that a score of this kind feeds, such as `t_loc` or `t_loc_kl`."""
        ...

    def score(self, probe: Probe, before: Answer | None, after: Answer) -> Score:
        """Score one answer; `before` is the reference model's answer where `reference` is set."""
        ...


MetricFactory = Callable[[Switches], Sequence[Metric]]
