"""``python -m mmsp.cli`` is ``mmsp``."""

import sys

from mmsp.cli.main import main

sys.exit(main())
