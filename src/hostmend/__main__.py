"""``python -m hostmend`` is the command ``hostmend``."""

from __future__ import annotations

import sys

from hostmend.cli import main

sys.exit(main())
