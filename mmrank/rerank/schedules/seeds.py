"""Seeds that follow from what is asked, not from when it is asked: a resumed run draws what an unbroken one drew."""

from __future__ import annotations

from hashlib import blake2b

SEED_BITS = 31
"""Seeds fit a signed 32-bit number: the smallest type that a server takes one in."""


def derive_seed(seed: int, query_id: str, *parts: int | str | tuple[int, ...]) -> int:
    """A seed in 0..2**31 - 1 for one draw of one query: the same on every machine, process and Python version.

    >>> derive_seed(0, "q1", "block", 3) == derive_seed(0, "q1", "block", 3)
    True
    >>> derive_seed(0, "q1", "block", 3) == derive_seed(0, "q1", "block", 4)
    False
    """
    # repr keeps 1 and "1", and ("a", "b") and ("ab",), apart.
    text = repr((int(seed), query_id, *parts))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") >> (64 - SEED_BITS)
