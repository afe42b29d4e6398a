"""The toybox: a miniature world of emoji objects on coloured grounds, for the demo and for tests without a network.

Scenes, captions, composed queries, clips, report pages and notes come from one grammar and one seed, and are written
as plain media or in the layouts of real data sets. Import what you need from its modules; `write_toybox` does it all.
"""

from mmrank.toybox.errors import ToyboxError
from mmrank.toybox.layouts import write_toybox
from mmrank.toybox.manifest import ToyboxManifest, ToyItem, ToyQuery

__all__ = ["ToyItem", "ToyQuery", "ToyboxError", "ToyboxManifest", "write_toybox"]
