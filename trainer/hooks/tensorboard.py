"""A run in TensorBoard, for those who have it installed: what the log and the samples hold, nothing more."""

import numpy as np
from PIL import Image

from core.errors import MissingDependency
from core.images import from_pillow, over_checkerboard
from trainer.loop import Training
from trainer.mark import note
from trainer.run import Run


class Board:
    """A hook: passes on every line of the log and every preview that is new since it was last called."""

    def __init__(self, run: Run, images_seen: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise MissingDependency(
                "--tensorboard needs the package tensorboard: pip install tensorboard, or do without"
            ) from None
        self.run, self.moment, self.lines = run, images_seen, len(run.read_log())
        there = set(run.board.glob("*"))
        # What a run that is continued makes again replaces what was there.
        self.writer = SummaryWriter(str(run.board), purge_step=images_seen + 1)
        note(run.root, (path.relative_to(run.root).as_posix() for path in {*run.board.glob("*")} - there))

    def __call__(self, training: Training) -> None:
        """Show what is new."""
        log = self.run.read_log()
        for line in log[self.lines :]:
            for name in line.keys() - {"images"}:
                self.writer.add_scalar(name, line[name], line["images"])
        for moment, path in self.run.previews():
            if moment > self.moment:
                with Image.open(path) as picture:
                    shown = over_checkerboard(from_pillow(picture, len(picture.getbands())))
                self.writer.add_image("samples", np.asarray(shown), moment, dataformats="HWC")
        self.lines, self.moment = len(log), training.images_seen
        self.writer.flush()
