"""`python -m mmke.cli` is `mmke`; programs that start several processes (`accelerate launch`) need this form."""

import sys

from mmke.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
