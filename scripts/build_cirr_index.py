"""Build the index of a CIRR gallery: ``python scripts/build_cirr_index.py --root DIR [--split val] [--model SPEC]``.

The same index `mmrank eval cirr` builds when it is not there; give the same --to, and it is used again.
"""

from _gallery import build_command

if __name__ == "__main__":
    build_command("cirr", default_split="val", description=__doc__)
