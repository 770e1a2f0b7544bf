# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the controller's tests."""

from tests.support.cli_runs import ansible

__all__ = ["ansible"]
