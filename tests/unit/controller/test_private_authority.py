"""The private authority signs what the inventory gives a host, whatever the host asks for or says of itself."""

from __future__ import annotations

import base64
import datetime
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible import template
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.hostmend.hardening.plugins.action import certificate_mend
from ansible_collections.hostmend.hardening.plugins.plugin_utils import inventory_policy, private_authority
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

NAMES = ["db.internal.example.org", "10.20.0.5"]
KEY = ec.generate_private_key(ec.SECP256R1())


def request(key: Any = KEY, names: tuple[str, ...] = ("login.example.com", "*.example.com"), ca: bool = True) -> str:
    """Return a request that asks for much more than it is to get."""
    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    made = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])]))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(one) for one in names]), False)
        .add_extension(x509.BasicConstraints(ca, None), True)
        .add_extension(usage, True)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM).decode()


@pytest.fixture
def place(tmp_path: Path) -> dict[str, str]:
    made = {"certificate": str(tmp_path / "authority.pem"), "key": str(tmp_path / "authority.key")}
    private_authority.create(made["certificate"], made["key"], "word", "Lab", 30, ["internal.example.org", "10.20.0.0/16"])
    return made


def test_what_is_signed_is_of_its_own_template(place: dict[str, str]) -> None:
    authority = private_authority.load(place["certificate"], place["key"], "word")
    made = private_authority.sign(authority, private_authority.public_key(request()), NAMES, 7)
    made.verify_directly_issued_by(authority.chain[0])
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == NAMES[:1]
    assert [str(one) for one in names.get_values_for_type(x509.IPAddress)] == NAMES[1:]
    assert made.subject.rfc4514_string() == "CN=db.internal.example.org"
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert not made.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    assert made.public_key() == KEY.public_key()
    assert made.not_valid_after_utc - datetime.datetime.now(datetime.UTC) < datetime.timedelta(days=7)


def test_nothing_outlives_its_authority(place: dict[str, str]) -> None:
    authority = private_authority.load(place["certificate"], place["key"], "word")
    made = private_authority.sign(authority, KEY.public_key(), NAMES, 4000)
    assert made.not_valid_after_utc == authority.chain[0].not_valid_after_utc


@pytest.mark.parametrize("why", ["weak", "not signed", "large", "no request"])
def test_a_request_that_is_not_believed(why: str) -> None:
    text = request()
    if why == "weak":
        text = request(rsa.generate_private_key(65537, 1024))
    elif why == "not signed":
        loaded = x509.load_pem_x509_csr(text.encode()).public_bytes(serialization.Encoding.DER)
        other = x509.load_pem_x509_csr(request(ec.generate_private_key(ec.SECP256R1())).encode())
        inner = other.public_bytes(serialization.Encoding.DER)
        mixed = inner[: len(inner) - 60] + loaded[-60:]
        shown = base64.encodebytes(mixed).decode()
        text = f"-----BEGIN CERTIFICATE REQUEST-----\n{shown}-----END CERTIFICATE REQUEST-----\n"
    elif why == "large":
        text += "A" * 100_000
    else:
        text = "root:x:0:0"
    with pytest.raises(private_authority.AuthorityError) as error:
        private_authority.public_key(text)
    assert "x:0:0" not in str(error.value)


@pytest.mark.parametrize(("names", "allowed", "others", "why"), [
    (["db.internal.example.org"], ["*.internal.example.org"], [], ""),
    (["10.20.0.5"], ["10.20.*"], [], ""),
    (["login.example.com"], ["*.internal.example.org"], [], "not among the private_names"),
    ([], ["*"], [], "no name is known"),
    (["a b"], ["*"], [], "no name that a certificate"),
    (["web.internal.example.org"], ["*.internal.example.org"], ["web.internal.example.org"], "another host of the inventory"),
    (["*.internal.example.org"], ["*.internal.example.org"], ["web.internal.example.org"], "another host of the inventory"),
    (["web.internal.example.org"], ["web.internal.example.org"], ["web.internal.example.org"], ""),
    (["*.internal.example.org"], ["*.internal.example.org"], ["web"], ""),
])
def test_which_names_the_policy_gives_a_host(names: list[str], allowed: list[str], others: list[str], why: str) -> None:
    refused = private_authority.refusal(names, allowed, "db", others)
    assert why in refused and bool(refused) == bool(why)


