"""What the user did wrong, as opposed to what the program did wrong."""

__all__ = ["InputError"]


class InputError(ValueError):
    """Input that cannot be used: its message is one sentence that the user can act on.

    The command line prints the sentence on stderr, without a traceback, and exits with status 2.
    """
