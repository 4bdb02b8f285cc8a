"""When a strategy gives a model's numbers, and how it is said that it does not."""

TOLERANCE = 1e-4  # of the largest logit
BATCH = 2


class FellThrough(Exception):  # noqa: N818 - not an error: the next strategy is tried
    """A strategy does not serve this model; the text says why."""
