"""Build the index of MSR-VTT: ``python scripts/build_msrvtt_index.py --root DIR [--split 1k-A] [--model SPEC]``.

The same index `mmrank eval msrvtt` builds when it is not there; give the same --to, and it is used again.
"""

from _gallery import build_command

if __name__ == "__main__":
    build_command("msrvtt", default_split="1k-A", description=__doc__)
