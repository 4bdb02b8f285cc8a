"""The one exception whose text is meant for the person at the keyboard."""


class UserError(Exception):
    """A problem the person can solve: one clear sentence saying what is wrong, why, and what to do."""
