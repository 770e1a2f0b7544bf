# SPDX-License-Identifier: GPL-3.0-or-later
"""Where things lie in the tree."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(__file__).parent / "data"
FIXTURES = Path(__file__).parent / "fixtures"
