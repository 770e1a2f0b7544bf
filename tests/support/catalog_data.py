# SPDX-License-Identifier: GPL-3.0-or-later
"""A catalogue file that is whole."""

GOOD = """
class: door
title: {en: Doors, zh_TW: 門}
description: {en: Doors that stand open., zh_TW: 敞開的門。}
policy:
  exempt:
    type: list
    default: []
    description: {en: Doors that may stand open., zh_TW: 可以敞開的門。}
checks:
  door.open:
    kind: vulnerability
    severity: high
    title: {en: A door stands open, zh_TW: 有一扇門敞開}
    why: {en: Anyone walks in., zh_TW: 任何人都能進入。}
    change: {en: Shuts it., zh_TW: 關上它。}
    fix: {role: door, risk: safe}
    references: ["CIS Controls v8 4.1"]
"""
