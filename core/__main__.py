"""``python -m core``: the headless twin of the playground."""

import sys

from core.cli import main

if __name__ == "__main__":
    sys.exit(main())
