"""``python -m audiotransfer``: the command line without its script."""

import sys

from audiotransfer.cli import main

sys.exit(main())
