"""`python -m pybridge`."""

import sys

from pybridge.cli import main

sys.exit(main())
