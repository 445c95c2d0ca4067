"""Games at once: each class has the methods of both, and each method calls that of the next."""

from trainer.systems.heads import WithHeads
from trainer.systems.progressive import Progressive
from trainer.systems.style import Style


class StyleWithHeads(WithHeads, Style):
    """A style-based generator whose images are to show their class: the heads read it off, mixed styles or not."""


class ProgressiveWithHeads(WithHeads, Progressive):
    """Networks that grow, with heads on the features of the smallest level, which every image passes at every age."""
