"""What an authority is limited to, judged as OpenSSL 3.0 judged each of these certificates when it had been signed."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hostmend.hardening.plugins.module_utils.tls import name_constraints, x509

from tests.support import certificate_maker as maker

EVERY_ADDRESS = ("0.0.0.0/0", "::/0")


@pytest.mark.parametrize(
    ("permitted", "excluded", "names", "refused"),
    [
        ((), (), ("www.example.org", "*.example.org", "192.0.2.1", "2001:db8::1"), None),
        (("example.org",), (), ("example.org", "a.b.example.org"), None),
        (("EXAMPLE.org",), (), ("a.example.org",), None),
        (("example.org",), (), ("badexample.org",), "badexample.org: its name constraints permit no more than example.org and"),
        (("example.org",), (), ("a.example.org", "b.example.com"), "b.example.com: its name"),
        # With a dot before it, a domain is not itself among what is below it.
        ((".example.org",), (), ("a.example.org", "*.example.org"), None),
        ((".example.org",), (), ("example.org",), "example.org: its name constraints permit no more than .example.org"),
        ((".example.org",), (), ("x.badexample.org",), "x.badexample.org"),
        # A star may stand below a limit, and not for names above it.
        (("example.org",), (), ("*.example.org", "*.in.example.org"), None),
        (("in.example.org",), (), ("*.example.org",), "*.example.org: its name constraints"),
        ((), ("bad.example.org",), ("good.example.org", "example.org"), None),
        ((), ("bad.example.org",), ("x.bad.example.org",), "x.bad.example.org, as its name constraints exclude bad.example.org"),
        (("example.org",), ("bad.example.org",), ("bad.example.org",), "exclude bad.example.org and below"),
        ((), (".bad.example.org",), ("bad.example.org",), None),
        ((), (".bad.example.org",), ("x.bad.example.org",), "exclude .bad.example.org"),
        ((), ("",), ("a.example.org",), "exclude all names"),
        # Limits of one kind leave the other open.
        (("example.org",), (), ("192.0.2.1", "2001:db8::1"), None),
        (("10.0.0.0/8",), (), ("a.example.org",), None),
        (("example.org",), EVERY_ADDRESS, ("192.0.2.1",), "exclude 0.0.0.0/0"),
        (("example.org",), EVERY_ADDRESS, ("2001:db8::1",), "exclude ::/0"),
        (("example.org", "10.0.0.0/8"), (), ("10.1.2.3", "a.example.org"), None),
        (("10.0.0.0/8",), (), ("11.1.2.3",), "11.1.2.3: its name constraints permit no more than 10.0.0.0/8"),
        (("10.0.0.0/8",), (), ("2001:db8::1",), "2001:db8::1: its name"),
        (("2001:db8::/32",), (), ("2001:db8:1::1",), None),
        (
            ("2001:db8::/32",),
            (),
            ("2001:db9::1", "10.1.2.3"),
            "2001:db9::1: its name constraints permit no more than 2001:db8::/32",
        ),
        # What it signs for hosts has no organisation.
        (("O=Example",), (), ("a.example.org",), "permit no more than O=Example"),
        ((), ("O=Example",), ("a.example.org",), None),
    ],
)
def test_a_name_is_refused_as_clients_refuse_it(
    permitted: tuple[str, ...], excluded: tuple[str, ...], names: tuple[str, ...], refused: str | None
) -> None:
    told = name_constraints.refusals_of(maker.authority(permitted, excluded), list(names))
    assert bool(told) == bool(refused)
    assert refused is None or (refused in told[0] and told[0].startswith("the private authority (CN=Test CA) may not issue for "))


def test_a_star_that_would_stand_for_what_is_excluded_is_refused_too() -> None:
    """OpenSSL 3.0 lets it through; Go does not since 1.25.5."""
    told = name_constraints.refusals_of(maker.authority((), ("bad.example.org",)), ["*.example.org"])
    assert told == ["the private authority (CN=Test CA) may not issue for *.example.org, as its name constraints exclude "
                    "bad.example.org and below"]  # fmt: skip


def test_the_limits_of_all_above_it_count() -> None:
    below = maker.authority(by="root")
    root = maker.pem(maker.certificate((), "root", "root", ca=True, common="Root")).decode()
    assert name_constraints.refusals_of(below + root, ["a.example.com"]) == []
    # Another authority that the file happens to hold says nothing of it.
    assert name_constraints.refusals_of(below + root + maker.authority(("example.org",)), ["a.example.com"]) == []
    middle = maker.authority(("example.org",), by="root")
    assert "example.org and below" in name_constraints.refusals_of(middle + root, ["a.example.com"])[0]
    chain = x509.bundle(below + root)[0]
    chain[1]["permitted"] = [["dns", "example.org"]]
    assert "(CN=Root) may not issue for a.example.com" in name_constraints.refusals(chain, ["a.example.com", "a.example.org"])[0]


@pytest.mark.parametrize("text", ["", "x", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_an_authority_that_cannot_be_read_signs_nothing(text: str) -> None:
    assert "cannot be read" in name_constraints.refusals_of(text, ["a.example.org"])[0]


def test_a_mask_with_holes_is_taken_as_it_is() -> None:
    limits: dict[str, Any] = {"subject": "CN=x", "permitted": [["ip", "10.0.0.1/255.0.0.255"]], "excluded": []}
    assert name_constraints.refusals([limits], ["10.9.8.1"]) == []
    assert "10.0.0.1/255.0.0.255" in name_constraints.refusals([limits], ["10.9.8.2"])[0]


@pytest.mark.parametrize(
    ("since", "until", "said"), [(-30.0, 60.0, ""), (-30.0, -1.0, "ended on 20"), (1.0, 60.0, "is not valid before 20")]
)
def test_an_authority_signs_nothing_out_of_its_time(since: float, until: float, said: str) -> None:
    text = maker.pem(maker.certificate((), "ca", "ca", since, until, ca=True, common="Test CA")).decode()
    told = name_constraints.out_of_date(text, maker.NOW.timestamp())
    assert told == "" if not said else told.startswith(f"the private authority (CN=Test CA) {said}")
    assert name_constraints.out_of_date("", 0) == ""
