"""MSR-VTT under its official protocols: ``python scripts/evaluate_msrvtt.py --root DIR --pipeline FILE.toml``.

Exactly ``mmrank eval msrvtt ...``; score matrices go in with --scores.
"""

import sys

from mmrank.cli.app import app

if __name__ == "__main__":
    app(["eval", "msrvtt", *sys.argv[1:]])
