# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Have the private authority sign on the controller what the module puts in place on the host."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.hostmend.hardening.plugins.plugin_utils import inventory_policy
from ansible_collections.hostmend.hardening.plugins.plugin_utils import run as runs

MODULE = "hostmend.hardening.certificate_mend"
MISSING = (
    "it is for the private authority (private_names): name its certificate and key, files on the controller, in "
    "certificates_private_ca_certificate and certificates_private_ca_key; playbooks/private_ca.yml makes one"
)


class ActionModule(ActionBase):
    """Run the module; the authority's files, passphrase and policy stay on the controller."""

    TRANSFERS_FILES = False

    def run(self, tmp=None, task_vars=None):
        """Run the module."""
        result = super().run(tmp, task_vars)
        del tmp
        self._task_vars = task_vars or {}
        arguments = dict(self._task.args)
        items = [dict(one) for one in arguments.get("items") or () if isinstance(one, dict)]
        private = [one for one in items if one.get("mend") == "private"]
        if private and arguments.get("state", "present") == "present" and not arguments.get("signed"):
            self._sign(arguments, private)
        result.update(inventory_policy.result_of(self._execute_module(MODULE, arguments, task_vars=self._task_vars)))
        return result

    def _sign(self, arguments: dict[str, Any], private: list[dict[str, Any]]) -> None:
        """Fill in what the authority has signed for the items, and what it refuses."""
        from ansible_collections.hostmend.hardening.plugins.plugin_utils import private_authority

        refused = arguments["refused"] = []
        try:
            policy = self._policy()
            if not policy["certificate"] or not policy["key"]:
                raise private_authority.AuthorityError(MISSING)
            authority = private_authority.load(policy["certificate"], policy["key"], policy["passphrase"])
        except (AnsibleError, private_authority.AuthorityError, TypeError, ValueError) as error:
            refused += [{"certificate": one["certificate"], "reason": str(error)} for one in private]
            return
        arguments["authority"] = private_authority.pem(authority.chain)
        wanted = {}
        for one in private:
            names = [str(name) for name in one.get("names") or ()]
            why = private_authority.refusal(names, policy["names"], policy["host"], policy["others"])
            if why:
                refused.append({"certificate": one["certificate"], "reason": f"{why}. Nothing was signed"})
            else:
                wanted[one["certificate"]] = names
        if self._task.check_mode or not wanted:
            return
        asked = self._execute_module(
            MODULE,
            {"state": "requested", "authority": arguments["authority"],
             "items": [one for one in private if one["certificate"] in wanted]},
            task_vars=self._task_vars,
        )
        answers = [one for one in asked.get("requests") or () if isinstance(one, dict)]
        requests = {str(one.get("certificate")): str(one.get("csr")) for one in answers}
        arguments["signed"] = []
        for certificate, names in wanted.items():
            try:
                if certificate not in requests:
                    if asked.get("failed"):
                        raise private_authority.AuthorityError(f"the host made no request: {str(asked.get('msg'))[:300]}")
                    continue
                made = private_authority.sign(
                    authority, private_authority.public_key(requests[certificate]), names, policy["days"])
                run = str(self._task_vars.get("hostmend_run") or runs.name())
                private_authority.record(private_authority.log_path(policy["key"]), policy["host"], run, made, names)
            except private_authority.AuthorityError as error:
                refused.append({"certificate": certificate, "reason": f"{error}. Nothing was signed"})
                continue
            chain = private_authority.pem([made, *authority.chain])
            arguments["signed"].append({"certificate": certificate, "chain": chain})

    def _policy(self) -> dict[str, Any]:
        """Return what the operator has set: never what the host says of itself."""
        known = inventory_policy.without_facts(self._task_vars)
        host = known.get("inventory_hostname")
        if not host:
            raise AnsibleError("the facts of the host set inventory_hostname")

        def value(name: str, default: Any) -> Any:
            for variable in (f"certificates_{name}", f"hostmend_certificates_{name}"):
                if variable in self._task_vars and variable not in known:
                    raise AnsibleError(f"the facts of {host} set {variable}, which is the inventory's to say")
            for variable in (f"certificates_{name}", f"hostmend_certificates_{name}"):
                if variable in known:
                    return self._templar.copy_with_new_env(available_variables=known).template(known[variable])
            return default

        names = value("private_names", [])
        if isinstance(names, str):
            names = [one.strip() for one in names.split(",")]
        place = {name: str(value(f"private_ca_{name}", "") or "") for name in ("certificate", "key", "passphrase")}
        return {
            "certificate": self._loader.path_dwim(place["certificate"]) if place["certificate"] else "",
            "key": self._loader.path_dwim(place["key"]) if place["key"] else "",
            "passphrase": place["passphrase"],
            "days": int(value("private_ca_days", 90)),
            "names": [str(one) for one in names or ()],
            "host": str(host),
            "others": [str(one) for one in (self._task_vars.get("groups") or {}).get("all", ()) if one != host],
        }
