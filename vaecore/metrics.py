"""metrics.json of a checkpoint: what `fit`, `evaluate` and `learned` keep there. Every entry may be absent."""

from typing import Annotated, Any

from pydantic import AfterValidator, Field, TypeAdapter, with_config
from typing_extensions import TypedDict

from vaecore.checking import OPEN, Number, Text, checked
from vaecore.safefiles import LARGEST_JSON, File, content, parse_json

Whole = Annotated[int, Field(gt=-(2**53), lt=2**53)]
Measure = Number | Whole | bool | None | Text | Annotated[list[Number | None], Field(max_length=4096)]


@with_config(OPEN)
class Training(TypedDict, total=False):
    """How it was trained; None stands for what was not asked."""

    command: Text | None
    start: Text | None
    recipe: Text | None
    device: Text | None
    hardware: Text | None
    versions: Text | None
    note: Text | None
    images: Whole | None
    epochs: Whole | None
    batch_size: Whole | None
    seed: Whole | None
    best_epoch: Whole | None
    learning_rate: Number | None
    seconds: Number | None


@with_config(OPEN)
class Epoch(TypedDict, total=False):
    """One event of the history."""

    event: Text
    epoch: Whole
    epochs: Whole
    train_elbo: Number | None
    valid_elbo: Number | None
    reconstruction: Number | None
    kl: Number | None
    learning_rate: Number | None
    seconds: Number | None


def with_words(measures: dict) -> dict:
    """A table says in words by what protocol it was measured."""
    if not isinstance(measures.get("protocol", ""), str):
        raise ValueError("its protocol must be text")
    return measures


Table = Annotated[dict[Text, Measure], Field(max_length=1000), AfterValidator(with_words)]


def described(measures: dict) -> dict:
    if "protocol" not in measures:
        raise ValueError("it does not say its protocol")
    return measures


Described = Annotated[Table, AfterValidator(described)]


@with_config(OPEN)
class Cluster(TypedDict):
    """K-means with so many clusters: the accuracy, mean and standard deviation of its runs, or the reason for none."""

    clusters: Whole
    rule: Text
    mean: Number | None
    std: Number | None


@with_config(OPEN)
class Probe(TypedDict):
    """A classifier of codes, given so many labels; or the reason why there is none."""

    probe: Text
    labels: Whole
    mean: Number | None
    std: Number | None


@with_config(OPEN)
class Clustering(TypedDict):
    protocol: Text
    rows: Annotated[list[Cluster], Field(max_length=1000)]


@with_config(OPEN)
class Probes(TypedDict):
    protocol: Text
    rows: Annotated[list[Probe], Field(max_length=1000)]


@with_config(OPEN)
class Learned(TypedDict):
    """The MAE paper's numbers, of `learned.measure`."""

    density: Described
    clustering: Clustering
    probes: Probes


@with_config(OPEN)
class Metrics(TypedDict, total=False):
    training: Training | None
    history: Annotated[list[Epoch], Field(max_length=100_000)]
    evaluation: Table | None
    learned: Learned | None
    brought: bool


METRICS = TypeAdapter(Metrics)


def read_metrics(file: File) -> dict[str, Any]:
    """The contents of a metrics.json; BadFile with the file and the field that does not fit."""
    return check_metrics(parse_json(content(file, LARGEST_JSON), file), file)


def check_metrics(held: dict[str, Any], file: File | str = "metrics.json") -> dict[str, Any]:
    """As `read_metrics`, of what shall be written there; its keys stay in their order."""
    checked(METRICS, held, file)
    return held
