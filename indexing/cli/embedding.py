"""What the embed commands do between the options and the print-out."""

from dataclasses import dataclass, replace
from pathlib import Path

from indexing.embed import EmbedOptions, EmbedSummary, embed
from indexing.engine import Engine, LocalEngine, RayEngine
from indexing.estimate import Estimate, estimate
from indexing.job import Part
from indexing.manifest import parse_manifest
from indexing.places import open_place
from indexing.remote import Allowed
from indexing.work import WORK
from retrieval.config import Config, load_config
from retrieval.console import progress
from retrieval.encoder import Encoder, Precision, open_encoder
from retrieval.errors import ConfigError, StoreError
from retrieval.folders import MANIFEST
from retrieval.towers.product import FusionWeights


@dataclass(frozen=True)
class EmbedRequest:
    """The options of `lookreel embed`, as given."""

    kind: str
    table: Path
    out: str | None = None
    model: str | None = None
    device: str | None = None
    precision: str | None = None
    workers: int = 0
    engine: str = "local"
    ray_address: str = "auto"
    shard: str | None = None
    retry: bool = False
    overwrite: bool = False
    frames: int | None = None


def run_job(request: EmbedRequest) -> EmbedSummary:
    """Embed what the request names."""
    config = load_config()
    target, engine, part = _target(request, config), _engine(request), _part(request.shard)
    encoder = open_request_encoder(request, config, target)
    options = options_of(request, config)
    work = WORK[request.kind](request.table, encoder, options)
    with progress(f"embedding {request.kind}") as update:
        return embed(work, target, encoder, options, engine, part, request.overwrite, update)


def estimate_job(request: EmbedRequest) -> Estimate:
    """What the request would cost, from a sample."""
    config = load_config()
    target = _target(request, config)
    encoder, options = open_request_encoder(request, config, target), options_of(request, config)
    work = WORK[request.kind](request.table, encoder, options)
    with progress("embedding a sample") as update:
        return estimate(work, target, encoder, options, _part(request.shard), update)


def _target(request: EmbedRequest, config: Config) -> str:
    return config.place(request.kind, request.out)


def open_request_encoder(request: EmbedRequest, config: Config, target: str) -> Encoder:
    """The encoder, in the precision of the store that is there already, unless another is asked for."""
    name = request.precision or config["encoder.precision"]
    if name not in tuple(Precision):
        raise ConfigError(f"There is no precision {name}.", f"Use one of {', '.join(Precision)}.")
    precision = Precision(name)
    if precision is Precision.AUTO:
        precision = _stored_precision(target)
    return open_encoder(request.model or config["encoder.model"], request.device or config["encoder.device"], precision)


def _stored_precision(target: str) -> Precision:
    place = open_place(target)
    if MANIFEST not in place.names():
        return Precision.AUTO
    try:
        return Precision(parse_manifest(place.read(MANIFEST), f"{target}/{MANIFEST}").precision)
    except StoreError:  # the job will say so, or replace it
        return Precision.AUTO


def options_of(request: EmbedRequest, config: Config) -> EmbedOptions:
    """How media are read and encoded, by the request and lookreel.toml."""
    options = EmbedOptions(
        long_side=config["embed.long_side"],
        unit=config["embed.unit"],
        shard_size=config["embed.shard_size"],
        fusion=FusionWeights(config["embed.photo_weight"], config["embed.text_weight"]),
        decoder=config["embed.decoder"],
        accuracy=config["embed.accuracy"],
        workers=request.workers,
        device=request.device or config["encoder.device"],
        allowed=Allowed(config["media.allowed"]),
        retry=request.retry,
    )
    return replace(options, frames=request.frames or config["embed.frames"])


def _engine(request: EmbedRequest) -> Engine:
    engines: dict[str, Engine] = {"local": LocalEngine(), "ray": RayEngine(request.ray_address)}
    if request.engine not in engines:
        raise ConfigError(f"There is no engine {request.engine}.", f"Use one of {', '.join(engines)}.")
    return engines[request.engine]


def _part(text: str | None) -> Part:
    if text is None:
        return Part()
    number, slash, count = text.partition("/")
    if not (slash and number.isdigit() and count.isdigit() and 1 <= int(number) <= int(count)):
        raise ConfigError(f"{text} is not a part of a job.", "Write i/n with i from 1 to n, such as --shard 2/8.")
    return Part(int(number), int(count))
