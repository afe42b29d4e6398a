"""``python -m mmrank``: the command line, where the script is not on the path."""

from mmrank.cli.app import main

if __name__ == "__main__":
    main()
