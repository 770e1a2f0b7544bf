#!/usr/bin/python
# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: certificate_mend
short_description: Renew certificates, put them in place, and see by a handshake that they are served
version_added: 0.1.0
description:
  - Has certbot renew or obtain certificates, puts those of a private authority in place, has services reload what is on
    the disk already, and notes for the deploy hook which services go with which certificate.
  - Before anything is done for a certificate, its services must pass their own configuration test. Afterwards each of
    its listeners must serve the new serial, else the old pair is put back and the services are reloaded once more.
  - What cannot be done for one certificate does not keep it from the others. It is in RV(failures), and the old
    certificate stays in use.
  - Keys are in no argument of a process, no result and no difference.
  - The private authority signs on the controller, with the variables C(certificates_private_ca_certificate),
    C(certificates_private_ca_key), C(certificates_private_ca_passphrase), C(certificates_private_ca_days) and
    C(certificates_private_names), as the inventory or the play sets them; facts of a host are not believed. Of the request of
    a host its public key alone is taken, and what was signed is kept beside the key of the authority.
author:
  - hostmend maintainers (@hostmend)
options:
  state:
    description:
      - V(requested) makes a new key and a request for each certificate of the private authority, and changes nothing
        that is in use. V(present) does the rest.
    type: str
    choices: [requested, present]
    default: present
  items:
    description:
      - What is to be done, as the findings of the class C(certificates) name it.
    type: list
    elements: dict
    default: []
    suboptions:
      certificate:
        description: The file of the certificate, with its chain.
        type: path
        required: true
      key:
        description: The file of its key; the same where both are in one.
        type: path
      mend:
        description:
          - V(renew) what certbot owns, V(issue) by the ACME server and certbot, V(private) by the private authority,
            V(reload) the services, V(copy) to the file what certbot has renewed already, or note the services for the V(hook).
        type: str
        choices: [renew, issue, private, reload, copy, hook]
        required: true
      lineage:
        description: The name of the certificate with certbot.
        type: str
      renew:
        description: Whether certbot is to renew it before it is copied.
        type: bool
        default: false
      names:
        description: The host names that it is for.
        type: list
        elements: str
        default: []
      services:
        description: Services that use it, each as the kind of service and its unit.
        type: list
        elements: str
        default: []
      probes:
        description: Where it is served, each as address, port, protocol of STARTTLS (or nothing), and name.
        type: list
        elements: list
        default: []
      built:
        description: Files that postmap -F makes of what names the certificate, and that the service reads.
        type: list
        elements: path
        default: []
      beside:
        description:
          - Files with certificates of other kinds of keys for the same names. A server that speaks TLS 1.3 only may show
            one of those in its place.
        type: list
        elements: path
        default: []
  keys:
    description:
      - Keys that others are to be kept from. A key behind a link that is not root's is left alone, as whoever owns its folder
        could lead root to any file.
    type: list
    elements: dict
    default: []
    suboptions:
      key:
        description: The file.
        type: path
        required: true
      want_mode:
        description: Its mode, in octal.
        type: str
        required: true
      want_group:
        description: The group that the service reads it as, where it is not its group already.
        type: str
        default: ""
  signed:
    description: What the private authority has issued for the requests.
    type: list
    elements: dict
    default: []
    suboptions:
      certificate:
        description: The file that it is for.
        type: path
        required: true
      chain:
        description: The certificate, and those above it but the last.
        type: str
        required: true
  authority:
    description:
      - The certificate of the private authority, in PEM. What its name constraints do not permit is neither asked for nor
        put in place, as clients would refuse it.
    type: str
    default: ""
  refused:
    description: What the private authority does not sign, and why.
    type: list
    elements: dict
    default: []
    suboptions:
      certificate:
        description: The file that it was to be for.
        type: path
        required: true
      reason:
        description: Why.
        type: str
        required: true
  acme_directory:
    description: The directory URL of the ACME server. A renewal stays with the server that it came from.
    type: str
    default: ""
  acme_ca_bundle:
    description: A file with the authorities that the ACME server is verified by.
    type: str
    default: ""
  acme_email:
    description: The address of a new account.
    type: str
    default: ""
  acme_agree:
    description: Whether the terms of the ACME server are agreed to.
    type: bool
    default: false
  acme_challenge:
    description: How names are proved.
    type: str
    choices: [webroot, standalone, nginx, apache]
    default: webroot
  acme_webroot:
    description: The folder for V(webroot).
    type: path
    default: /var/www/html
