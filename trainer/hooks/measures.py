"""What a run is judged by while it trains: KID of seeds, L1 of validation pairs, or KID of validation pictures."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from core.contract import SOURCE
from core.errors import DataError
from core.networks.base import Maker
from core.spec import GeneratorSpec
from trainer.data.pack import Pack
from trainer.metrics.evaluate import LEAST
from trainer.metrics.extractor import Extractor
from trainer.metrics.features import MOST_REALS, fake_features, inputs_like, maker, real_features
from trainer.metrics.held import domains_of, has_pairs, pairs_of
from trainer.metrics.kid import kid
from trainer.metrics.pairs import l1
from trainer.metrics.translation import translated
from trainer.run import KID, L1

Makers = Mapping[str, Maker]  # averaged generators by name, the first is what the run is for
Look = Callable[[], Extractor]  # asked for where it is needed

PART = "validation"  # neither trained on nor reported


@dataclass(frozen=True)
class Measure:
    """A figure of averaged generators, less is better: its ``name`` in the log, what ``takes`` it, and of how many
    ``samples``."""

    name: str
    takes: Callable[[Makers], float]
    samples: int


def measure_of(
    spec: GeneratorSpec,
    pack: Pack,
    samples: int,
    extractor: Look,
    reals: int = 0,
    apart: bool = False,
) -> Measure:
    """What a run of ``spec`` on the pack is judged by, of at most ``samples`` images.

    KID of seeds is by ``reals`` of the pack, all if 0; runs that see sources and images ``apart`` are judged so.
    Raises DataError for a pack that holds too little to judge by.
    """
    if spec.kind == "noise":
        return _kid_of_seeds(spec, pack, samples, extractor, reals)
    if has_pairs(pack, spec) and not apart:
        return _l1_of_pairs(spec, pack, samples)
    return _kid_of_pictures(spec, pack, samples, extractor)


def _kid_of_seeds(spec: GeneratorSpec, pack: Pack, samples: int, extractor: Look, reals: int) -> Measure:
    """Seeds 0 … ``samples`` - 1 against the pack."""
    if len(pack) < 2:
        raise DataError(f"the pack {pack.info.name} is too small for KID: use --metric-every 0")
    inputs, looking = inputs_like(pack, spec, range(samples)), extractor()
    known = real_features(pack, looking, most=reals or MOST_REALS)

    def takes(makers: Makers) -> float:
        return kid(fake_features(maker(next(iter(makers.values()))), inputs, looking), known)

    return Measure(KID, takes, samples)


def _l1_of_pairs(spec: GeneratorSpec, pack: Pack, samples: int) -> Measure:
    """L1 of results for validation sources, premultiplied, in levels of 255."""
    pairs = pairs_of(pack, spec, PART, samples)
    if not len(pairs):
        raise DataError(
            f"the pack {pack.info.name} holds nothing out to choose the best generator by: import it again with "
            "--held 10%, or use --metric-every 0"
        )
    sources, targets = pairs.all()

    def takes(makers: Makers) -> float:
        return float(l1(translated(maker(next(iter(makers.values()))), sources), targets).mean())

    return Measure(L1, takes, len(pairs))


def _kid_of_pictures(spec: GeneratorSpec, pack: Pack, samples: int, extractor: Look) -> Measure:
    """KID of what is made of validation pictures by those of the other side, the mean of all directions."""
    there = domains_of(pack, spec)
    given = {domain.name: domain.gather(domain.rows(PART, samples)) for domain in there}
    fewest = min(given, key=lambda name: len(given[name]))
    if len(given[fewest]) < LEAST:
        raise DataError(
            f"the pack {pack.info.name} holds {len(given[fewest])} {fewest} out to choose the best generator by, and "
            f"that needs at least {LEAST}: import more, or again with a larger --held, or use --metric-every 0"
        )
    looking = extractor()
    known = {domain.name: domain.features(PART, looking) for domain in there}

    def takes(makers: Makers) -> float:
        found = []
        for generator in makers.values():
            takes, makes = domains_of(pack, generator.spec)
            inputs = {SOURCE: given[takes.name]}
            found.append(kid(fake_features(maker(generator), inputs, looking), known[makes.name]))
        return sum(found) / len(found)

    return Measure(KID, takes, len(given[there[0].name]))
