"""The one kind of error that is told to the user as a plain message."""


class UserError(Exception):
    """A fault that the user can mend: the message has the wrong value, what is wrong, the cure."""