attributes:
  check_mode:
    description: It says what would change.
    support: full
  diff_mode:
    description: It names what changes; keys are not shown.
    support: full
  platform:
    description: Linux.
    support: full
    platforms: linux
"""

EXAMPLES = r"""
- name: Have certbot renew a certificate, and nginx serve it
  hostmend.hardening.certificate_mend:
    items:
      - certificate: /etc/letsencrypt/live/www.example.org/fullchain.pem
        mend: renew
        lineage: www.example.org
        services: ["nginx nginx.service"]
        probes: [["127.0.0.1", "443", "", "www.example.org"]]

- name: Have services take what was renewed behind their backs
  hostmend.hardening.certificate_mend:
    items:
      - certificate: /etc/ssl/mail.pem
        mend: reload
        services: ["postfix postfix.service"]
"""

RETURN = r"""
changes:
  description: What changed, or would change in check mode.
  returned: always
  type: list
  elements: dict
  sample: [{"kind": "certificate", "name": "/etc/ssl/www.pem", "action": "renewed by certbot"}]
failures:
  description: What could not be done, and why. The old certificates stay in use.
  returned: always
  type: list
  elements: dict
  sample: [{"certificate": "/etc/ssl/www.pem", "reason": "certbot: the server could not connect to www.example.org"}]
not_proved:
  description:
    - What was done, and could not be seen by a handshake. That is so where a server speaks TLS 1.3 only and shows the
      certificate of another kind of key, in which case its processes must have read the file anew.
  returned: when O(state=present)
  type: list
  elements: dict
  sample: [{"certificate": "/etc/ssl/rsa.pem", "reason": "127.0.0.1 port 443 was not seen to serve the new serial 2a: ..."}]
requests:
  description: The requests for the private authority, without their keys.
  returned: when O(state=requested)
  type: list
  elements: dict
  sample: [{"certificate": "/etc/ssl/db.pem", "csr": "-----BEGIN CERTIFICATE REQUEST-----..."}]
