"""What a build's process runs: the command line as it is, but for the size of a commit.

A commit every 40 rows instead of every 1,024 or two seconds, so that on a machine of any speed a build of 2,000
pictures can be killed twenty times, every time with rows behind it and rows before it.
"""

from __future__ import annotations

import os
import sys

import mmrank.index.writer

ARGUMENTS: list[str] = globals()["ARGUMENTS"]  # from runpy, as is the file that takes what is printed
OUT: str = globals()["OUT"]

mmrank.index.writer.GROUP_ROWS = 40
for number, suffix in ((1, ".out"), (2, ".err")):
    os.dup2(os.open(OUT + suffix, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
sys.argv = ["mmrank", *ARGUMENTS]

from mmrank.cli.app import main  # noqa: E402 - its console looks at stdout when it is imported

main()
