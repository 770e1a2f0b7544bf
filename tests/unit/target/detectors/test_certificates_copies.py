"""Files that are copies of what certbot keeps: what is brought over, and what is renewed."""

from __future__ import annotations

from typing import Any

from ansible_collections.hostmend.hardening.plugins.module_utils.detectors import certificates

from tests.unit.target.detectors.test_certificates import LINEAGE, NOTHING, PATH, POLICY, facts, told

LIVE = "/etc/letsencrypt/live/www.example.org/fullchain.pem"
HOOK = "/etc/letsencrypt/renewal-hooks/deploy/hostmend"
POLICIES: tuple[dict[str, Any], ...] = ({}, {"acme_domains": ["*.example.org"]}, {"private_names": ["*.example.org"]})


def hooked(copied: dict[str, Any], kept: dict[str, Any], **lineage: Any) -> dict[str, Any]:
    """Return the facts of a host whose deploy hook has PATH as a copy of what certbot keeps."""
    mine = {**LINEAGE, "certificate": LIVE, "hooks": [HOOK], **lineage}
    services = [{"service": "nginx", "unit": "nginx.service"}]
    registry = {"www.example.org": {"services": services, "pairs": [{"certificate": PATH}]}}
    made = facts(
        chain=[copied],
        renewal={
            "certbot": {**NOTHING["certbot"], "installed": True, "lineages": [mine], "runs": ["certbot.timer"]},
            "registry": registry,
        },
    )
    made["kept"] = [
        {"tool": "certbot", "name": "www.example.org", "certificate": LIVE, "leaf": kept, "fingerprints": [kept["fingerprint"]]}
    ]
    return made


def planned(made: dict[str, Any], **policy: Any) -> dict[str, set[tuple[str, bool]]]:
    """Return of each open finding what is to be done for PATH, and whether certbot renews for it."""
    opened = [one for one in certificates.check(made, {**POLICY, **policy}) if one["status"] == "open"]
    return {
        one["check"].split(".")[1]: {
            (item["mend"], item["renew"]) for item in one["remedy"]["items"] if item["certificate"] == PATH
        }
        for one in opened
    }


def test_what_certbot_has_renewed_already_is_brought_over_and_not_renewed_again() -> None:
    for policy in POLICIES:
        for manual in (False, True):
            made = hooked(told(until=2), told(until=80), manual=manual)
            assert planned(made, **policy)["expiring"] == {("copy", False)}, (policy, manual)


def test_what_is_due_with_certbot_too_is_renewed() -> None:
    assert planned(hooked(told(until=2), told(until=3)))["expiring"] == {("renew", False)}


def test_a_renewal_that_failed_is_tried_again_whatever_is_copied() -> None:
    made = hooked(told(until=2), told(until=80), failure="the server could not connect")
    assert planned(made)["renewal_broken"] == {("renew", False), ("copy", False)}


def test_what_certbot_cannot_renew_is_no_promise() -> None:
    for wrong, mend in (({"by_hand": True}, ""), ({"manual": True}, "issue"), ({}, "issue")):
        for policy, wanted in (({}, ""), ({"acme_domains": ["*.example.org"]}, mend)):
            made = facts(
                chain=[told(until=2)],
                renewal={"certbot": {**NOTHING["certbot"], "lineages": [{**LINEAGE, "fault": "it cannot", **wrong}]}},
            )
            opened = [one for one in certificates.check(made, {**POLICY, **policy}) if one["status"] == "open"]
            [expiring] = [one for one in opened if one["check"] == "certificates.expiring"]
            assert [item["mend"] for item in expiring["remedy"]["items"]] == [one for one in [wanted] if one], (wrong, policy)
            assert (expiring.get("risk") == "manual") is (wanted == "")


def test_a_file_that_acme_sh_brings_is_a_copy_whatever_its_key() -> None:
    made = facts(chain=[told(until=2)])
    made["kept"] = [{"tool": "acme.sh", "name": "a", "certificate": "/root/.acme.sh/a/fullchain.cer", "brought": [PATH],
                     "leaf": told(until=80, of="another"), "fingerprints": []}]
    domain = {"name": "a", "home": "/root/.acme.sh", "certificate": PATH, "manual": False, "reload": True, "due": None}
    made["renewal"]["acme_sh"] = {"domains": [domain], "runs": ["/etc/crontab"]}
    found = {one["check"]: one for one in certificates.check(made, POLICY) if one["status"] == "open"}
    assert "nothing has brought it here" in found["certificates.expiring"]["reason"]
    assert found["certificates.renewal_broken"]["reason"] == f"nothing has brought what was renewed to {PATH}"
