"""Why the judge does not answer."""

from mmrank.toybox.errors import ToyboxError


class RefusedError(ToyboxError):
    """A request that cannot be answered from what it holds: HTTP 400, with this message in the server's answer."""


def short(text: str, most: int = 120) -> str:
    """The beginning of a text, on one line, for an error message.

    Example:
        >>> short("a very long story", 10)
        'a very ...'
    """
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 3]}..."
