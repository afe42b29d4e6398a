"""What can go wrong in the toybox."""

from mmrank.errors import MmrankError


class ToyboxError(MmrankError):
    """A toybox asset is missing, or a scene, split or count was asked for that the grammar does not have."""
