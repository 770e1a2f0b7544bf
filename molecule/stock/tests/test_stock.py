"""A plain Debian is clean, and all of it was looked at."""

import datetime

import lab

# What no audit of a plain image can know: it has no package index, and nobody has imported advisories.
UNKNOWN = {"updates.security_pending", "updates.index_stale", "updates.cve"}
# The last day with security updates of releases that the lab goes on testing on.
ENDED = {"hm-stock-bullseye": datetime.date(2026, 8, 31)}


def test_nothing_is_found(name):
    found = lab.audit(name, "all")
    assert len({one["class"] for one in found}) >= 1
    today = datetime.datetime.now(datetime.UTC).date()
    true = ["updates.eol_release"] if today > ENDED.get(name, today) else []
    assert [one["check"] for one in found if one["status"] == "open"] == true


def test_nothing_is_left_unknown(name):
    found = lab.audit(name, "all")
    unknown = [(one["check"], one["reason"]) for one in found if one["status"] == "unknown"]
    assert [one for one in unknown if one[0] not in UNKNOWN] == []
    assert {check for check, _reason in unknown} == UNKNOWN
    assert all("index" in reason or "bundle" in reason for _check, reason in unknown), unknown
