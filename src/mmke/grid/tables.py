"""What the file of a grid can say: its keys, with the values that stand for what is not named."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from mmke.running.stream_settings import StreamSettings, preset, settings_of

Names = Annotated[tuple[str, ...], Field(min_length=1)]
Hop = Annotated[int, Field(ge=0, le=4)]
Count = Annotated[int, Field(ge=0)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class TrainingTable(_Table):
    """How editors are trained that need it.

    Attributes:
        on: "each" trains for each benchmark on its own training records; "all" once, on those of all benchmarks.
        seed: of all trainings: all seeds of the runs use the same networks.
    """

    on: Literal["each", "all"] = "each"
    seed: int = 0


class StreamTable(_Table):
    """A stream of each backbone, editor, benchmark, hop, protocol and seed; see `StreamSettings` for what is unnamed.

    Attributes:
        preset: settings by a name, over which the others are laid.
        editors: in place of the grid's.
        benchmarks: in place of the grid's.
        order_seeds: each is a stream of its own.
        probes: which questions are asked.
        partners: of hard locality.
    """

    preset: str | None = None
    editors: Names | None = None
    benchmarks: Names | None = None
    order_seeds: Annotated[tuple[int, ...], Field(min_length=1)] | None = None
    probes: str | None = None
    partners: str | None = None
    order: str | None = None
    tests: Count | None = None
    batch: Count | None = None
    score: str | None = None
    panel: Count | None = None
    reset: Count | None = None
    distract: Count | None = None
    distract_from: str | None = None
    groups: Count | None = None
    items: Count | None = None
    first_of_group: bool | None = None

    def settings(self) -> StreamSettings:
        """Return what the stream is.

        Raises:
            UserError: an unknown preset, or settings that make no sense.
        """
        own = ("preset", "editors", "benchmarks", "order_seeds", "probes", "partners")
        given = {name: value for name, value in self if name not in own}
        return settings_of(None if self.preset is None else preset(self.preset), given)


class GridFile(_Table):
    """What a grid's file says.

    Attributes:
        backbones: names.
        editors: names; the floor is run in any case.
        benchmarks: names, or paths of files.
        hops: each is a run of its own, like the next two.
        protocols: see `hops`.
        seeds: see `hops`.
        single: whether records are edited one by one; False: streams alone.
        limit: records of each benchmark; 0: all.
        probes: see `running.request.Request`, like the next three.
        partners: see `probes`.
        metrics: see `probes`.
        generate: see `probes`.
        settings: of editors, laid over the shipped ones.
        weights: folder of a backbone's weights, or "random", by backbone.
        dtypes: precision of a backbone's language model, by backbone.
        training: of editors that are trained.
        streams: each is run beside the single edits.
    """

    backbones: Names
    editors: Names
    benchmarks: Names
    hops: Annotated[tuple[Hop, ...], Field(min_length=1)] = (1,)
    protocols: Names = ("strict",)
    seeds: Annotated[tuple[int, ...], Field(min_length=1)] = (0,)
    single: bool = True
    limit: Count = 0
    probes: str = "published"
    partners: str = "eval"
    metrics: tuple[str, ...] = ()
    generate: bool = False
    settings: Mapping[str, Mapping[str, Any]] = {}
    weights: Mapping[str, str] = {}
    dtypes: Mapping[str, Literal["float32", "float16", "bfloat16"]] = {}
    training: TrainingTable = TrainingTable()
    streams: tuple[StreamTable, ...] = ()
