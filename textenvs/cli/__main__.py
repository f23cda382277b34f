"""The same as the command `textenvs`."""

import sys

from textenvs.cli.main import main

sys.exit(main())
