"""The exceptions that cross the doors between packages."""


class RhumbError(Exception):
    """Something the operator can act on: it says what happened, and what to try.

    `hint` is one sentence for the next step; it is printed on a line of its own.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
