"""The one exception for mistakes that a user can mend."""


class UserError(Exception):
    """A mistake that the user can mend: its message says what was found, where, and what to change.

    Command lines show the message alone, without a traceback, and exit with a non-zero status.
    """