@pytest.mark.parametrize("content", ["root:$6$secret:1:0\n", "certificate and key", ""])
def test_a_file_of_other_things_is_no_authority(place: dict[str, str], content: str) -> None:
    path = Path(place["certificate"])
    path.write_text(path.read_text() + Path(place["key"]).read_text() if content == "certificate and key" else content)
    with pytest.raises(private_authority.AuthorityError) as error:
        private_authority.load(place["certificate"], place["key"], "word")
    assert "secret" not in str(error.value)


def test_a_certificate_of_a_server_is_no_authority(place: dict[str, str], tmp_path: Path) -> None:
    authority = private_authority.load(place["certificate"], place["key"], "word")
    leaf = private_authority.sign(authority, KEY.public_key(), NAMES, 7)
    (tmp_path / "leaf.pem").write_text(private_authority.pem([leaf]))
    with pytest.raises(private_authority.AuthorityError, match="no certificate of an authority"):
        private_authority.load(str(tmp_path / "leaf.pem"), place["key"], "word")


@pytest.mark.parametrize("passphrase", ["", "other"])
def test_a_key_whose_passphrase_is_another_one(place: dict[str, str], passphrase: str) -> None:
    with pytest.raises(private_authority.AuthorityError, match="passphrase"):
        private_authority.load(place["certificate"], place["key"], passphrase)


def test_an_authority_is_never_overwritten_nor_half_made(place: dict[str, str], tmp_path: Path) -> None:
    before = Path(place["key"]).read_bytes()
    with pytest.raises(private_authority.AuthorityError):
        private_authority.create(str(tmp_path / "new.pem"), place["key"], "", "Lab", 30, [])
    with pytest.raises(private_authority.AuthorityError):
        private_authority.create(place["certificate"], str(tmp_path / "new.key"), "", "Lab", 30, [])
    assert Path(place["key"]).read_bytes() == before and Path(place["key"]).stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / "new.pem").exists() and not (tmp_path / "new.key").exists()


@pytest.mark.parametrize(("domains", "excluded"), [
    (["example.org"], ["0.0.0.0/0", "::/0"]), (["10.0.0.0/8"], [""]), (["example.org", "10.0.0.0/8"], [])])
def test_limits_of_one_kind_do_not_leave_the_other_open(domains: list[str], excluded: list[str]) -> None:
    made = private_authority.limits(domains)
    assert [str(one.value) for one in made.excluded_subtrees or ()] == excluded


@pytest.mark.parametrize("domain", ["*.example.org", "10.0.0.0/99", "10.0.0.1", "a b"])
def test_a_limit_that_clients_would_not_know_is_refused(domain: str) -> None:
    with pytest.raises(private_authority.AuthorityError, match="neither a domain nor a network"):
        private_authority.limits([domain])


# The action: whose word counts

class Store:
    """Answers as the fact cache of Ansible does."""

    def __init__(self, facts: dict[str, Any]) -> None:
        self.facts = facts

    def get(self, _host: str, default: Any = None) -> Any:
        return self.facts or default


