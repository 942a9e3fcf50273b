"""Runs the command line as ``python -m audiotransfer``."""

import sys

from audiotransfer.cli import main

sys.exit(main())
