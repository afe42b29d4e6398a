"""Schedules: which slots a judge is shown together, in which calls, in how many rounds. Pure Python."""

from mmrank.rerank.schedules.base import Schedule
from mmrank.rerank.schedules.blocks import Blocks, Shuffles
from mmrank.rerank.schedules.both_orders import BothOrders, agreement
from mmrank.rerank.schedules.early_exit import EarlyExit
from mmrank.rerank.schedules.groups import Groups
from mmrank.rerank.schedules.pairs import Pairs
from mmrank.rerank.schedules.play import Played, play
from mmrank.rerank.schedules.pointwise import Pointwise
from mmrank.rerank.schedules.registry import SCHEDULES, make_schedule
from mmrank.rerank.schedules.seeds import derive_seed
from mmrank.rerank.schedules.window import Single, Sliding

__all__ = [
    "SCHEDULES",
    "Blocks",
    "BothOrders",
    "EarlyExit",
    "Groups",
    "Pairs",
    "Played",
    "Pointwise",
    "Schedule",
    "Shuffles",
    "Single",
    "Sliding",
    "agreement",
    "derive_seed",
    "make_schedule",
    "play",
]