class Action(certificate_mend.ActionModule):  # type: ignore[misc]
    """The action with a host that answers as it is told to."""

    def __init__(self, inventory: dict[str, Any], facts: dict[str, Any], csr: str, check_mode: bool = False) -> None:
        loader = DataLoader()
        self._task = SimpleNamespace(
            args={"items": [{"certificate": "/etc/db.pem", "mend": "private", "names": [NAMES[0]], "key": "/etc/db.key"}]},
            check_mode=check_mode, async_val=0)
        self._loader, self.csr, self.calls = loader, csr, []
        manager = SimpleNamespace(_fact_cache=Store(facts))
        # Facts outrank the inventory.
        self.variables = {"inventory_hostname": "db", "groups": {"all": ["db", "web"]}, **inventory, **facts,
                          "hostvars": SimpleNamespace(_variable_manager=manager)}
        self._templar = Templar(loader, variables=self.variables)

    def _execute_module(self, name: str, arguments: dict[str, Any], task_vars: Any = None) -> dict[str, Any]:
        self.calls.append(arguments)
        if arguments.get("state") == "requested":
            return {"requests": [{"certificate": "/etc/db.pem", "csr": self.csr}], "ansible_facts": {"hostmend_output": "/tmp"}}
        return {"changed": True, "failures": [], "ansible_facts": {"hostmend_output": "/tmp"}}

    def answer(self, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
        monkeypatch.setattr(certificate_mend.ActionBase, "run", lambda self, tmp, task_vars: {})
        made: dict[str, Any] = self.run(task_vars=self.variables)
        return made


def policy(place: dict[str, str]) -> dict[str, Any]:
    prefix = "hostmend_certificates_private_"
    return {f"{prefix}ca_certificate": place["certificate"], f"{prefix}ca_key": place["key"], f"{prefix}ca_passphrase": "word",
            f"{prefix}names": ["*.internal.example.org"]}


def test_the_host_gets_a_certificate_and_no_word_of_the_authority_but_that(place: dict[str, str], monkeypatch: Any) -> None:
    action = Action(policy(place), {}, request())
    result = action.answer(monkeypatch)
    assert "ansible_facts" not in result
    sent = json.dumps(action.calls)
    assert "PRIVATE" not in sent and "word" not in sent and place["key"] not in sent
    leaf = x509.load_pem_x509_certificates(action.calls[-1]["signed"][0]["chain"].encode())[0]
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == NAMES[:1]
    kept = [json.loads(line) for line in Path(private_authority.log_path(place["key"])).read_text().splitlines()]
    assert [(one["host"], one["names"], one["serial"]) for one in kept] == [("db", NAMES[:1], f"{leaf.serial_number:x}")]


def test_check_mode_asks_the_host_for_nothing_and_signs_nothing(place: dict[str, str], monkeypatch: Any) -> None:
    action = Action(policy(place), {}, request(), check_mode=True)
    action.answer(monkeypatch)
    assert [one.get("state") for one in action.calls] == [None] and not Path(private_authority.log_path(place["key"])).exists()


@pytest.mark.parametrize("variable", ["hostmend_certificates_private_ca_certificate", "certificates_private_ca_certificate"])
def test_facts_of_a_host_do_not_name_a_file_of_the_controller(
    place: dict[str, str], tmp_path: Path, monkeypatch: Any, variable: str
) -> None:
    (tmp_path / "secret").write_text("only for root")
    action = Action(policy(place), {variable: str(tmp_path / "secret")}, request())
    action.answer(monkeypatch)
    assert "only for root" not in json.dumps(action.calls)
    assert "facts of db" in action.calls[-1]["refused"][0]["reason"] and not action.calls[-1].get("signed")


def test_nor_by_a_variable_that_the_inventory_s_path_is_made_of(place: dict[str, str], tmp_path: Path, monkeypatch: Any) -> None:
    # Before ansible-core 2.19 every text of a variable is a template.
    trusted = getattr(template, "trust_as_template", str)("{{ folder }}/authority.pem")
    inventory = {**policy(place), "hostmend_certificates_private_ca_certificate": trusted}
    other = tmp_path / "other"
    other.mkdir()
    private_authority.create(str(other / "authority.pem"), str(other / "authority.key"), "", "Other", 3, [])
    action = Action(inventory, {"folder": str(other)}, request())
    action.answer(monkeypatch)
    assert not action.calls[-1].get("signed") and action.calls[-1]["refused"] and "authority" not in action.calls[-1]


def test_facts_of_a_host_do_not_widen_its_names(place: dict[str, str], monkeypatch: Any) -> None:
    action = Action(policy(place), {"hostmend_certificates_private_names": ["*"]}, request())
    action._task.args["items"][0]["names"] = ["login.example.com"]
    action.answer(monkeypatch)
    assert not action.calls[-1].get("signed") and action.calls[-1]["refused"]


def test_without_a_manager_of_variables_what_equals_a_fact_is_left_out() -> None:
    facts = {"domain": "x", "os": "y"}
    known = inventory_policy.without_facts({"ansible_facts": facts, "ansible_domain": "x", "domain": "z", "os": "y"})
    assert known == {"ansible_facts": facts, "domain": "z"}
