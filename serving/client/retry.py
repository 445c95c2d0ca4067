"""How long a client goes on asking: with growing pauses, within a deadline, and never as a burden on the server.

Images are pure functions of their inputs, so asking again is always safe. But a server that is overloaded is not
helped by clients that all ask again at once, and for ever.
"""

import random
import time

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 3.0  # seconds; each pause is twice the last, times a random share
MOST_TOKENS = 30.0  # what a pause costs one of; enough to sit out a server's restart
REFUND = 0.2  # of a token, for every answer: so in the long run one request in five may be asked again


class RetryBudget:
    """What one client may spend on asking again.

    Each request has ``deadline`` seconds; the tokens are shared by all requests of the client.
    """

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.tokens = MOST_TOKENS

    def answered(self) -> None:
        """Note that a request was answered, which gives back a part of a token."""
        self.tokens = min(self.tokens + REFUND, MOST_TOKENS)

    def pause(self, tries: int, since: float) -> str | None:
        """Wait before the next try of a request that was first sent at ``since``, or say why there must be no other."""
        longest = min(FIRST_PAUSE * 2 ** (tries - 1), LONGEST_PAUSE)
        pause = longest * random.uniform(0.5, 1.0)  # noqa: S311 (so that clients do not come back together)
        if time.monotonic() + pause - since > self.deadline:
            return f"its {self.deadline:g} s are over"
        if self.tokens < 1:
            return "too many requests had to be asked again"
        self.tokens -= 1
        time.sleep(pause)
        return None
