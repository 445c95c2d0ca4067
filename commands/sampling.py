"""``sample``: pictures of seeds, of the ways between them, of mixed styles, and by the million."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.console import say
from commands.opening import session
from commands.options import ServerOptions, SheetOptions, check_one_of, check_only_with, grouped
from commands.progress import bar
from commands.sample_options import InterpolationOptions, MixOptions, PictureOptions, ShardOptions

if TYPE_CHECKING:
    from serving.sampling.codes import Codes
    from serving.sampling.order import Order

FRAMES, FPS = 60, 20.0  # of an animation, unless given


@grouped
def sample(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL|BUNDLE|RUN",
            help="The name of a served model, or the folder of a bundle or run, which needs no server.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="The folder for the PNG files, one for each image.")],
    seeds: Annotated[
        str | None,
        typer.Option(
            help="The numbers of the pictures to make, as in 7, 0-63 or 0-3,9,20-22. A seed is the same picture always."
        ),
    ] = None,
    *,
    sheet: SheetOptions,
    pictures: PictureOptions,
    interpolation: InterpolationOptions,
    mixing: MixOptions,
    server: ServerOptions,
    batch: Annotated[
        int | None,
        typer.Option(
            help="How many pictures to ask for at once. 1 gives the same bytes always, on one machine. With --shard it "
            "is 16 unless given."
        ),
    ] = None,
    shards: ShardOptions,
) -> None:
    """Make images with a run, a bundle or a served model.

    It makes the picture of each seed, an animation from seed to seed, or pictures with mixed styles.
    """
    check_one_of({"--seeds": seeds, "--interpolate": interpolation.interpolate, "--mix": mixing.mix})
    of_seeds = {"--shard": shards.shard, "--code": pictures.code, "--every-class": pictures.every_class}
    check_only_with("--seeds", seeds, of_seeds)
    if "," in pictures.truncation and not seeds:
        raise typer.BadParameter("several truncations go with --seeds only: give one")
    for group in (interpolation, mixing, pictures, server):
        group.check()
    look = sheet.look()
    shards.check(model, sheet, pictures)

    if shards.shard is not None:
        say(_sample_shards(model, out, seeds or "", shards, pictures, server, batch))
        return

    from core.latents import parse_seeds
    from serving.client.sampler import Sampler
    from serving.sampling.codes import parse_codes
    from serving.sampling.order import Order
    from serving.sampling.sample import parse_truncations

    numbers = parse_seeds(seeds or interpolation.interpolate or mixing.mix or "")
    truncations = parse_truncations(pictures.truncation)
    with session(Sampler, model, server, batch) as sampler, bar("sampling") as progress:
        codes = parse_codes(pictures.code or (), sampler.spec.codes, model)
        order = Order(
            sampler=sampler,
            out=out,
            sheet=sheet.sheet,
            label=pictures.label,
            progress=progress,
            codes=codes.values,
            names=pictures.names,
            overwrite=pictures.overwrite,
            every=pictures.every_class,
            look=look,
        )
        if interpolation.interpolate:
            said = _interpolate(order, numbers, truncations[0], interpolation)
        elif mixing.mix:
            said = _mix(order, numbers, truncations[0], mixing)
        else:
            said = _draw(order, numbers, truncations, codes)
    say(said)


def _draw(order: "Order", seeds: Sequence[int], truncations: Sequence[float], codes: "Codes") -> str:
    from serving.sampling.order import ALL
    from serving.sampling.sample import draw

    said = draw(order, seeds, truncations, codes)
    one_class = order.label == ALL and not order.every_class
    return f"{said} (of the class '{ALL}'; --every-class makes each in turn)" if one_class else said


def _interpolate(order: "Order", seeds: Sequence[int], truncation: float, options: InterpolationOptions) -> str:
    from serving.sampling.sample import draw_interpolation

    return draw_interpolation(
        order,
        seeds,
        options.frames or FRAMES,
        fps=options.fps or FPS,
        loop=options.loop,
        animation=options.animation,
        truncation=truncation,
    )


def _mix(order: "Order", seeds: Sequence[int], truncation: float, options: MixOptions) -> str:
    from serving.sampling.sample import draw_mixes

    return draw_mixes(order, seeds, options.layers or "", truncation)


def _sample_shards(
    model: str,
    out: Path,
    seeds: str,
    options: ShardOptions,
    pictures: PictureOptions,
    server: ServerOptions,
    batch: int | None,
) -> str:
    """Write the parts of the seeds that are asked for; says so in a line."""
    from core.latents import parse_ranges
    from serving.bulk.sample import BATCH, parse_shard, place_order, write_shards
    from serving.client.sampler import Sampler
    from serving.sampling.sample import parse_truncations

    ranges = parse_ranges(seeds)
    shards, number = parse_shard(options.shard or "")
    (truncation,) = parse_truncations(pictures.truncation)
    size, tls = BATCH if batch is None else batch, server.tls()

    with Sampler(model, server.url, batch=size, no_batching=True, tls=tls) as sampler, bar("sampling") as progress:
        order = place_order(sampler, ranges, number, truncation, pictures.label)
        if options.ray:
            from serving.bulk.on_ray import write_shards_with_ray

            return write_shards_with_ray(order, server.url, shards, out, progress, tls)
        return write_shards(sampler, order, shards, out, progress)
