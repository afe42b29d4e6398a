"""A judge that reads the truth: an OpenAI-compatible server on loopback that knows what a toy collection shows.

It recognises the pictures and texts it is sent, and answers in the form the prompt asks for. It goes by nothing but the
prompt, so a label off by one, a swapped slot or a page shown twice gives wrong orders; noise and faults are adjustable.
"""

from mmrank.toybox.judge.flow import Reader
from mmrank.toybox.judge.noise import Noise
from mmrank.toybox.judge.server import TruthServer, serve_truth

__all__ = ["Noise", "Reader", "TruthServer", "serve_truth"]
