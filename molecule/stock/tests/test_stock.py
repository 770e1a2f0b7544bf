"""A plain Debian is clean, and all of it was looked at."""

import lab


def test_nothing_is_found(name):
    found = lab.audit(name, "all")
    assert len({one["class"] for one in found}) >= 1
    assert [one for one in found if one["status"] == "open"] == []


def test_nothing_is_left_unknown(name):
    found = lab.audit(name, "all")
    assert [(one["check"], one["reason"]) for one in found if one["status"] == "unknown"] == []
