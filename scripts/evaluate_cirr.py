"""CIRR under its official protocol: ``python scripts/evaluate_cirr.py --root DIR --pipeline FILE.toml``.

Exactly ``mmrank eval cirr ...``; on split test1 it writes the two files for the test server.
"""

import sys

from mmrank.cli.app import app

if __name__ == "__main__":
    app(["eval", "cirr", *sys.argv[1:]])
