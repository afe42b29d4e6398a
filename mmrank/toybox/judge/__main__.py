"""``python -m mmrank.toybox.judge [FOLDER] [--port N]``: serve the truth about a toy collection until Ctrl-C."""

import argparse
import sys
import threading

from mmrank.toybox.judge.server import serve_truth


def main() -> None:
    """Serve a folder that `write_toybox` wrote, or the bundled sample."""
    parser = argparse.ArgumentParser(prog="python -m mmrank.toybox.judge", description=main.__doc__)
    parser.add_argument("folder", nargs="?", help="the folder that holds media/, captions.jsonl and queries.jsonl")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    options = parser.parse_args()
    with serve_truth(options.folder, port=options.port) as server:
        sys.stdout.write(f"{server.spec}\n")
        sys.stdout.flush()
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
