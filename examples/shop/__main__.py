"""The command line of the shop."""

import sys

from examples.shop.cli import main

sys.exit(main())
