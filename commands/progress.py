"""Progress bars in a terminal, and lines with the time left where there is none."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from commands.console import console, say

Progress = Callable[[int, int], None]  # told how many of how many are done


@contextmanager
def bar(description: str) -> Iterator[Progress]:
    """One progress bar as a function of (done, total)."""
    with bars() as begin:
        yield begin(description)


@contextmanager
def bars() -> Iterator[Callable[[str], Progress]]:
    """Progress bars one after the other: each call begins one and gives it as a function of (done, total).

    Where there is no terminal, lines with the time left take their place.
    """
    from rich.progress import Progress as Bars

    from core.clock import spoken

    if not console.is_terminal:
        yield lambda description: spoken(description, say)
        return

    with Bars(console=console) as progress:

        def begin(description: str) -> Progress:
            task = progress.add_task(description, total=None)
            return lambda done, total: progress.update(task, completed=done, total=total)

        yield begin


@contextmanager
def training_bar(images: int) -> Iterator[tuple[Callable[[dict[str, Any]], None], Callable[[int], None]]]:
    """A bar with rate, time left and the last losses; one line per log interval where there is no terminal.

    It is two functions: one of each line of the log, one of the images seen after each round.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    from core.clock import in_words

    columns = (
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[rate]} {task.fields[losses]}"),
    )

    with Bars(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("training", total=images, rate="", losses="")

        def report(line: dict[str, Any]) -> None:
            if "note" in line:
                say(line["note"])
                return

            losses = "  ".join(f"{name.split('/')[0]} {line[name]:.3f}" for name in line if name.endswith("/loss"))
            rate = f"{line['images_per_second']:.0f} images/s"
            progress.update(task, rate=rate, losses=losses)

            if not console.is_terminal:
                left = (images - line["images"]) / line["images_per_second"]
                say(f"{line['images']:,} of {images:,} images  {rate}  about {in_words(left)} left  {losses}")

        yield report, lambda seen: progress.update(task, completed=min(seen, images))