"""

import errno
import grp
import hashlib
import json
import os
import pwd
import re
import socket
import ssl
import stat
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.hostmend.hardening.plugins.module_utils.software.certbot import log as certbot_log
from ansible_collections.hostmend.hardening.plugins.module_utils.software.certbot import errors
from ansible_collections.hostmend.hardening.plugins.module_utils.software.certbot import deploy_hook
from ansible_collections.hostmend.hardening.plugins.module_utils.detectors.certificates.facts import SERVICES
from ansible_collections.hostmend.hardening.plugins.module_utils.tls import name_constraints
from ansible_collections.hostmend.hardening.plugins.module_utils.software.certbot import renewal
from ansible_collections.hostmend.hardening.plugins.module_utils.tls import probe
from ansible_collections.hostmend.hardening.plugins.module_utils.tls import x509
from ansible_collections.hostmend.hardening.plugins.module_utils.software.certbot.deploy_hook import Failure
from ansible_collections.hostmend.hardening.plugins.module_utils.host import Host

STAGING = "/var/lib/hostmend/certificates"
HOST_NAME = re.compile(r"(?:\*\.)?(?!-)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\Z")
CERTBOT_SECONDS = 300
CERTBOT_CONFIGURATIONS = ("/etc/letsencrypt/cli.ini", ".config/letsencrypt/cli.ini")  # the second at home
# Certbot's own.
DIRECTORY = "https://acme-v02.api.letsencrypt.org/directory"
SERVED_SECONDS = 10
CLOCK_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", 7)  # Python 3.6 knows the clock of Linux by its number only
# A servlet container takes its time to start.
SLOW_SECONDS = {"tomcat": 180}
WORDS = {"renew": "renewed by certbot", "issue": "issued by the ACME server", "private": "issued by the private authority",
         "copy": "brought over from certbot"}
ITEM = {
    "certificate": {"type": "path", "required": True},
    "key": {"type": "path", "no_log": False},
    "mend": {"type": "str", "choices": ["renew", "issue", "private", "reload", "copy", "hook"], "required": True},
    "lineage": {"type": "str"},
    "renew": {"type": "bool", "default": False},
    "names": {"type": "list", "elements": "str", "default": []},
    "services": {"type": "list", "elements": "str", "default": []},
    "probes": {"type": "list", "elements": "list", "default": []},
    "beside": {"type": "list", "elements": "path", "default": []},
    "built": {"type": "list", "elements": "path", "default": []},
}


def leaf_of(path):
    """Return the certificate that a file begins with; None where there is none."""
    data = deploy_hook.read(path)[0]
    made = x509.certificates(data)[0] if data else []
    return made[0] if made else None


def staged(path, kind):
    """Return where a new key or certificate waits until it is put in place."""
    return "%s/%s.%s" % (STAGING, hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()[:32], kind)


def reason_of(said, lineage):
    """Return why certbot failed, from what it said and logged."""
    log = certbot_log.read(certbot_log.PATH)
    logged, when = certbot_log.failures(log).get(lineage, ("", 0))
    if time.time() - when > CERTBOT_SECONDS:
        logged = ""
    last, flat = certbot_log.last_problem(log), " ".join(said.split())
    # Where it obtains a certificate, certbot 4 and 5 print the detail alone, and 2.1 trips over its own error.
    meant = "AttributeError: can't set" in said or last.detail and last.detail in flat
    if not logged and meant and time.time() - last.when <= CERTBOT_SECONDS:
        logged = last.why
    return errors.reason(said, logged)


def default_directory():
    """Return the directory that certbot asks where it is told of none."""
    made, home = DIRECTORY, pwd.getpwuid(os.geteuid()).pw_dir
    for path in CERTBOT_CONFIGURATIONS:
        text = (deploy_hook.read(os.path.join(home, path))[0] or b"").decode("utf-8", "replace")
        made = (re.findall(r"^[ \t]*server[ \t]*=[ \t]*(\S+)", text, re.M) or [made])[-1]
    return made


def port_is_free(port):
    """Tell whether a program may listen on a port at all addresses."""
    for family, address in ((socket.AF_INET6, "::"), (socket.AF_INET, "0.0.0.0")):
        try:
            with socket.socket(family, socket.SOCK_STREAM) as one:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                one.bind((address, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
    return True


def shows_other(item, told):
    """Tell whether a server shows what a file with another kind of key holds, for the same names."""
    others = [leaf_of(path) for path in item.get("beside", ())]
    return told.get("protocol") == "TLSv1.3" and any(one and one["fingerprint"] == told["certificate"]["fingerprint"]
                                                     for one in others)


def reread(item):
    """Tell whether each service has a process that began after the file was written: what a reload leaves, that worked."""
    written = os.stat(item["certificate"]).st_ctime
    up = time.time() - time.clock_gettime(CLOCK_BOOTTIME)
    ticks = float(os.sysconf("SC_CLK_TCK"))
    processes = Host().processes().items
    for service in item["services"]:
        name = service.split(" ", 1)[0]
        # Postfix's master stays.
        programs = ("smtpd",) if name == "postfix" else SERVICES.get(name, ((),))[0]
        if not any(one.comm in programs and one.container is None and up + (one.start_ticks + 1) / ticks >= written
                   for one in processes):
            return False
    return bool(item["services"])


class Mender:
    """Does what the items say, one by one."""

    def __init__(self, module):
        self.module, self.given = module, module.params
        self.changes, self.failures, self.not_proved, self.done, self.tried = [], [], [], set(), set()

    def note(self, kind, name, action):
        """Remember a change once."""
        one = {"kind": kind, "name": name, "action": action}
        if one not in self.changes:
            self.changes.append(one)

    def limit_keys(self):
        """Take keys from those who need not read them."""
        for one in self.given.get("keys") or ():
            try:
                about = deploy_hook.read(one["key"])[1]
                if about is None:
                    raise Failure("it is not there")
                mode = int(one["want_mode"], 8)
                group = grp.getgrnam(one["want_group"]).gr_gid if one["want_group"] else about.st_gid
                if (stat.S_IMODE(about.st_mode), about.st_gid) == (mode, group):
                    continue
                if about.st_nlink > 1:
                    raise Failure("it has other names")
                self.note("file", one["key"], "mode %04o -> %04o%s" % (
                    stat.S_IMODE(about.st_mode), mode, ", group %s" % one["want_group"] if one["want_group"] else ""))
                if not self.module.check_mode:
                    deploy_hook.limit(one["key"], mode, group)
            except (Failure, OSError, KeyError, ValueError) as failure:
                self.failures.append({"certificate": one["key"], "reason": getattr(failure, "strerror", None) or str(failure)})

    def work(self):
        """Do everything; the hook learns of its services first, as certbot runs it."""
        self.limit_keys()
        order = ("hook", "renew", "issue", "private", "copy", "reload")
        for item in sorted(self.given["items"], key=lambda one: order.index(one["mend"])):
            # A renewal has reloaded already; and what failed is not tried twice.
            if item["mend"] != "hook" and item["certificate"] in self.done or (item["certificate"], item["mend"]) in self.tried:
                continue
            self.tried.add((item["certificate"], item["mend"]))
            try:
                self.one(item)
                if item["mend"] != "hook":
                    self.done.add(item["certificate"])
            except (Failure, x509.Malformed) as failure:
                self.failures.append({"certificate": item["certificate"], "reason": str(failure)})
            except OSError as error:
                self.failures.append({"certificate": item["certificate"],
                                      "reason": "%s: %s" % (error.filename or "the host", error.strerror)})

    def one(self, item):
        """Do one item, and note what changed."""
        services = [tuple(one.split(" ", 1)) for one in item["services"]]
        if item["mend"] == "hook":
            self.register(item, services, self.pairs(item))
            return
        for service, _unit in services:
            deploy_hook.test(service)
        if item["mend"] in ("issue", "private"):
            self.names(item)
        self.limit(item)
        self.port_80(item)
        if not self.module.check_mode:
            act = {"renew": self.renew, "issue": self.issue, "private": self.private, "reload": self.reload,
                   "copy": self.bring}[item["mend"]]
            act(item, services)
        if item["mend"] in WORDS:
            self.note("certificate", item["certificate"], WORDS[item["mend"]])
        if item["mend"] in ("issue", "copy"):
            self.register(item, services, self.pairs(item))
        for path in item.get("built", ()):
            self.note("file", path, "built anew by postmap -F")
        for service, unit in services:
            self.note("unit", unit, "restarted" if service in deploy_hook.RESTARTED else "reloaded")

    def names(self, item):
        """See that a certificate can be had for the names of an item; :class:`Failure` where not."""
        private = item["mend"] == "private"
        for refused in self.given["refused"] if private else ():
            if refused["certificate"] == item["certificate"]:
                raise Failure(refused["reason"])
        for name in item["names"]:
            if not HOST_NAME.match(name) and not (private and name_constraints.address_of(name)):
                raise Failure("%s is no name that a certificate can be had for" % name)
        if private and not item["names"]:
            raise Failure("no name is known that it is for")
        if not private or not self.given["authority"]:
            return
        late = name_constraints.out_of_date(self.given["authority"], time.time())
        if late:
            raise Failure("%s. Nothing was signed: see the clocks, or make a new authority" % late)
        refused = name_constraints.refusals_of(self.given["authority"], item["names"])
        if refused:
            raise Failure("%s. Nothing was signed: leave the name out of private_names, or make an authority that may"
                          % "; ".join(refused[:3]))

    # certbot

    def limit(self, item):
        """See that the ACME server has not said to wait: each try in vain may have it wait longer."""
        if item["mend"] not in ("renew", "issue") and not item.get("renew"):
            return
        try:
            written = os.stat("/etc/letsencrypt/live/%s/fullchain.pem" % item["lineage"]).st_mtime
        except OSError:
            written = 0
        log = certbot_log.read(certbot_log.PATH)
        if item["mend"] == "issue":
            why = certbot_log.refused(log, self.given["acme_directory"] or default_directory(), item["names"], written)
        else:
            why, when = certbot_log.failures(log).get(item["lineage"], ("", 0))
            why = why if when + 1 > written else ""
        if certbot_log.held_until(why) > time.time():
            raise Failure("%s. It was not tried again before then" % errors.reason("", why))

    def port_80(self, item):
        """See that certbot can listen where it would have to; a web server is not stopped for that."""
        stands = item["mend"] == "issue" and self.given["acme_challenge"] == "standalone"
        port = 80
        if item["mend"] == "renew" or item.get("renew"):
            try:
                params = renewal.parse_renewal((deploy_hook.read(
                    "/etc/letsencrypt/renewal/%s.conf" % item["lineage"])[0] or b"").decode("utf-8", "replace"))["params"]
            except ValueError:
                return
            port = renewal.standalone_port(Host(), params)
            stands = port is not None
        if stands and not port_is_free(port):
            raise Failure("certbot would listen on port %d itself (standalone), and another program has it: choose webroot, "
                          "nginx or apache for acme_challenge, or have certbot's pre and post hooks stop and start that "
                          "program" % port)

    def certbot(self, arguments, lineage):
        """Run certbot; :class:`Failure` with its reason."""
        program = next((one for one in renewal.CERTBOT_PROGRAMS if os.path.exists(one)), None)
        if program is None:
            raise Failure("certbot is not installed")
        environment = {"REQUESTS_CA_BUNDLE": self.given["acme_ca_bundle"]} if self.given["acme_ca_bundle"] else {}
        code, said = deploy_hook.run([program] + arguments + ["--non-interactive"], environment, CERTBOT_SECONDS)
        if code != 0:
            raise Failure(reason_of(said, lineage))

    def renew(self, item, services):
        """Renew what certbot owns."""
        after = self.renewed(item)
        if self.pairs(item) and leaf_of(item["certificate"]) != after:
            self.copy(item, services)
        else:
            self.take(item, services)

    def renewed(self, item):
        """Have certbot renew a lineage, and return its new certificate."""
        live = "/etc/letsencrypt/live/%s/fullchain.pem" % item["lineage"]
        before = leaf_of(live)
        # Whether it is due has been judged already; without a terminal certbot would sleep for minutes.
        self.certbot(["renew", "--cert-name", item["lineage"], "--force-renewal", "--no-random-sleep-on-renew"], item["lineage"])
        after = leaf_of(live)
        if after is None or before and before["fingerprint"] == after["fingerprint"]:
            raise Failure("certbot says that it has renewed %s, but its certificate is the one it was" % item["lineage"])
        return after

    def bring(self, item, services):
        """Bring what certbot has to where the service reads it, renewed before where that is due."""
        if item.get("renew"):
            self.renewed(item)
        self.copy(item, services)

    def issue(self, item, services):
        """Have certbot obtain a certificate for names that the policy allows."""
        given, lineage = self.given, item["lineage"]
        arguments = ["certonly", "--cert-name", lineage, "--renew-with-new-domains", "--force-renewal"]
        for name in item["names"]:
            arguments += ["-d", name]
        arguments += ["--server", given["acme_directory"]] if given["acme_directory"] else []
        arguments += ["--agree-tos"] if given["acme_agree"] else []
        arguments += ["--email", given["acme_email"]] if given["acme_email"] else ["--register-unsafely-without-email"]
        arguments += ["--" + given["acme_challenge"]]
        arguments += ["--webroot-path", given["acme_webroot"]] if given["acme_challenge"] == "webroot" else []
        self.certbot(arguments, lineage)
        if self.pairs(item):
            self.copy(item, services)
        else:
            self.take(item, services)

    def copy(self, item, services):
        """Put what certbot has obtained where the service reads it."""
        folder = "/etc/letsencrypt/live/%s" % item["lineage"]
        self.put(item, services, deploy_hook.read(folder + "/fullchain.pem")[0],
                 deploy_hook.read(folder + "/privkey.pem")[0])

    def pairs(self, item):
        """Return where a lineage is to be copied to; nowhere where the service reads it from certbot's own folder."""
        if os.path.realpath(item["certificate"]).startswith("/etc/letsencrypt/"):
            return ()
        return ({"certificate": item["certificate"], "key": item["key"] or item["certificate"]},)

    def register(self, item, services, pairs):
        """Note for the deploy hook which services and files go with a lineage."""
        try:
            kept = json.loads((deploy_hook.read(deploy_hook.REGISTRY)[0] or b"{}").decode("utf-8"))
            lineages = dict(kept["lineages"]) if isinstance(kept.get("lineages"), dict) else {}
        except (ValueError, AttributeError):
            lineages = {}
        about = lineages.get(item["lineage"], {})
        made = {"services": list(about.get("services", [])), "pairs": list(about.get("pairs", []))}
        for service, unit in services:
            if {"service": service, "unit": unit} not in made["services"]:
                made["services"].append({"service": service, "unit": unit})
        made["pairs"] += [one for one in pairs if one not in made["pairs"]]
        if made == about:
            return
        self.note("file", deploy_hook.REGISTRY, "written")
        if not self.module.check_mode:
            os.makedirs(os.path.dirname(deploy_hook.REGISTRY), 0o755, exist_ok=True)
            text = json.dumps({"lineages": dict(lineages, **{item["lineage"]: made})}, indent=2, sort_keys=True) + "\n"
            deploy_hook.write(deploy_hook.REGISTRY, text.encode("utf-8"), 0o644)

    # The private authority

    def request(self):
        """Return a request for each certificate of the private authority; its key stays here, for root alone."""
        made = []
        for item in self.given["items"]:
            if item["mend"] != "private":
                continue
            try:
                self.names(item)
            except Failure as failure:
                self.failures.append({"certificate": item["certificate"], "reason": str(failure)})
                continue
            os.makedirs(STAGING, 0o700, exist_ok=True)
            key, old = staged(item["certificate"], "key"), leaf_of(item["certificate"])
            kind = ["RSA", "-pkeyopt", "rsa_keygen_bits:3072"] if old and old["key_type"] == "rsa" else \
                ["EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-pkeyopt", "ec_param_enc:named_curve"]
            deploy_hook.write(key, b"")
            # An address as the common name would be held against the domains that an authority is limited to.
            common = next((name for name in item["names"] if not name_constraints.address_of(name)), "a server")
            for argv in (["openssl", "genpkey", "-algorithm"] + kind + ["-out", key],
                         ["openssl", "req", "-new", "-key", key, "-subj", "/CN=%s" % common[:64], "-addext",
                          "subjectAltName=%s" % ",".join(("IP:" if name_constraints.address_of(name) else "DNS:") + name
                                                         for name in item["names"])]):
                code, said = deploy_hook.run(argv)
                if code != 0:
                    raise Failure("openssl: %s" % said[-300:])
            os.chmod(key, 0o600)
            made.append({"certificate": item["certificate"], "csr": said[said.index("-----BEGIN"):] + "\n"})
        return made

    def private(self, item, services):
        """Put what the private authority has issued in place."""
        chain = next((one["chain"] for one in self.given["signed"] if one["certificate"] == item["certificate"]), "")
        if not chain:
            raise Failure("the private authority has issued nothing for it")
        made, faults = x509.bundle(chain)
        if faults or not made:
            raise Failure("what the private authority has issued cannot be read: %s" % "; ".join(faults or ["nothing"]))
        missing = [name for name in item["names"] if not x509.covers(made[0], name)]
        if missing:
            raise Failure("what the private authority has issued is not for %s" % ", ".join(missing))
        blocks = x509.blocks(chain)[0]
        # The root is what clients have already.
        kept = [block for block, one in zip(blocks, made) if not one["self_issued"]] or blocks[:1]
        place, key = staged(item["certificate"], "pem"), staged(item["certificate"], "key")
        try:
            deploy_hook.write(place, "".join(block + "\n" for block in kept).encode("ascii"))
            try:
                ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(place, key)
            except (ssl.SSLError, OSError) as error:
                raise Failure("what the private authority has issued does not go with its key: %s"
                              % (getattr(error, "reason", "") or error.strerror))
            self.put(item, services, deploy_hook.read(place)[0], deploy_hook.read(key)[0])
        finally:
            for path in (place, key):
                if os.path.exists(path):
                    os.unlink(path)

    # In place

    def put(self, item, services, chain, key):
        """Put a pair in place and see it served; the old one comes back where that does not come about."""
        pair = deploy_hook.Pair(item["certificate"], item["key"])
        deploy_hook.deploy(services, pair, chain, key)
        try:
            self.prove(item)
        except Failure:
            pair.put_back()
            deploy_hook.deploy(services)
            raise

    def take(self, item, services):
        """Have services take what is on the disk, unless a hook has seen to that already."""
        try:
            self.prove(item, 1, reloaded=False)
        except Failure:
            deploy_hook.deploy(services)
            self.prove(item)

    def reload(self, item, services):
        """Have services take what is on the disk."""
        deploy_hook.deploy(services)
        self.prove(item)

    def prove(self, item, seconds=None, reloaded=True):
        """See by a handshake that each listener serves what the file holds."""
        if seconds is None:
            seconds = max([SERVED_SECONDS] + [SLOW_SECONDS.get(one.split(" ", 1)[0], 0) for one in item["services"]])
        leaf = leaf_of(item["certificate"])
        if leaf is None:
            raise Failure("%s holds no certificate that can be read" % item["certificate"])
        # Without a name another certificate may rightly come.
        probes = [one for one in item["probes"] if one[3]] or item["probes"]
        until = time.monotonic() + seconds
        for address, port, kind, name in probes:
            while True:
                told = probe.served(address, int(port), kind, name)
                if told.get("certificate", {}).get("fingerprint") == leaf["fingerprint"]:
                    break
                if leaf["key_type"] in probe.CIPHERS and told.get("certificate", {}).get("key_type") != leaf["key_type"]:
                    # A server that has one of each kind of key shows the other to who takes both.
                    same = probe.served(address, int(port), kind, name, key_type=leaf["key_type"])
                    if same.get("certificate", {}).get("fingerprint") == leaf["fingerprint"]:
                        break
                    if reloaded and "failure" in same and shows_other(item, told) and reread(item):
                        self.doubt(item, "%s port %s%s was not seen to serve the new serial %s: in TLS 1.3 it shows a "
                                   "certificate of another kind of key, and below that: %s. Its configuration passes its "
                                   "test, and it was loaded after the file was written" % (
                                       address, port, " for " + name if name else "", leaf["serial"], same["failure"]))
                        break
                if time.monotonic() > until:
                    raise Failure("%s port %s%s serves %s, not the new serial %s" % (
                        address, port, " for " + name if name else "",
                        told["certificate"]["serial"] if "certificate" in told else told["failure"], leaf["serial"]))
                time.sleep(0.2)

    def doubt(self, item, reason):
        """Remember once what was not proved."""
        one = {"certificate": item["certificate"], "reason": reason}
        if one not in self.not_proved:
            self.not_proved.append(one)


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["requested", "present"], "default": "present"},
            "items": {"type": "list", "elements": "dict", "default": [], "options": ITEM},
            "keys": {"type": "list", "elements": "dict", "default": [], "no_log": False, "options": {
                "key": {"type": "path", "required": True, "no_log": False}, "want_mode": {"type": "str", "required": True},
                "want_group": {"type": "str", "default": ""}}},
            "signed": {"type": "list", "elements": "dict", "default": [], "options": {
                "certificate": {"type": "path", "required": True}, "chain": {"type": "str", "required": True}}},
            "refused": {"type": "list", "elements": "dict", "default": [], "options": {
                "certificate": {"type": "path", "required": True}, "reason": {"type": "str", "required": True}}},
            "authority": {"type": "str", "default": ""},
            "acme_directory": {"type": "str", "default": ""},
            "acme_ca_bundle": {"type": "str", "default": ""},
            "acme_email": {"type": "str", "default": ""},
            "acme_agree": {"type": "bool", "default": False},
            "acme_challenge": {"type": "str", "choices": ["webroot", "standalone", "nginx", "apache"], "default": "webroot"},
            "acme_webroot": {"type": "path", "default": "/var/www/html"},
        },
        supports_check_mode=True,
    )
    mender = Mender(module)
    if module.params["state"] == "requested":
        try:
            requests = [] if module.check_mode else mender.request()
        except (Failure, OSError, ValueError) as failure:
            module.fail_json(msg=str(failure), changes=[], failures=[], requests=[])
        module.exit_json(changed=False, changes=[], failures=mender.failures, requests=requests)
    mender.work()
    for one in mender.failures:
        module.warn("%(certificate)s: %(reason)s" % one)
    for one in mender.not_proved:
        module.warn("%(certificate)s: %(reason)s" % one)
    shown = "".join("%(name)s: %(action)s\n" % one for one in mender.changes)
    module.exit_json(changed=bool(mender.changes), changes=mender.changes, failures=mender.failures,
                     not_proved=mender.not_proved, diff={"before": "", "after": shown})


if __name__ == "__main__":
    main()
