"""Ganfoundry's command line: the app, its commands and how it ends; ``commands/`` has a file for each job.

Each command imports its room inside itself, so that ``--help`` costs nothing. Exit status: 0 done, 1 an error of
ours in one line, 2 bad usage, 3 stopped by Ctrl-C or SIGTERM with everything saved, 130 and 143 stopped by them with
nothing to save.
"""

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from commands.console import fail, fail_usage, say
from commands.data import data_import, data_info, data_openmoji
from commands.demo import demo
from commands.deploying import deploy
from commands.doctor import doctor
from commands.evaluating import evaluate
from commands.exporting import export, inspect, verify
from commands.publishing import models, publish, rollback
from commands.sampling import sample
from commands.serving import serve, top, tune
from commands.training import plot, presets, train
from commands.translating import translate
from core.errors import GanfoundryError
from core.system import use_utf8, wait_asleep

# Click's plain help: in a terminal of 80 characters, tables leave a third of it to the sentences.
app = typer.Typer(rich_markup_mode=None, add_completion=False, pretty_exceptions_enable=False)
data_app = typer.Typer(rich_markup_mode=None, help="Make packs of training images, and look at them.")

PACKS: dict[str, Callable[..., None]] = {"import": data_import, "openmoji": data_openmoji, "info": data_info}
COMMANDS: tuple[Callable[..., None], ...] = (  # in the order of the road that images go
    *(doctor, train, presets, evaluate, plot),
    *(export, verify, inspect),
    *(publish, rollback, models, serve, tune, deploy),
    *(sample, translate, top, demo),
)
app.add_typer(data_app, name="data")
for name, command in PACKS.items():
    data_app.command(name)(command)
for command in COMMANDS:
    app.command()(command)


def _print_version(wanted: bool) -> None:
    if wanted:
        from core.ours import software

        say(software())
        raise typer.Exit


@app.callback(invoke_without_command=True)
def ganfoundry(
    context: typer.Context,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Turn a folder of images into a generator that a game-asset pipeline can call."""
    if context.invoked_subcommand is None:
        say(context.get_help())


def main() -> None:
    """Run the command line; print errors of ours, and of the file system, as one line."""
    use_utf8()
    wait_asleep()
    # As an exception, so that what is half-written is cleaned up; `train` and `serve` have a gentler way.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))

    try:
        sys.exit(app(prog_name=Path(sys.argv[0]).name, standalone_mode=False) or 0)
    except typer.TyperException as error:
        fail_usage(error)
    except GanfoundryError as error:
        fail(str(error))
    except ModuleNotFoundError as error:
        fail(
            f"this command needs the Python package {error.name}, which is not installed: 'doctor' says what brings it"
        )
    except UnicodeEncodeError as error:
        fail(f"a name is not written in UTF-8 ({error.object}): rename that file or folder")
    except OSError as error:
        fail(f"{error.filename or 'the system'}: {error.strerror or error}")


if __name__ == "__main__":
    main()
