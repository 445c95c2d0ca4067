"""A run's outside world: one writer at a time, and a polite end on Ctrl-C and SIGTERM."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from filelock import FileLock, Timeout

from core.errors import TrainingError
from core.system import end_signals
from trainer.mark import LOCK
from trainer.run import Run


@contextmanager
def only_one(run: Run) -> Iterator[None]:
    """Hold the run's lock, so that two trainings never write to one run. Makes its folder."""
    try:
        lock = FileLock(run.root / LOCK, blocking=False).acquire()
    except Timeout:
        raise TrainingError(f"another training is writing to {run.root}: wait for it, or use another --out") from None
    except OSError as error:
        raise TrainingError(f"cannot write to {run.root} ({error.strerror}): choose another --out") from None
    with lock:
        yield


@contextmanager
def stop_signals() -> Iterator[Callable[[], bool]]:
    """A function that says whether Ctrl-C or SIGTERM came. Another Ctrl-C after it raises KeyboardInterrupt at once."""
    came: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        came.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    numbers = end_signals()
    before = [signal.signal(number, note) for number in numbers]
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
