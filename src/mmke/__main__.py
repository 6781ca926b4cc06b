"""`python -m mmke` is `mmke`, also where the command itself is not on the path."""

import sys

from mmke.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
