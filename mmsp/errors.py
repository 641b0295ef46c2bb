"""What the user did wrong, as opposed to what the program did wrong."""

__all__ = ["InputError", "first_line"]


class InputError(ValueError):
    """Input that cannot be used: its message is one sentence that the user can act on.

    The command line prints the sentence on stderr, without a traceback, and exits with status 2.
    """


def first_line(error: Exception) -> str:
    """What a library says, in one line."""
    return next(iter(str(error).splitlines()), type(error).__name__)
