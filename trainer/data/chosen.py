"""What of an import goes into the pack: chosen, divided into parts, and described."""

from dataclasses import dataclass

from core.errors import DataError
from core.spec import AUTO
from trainer.data.alike import nearly_alike
from trainer.data.cautions import alike as alike_warning
from trainer.data.cautions import cautions
from trainer.data.choosing import Choice, elsewhere
from trainer.data.options import ImportOptions
from trainer.data.pack import PackInfo, Parts, SourcesInfo
from trainer.data.pair_cautions import of_pairs, of_parts, of_sources
from trainer.data.sides import Side, keep
from trainer.data.splitting import groups_of, split

Rows = list[tuple[str, str]]  # of a table: a label and a sentence

_DOUBTS_SAID = 3  # sheets that may be cut in the wrong places, by name


@dataclass(frozen=True)
class Chosen:
    """What goes into the pack, row by row: a side, or images and their sources. ``alike`` are positions of each side
    whose pictures look nearly like an earlier one."""

    sides: tuple[Side, ...]
    choice: Choice
    parts: Parts | None
    alike: tuple[list[tuple[int, int]], ...]

    @property
    def names_alike(self) -> Rows:
        """The names of the images that look nearly alike."""
        names = self.sides[0].names
        return [(names[row], names[before]) for row, before in self.alike[0]]


def choose_from(sides: tuple[Side, ...], options: ImportOptions) -> Chosen:
    """Choose from what is laid side by side. Raises DataError if nothing is left."""
    choice = keep(sides, options)
    if not choice.kept:
        raise DataError(
            f"there is no usable image in {sides[0].found.path} ({choice.empty} empty or flat): --empty keep takes them"
        )

    # Variants of one drawing stay on one side of what is held out
    frames = options.frames == "all" and options.grid is None
    groups = groups_of(sides[0].keys, options.group_by, frames)
    parts = split(groups, options.share, choice.looks) if options.share else None

    # What looks nearly like an earlier picture, among those that differ
    place = {row: position for position, row in enumerate(choice.kept)}
    firsts = [place[row] for row in choice.firsts]
    near = [nearly_alike(side.pictures(firsts)) for side in sides]
    alike = tuple([(firsts[row], firsts[before]) for row, before in found] for found in near)
    return Chosen(sides, choice, parts, alike)


def described(chosen: Chosen, domain: Chosen | None, options: ImportOptions) -> PackInfo:
    """What the pack says of itself, but for what was skipped; ``domain`` are sources that belong to no image."""
    images = chosen.sides[0]
    choice = chosen.choice

    # Sources are the other half of pairs, or a domain of their own
    sources = chosen.sides[1] if len(chosen.sides) > 1 else domain.sides[0] if domain else None
    return PackInfo(
        name=options.name or images.name.removesuffix(".zip"),
        height=options.size.height,
        width=options.size.width,
        channels=images.channels,
        classes=images.found.classes(images.labels),
        source=images.name,
        licence=options.licence,
        attribution=options.attribution,
        empty=choice.empty,
        duplicates=choice.duplicates,
        distinct=len(choice.firsts),
        notes=tuple(_notes(chosen, domain)),
        options=options.facts(),
        alike=tuple(chosen.names_alike),
        warnings=tuple(_warnings(chosen, domain, options)),
        sources=None if sources is None else _of_sources(sources, options),
    )


def _of_sources(sources: Side, options: ImportOptions) -> SourcesInfo:
    return SourcesInfo(
        height=options.size_of_sources.height,
        width=options.size_of_sources.width,
        channels=sources.channels,
        paired=not options.unpaired,
        name=sources.name.removesuffix(".zip"),
        licence=options.sources_licence,
        attribution=options.sources_attribution,
        fit=options.fit,
        resample=options.resample or AUTO,
    )


def _notes(chosen: Chosen, domain: Chosen | None) -> Rows:
    """What there is to say besides counts, as rows of a table."""
    rows = _of_reading(chosen.sides[0], chosen.choice)
    if blank := chosen.choice.blank:
        rows.append(("empty sources", f"{len(blank):,} of images that are not empty"))

    # Of sources: those of pairs, or a domain of their own
    for sources in chosen.sides[1:]:
        if not sources.found.half:
            rows += [(f"sources: {label}", text) for label, text in _of_reading(sources)]
    if domain:
        choice = domain.choice
        counts = {"are empty or flat": choice.empty, "look exactly like an earlier one": choice.duplicates}
        rows += [("of the sources", f"{count:,} {what}") for what, count in counts.items() if count]
        rows += [(f"sources: {label}", text) for label, text in _of_reading(domain.sides[0])]
    return rows


def _of_reading(side: Side, choice: Choice | None = None) -> Rows:
    found = side.found
    rows = [("classes from", found.classes_said)] if found.classes_said else []
    rows += elsewhere(choice) if choice else []
    rows += [("look at", f"{name}: {doubt}") for name, doubt in found.doubted[:_DOUBTS_SAID]]
    if len(found.doubted) > _DOUBTS_SAID:
        rows.append(("look at", f"{len(found.doubted) - _DOUBTS_SAID:,} more sheets like these"))
    return [*rows, *found.listing.notes.rows()]


def _warnings(chosen: Chosen, domain: Chosen | None, options: ImportOptions) -> list[str]:
    """What speaks against training on what was kept."""
    images, rest = chosen.sides[0], chosen.sides[1:] or (domain.sides if domain else ())
    lines = cautions(images.met, images.way, images.channels)
    for sources in rest:
        lines += of_sources(sources.met, sources.way, sources.channels, lines)
    lines += alike_warning(images.met, chosen.names_alike)
    for sources in chosen.sides[1:]:
        lines += of_pairs(images.met, sources.met, (images.way, sources.way), chosen.choice.looks)
    for one in (chosen, domain) if domain else (chosen,):
        near = [pair for found in one.alike for pair in found]
        lines += of_parts(one.sides[0].names, one.parts, options.share, near)
    return list(dict.fromkeys(lines))
