# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why certbot failed, out of what it printed, and what a person can do about it."""

import re

# Whatever fits first.
ADVICE = (
    (r"ame or service not known|name resolution|No address associated",
     "this host cannot resolve its name: check the name in acme_directory, and the host's DNS and network"),
    (r"CERTIFICATE_VERIFY_FAILED",
     "name the file of the authority that the ACME server's certificate is from in acme_ca_bundle"),
    (r"TLS CA certificate bundle", "the file that acme_ca_bundle names is not there"),
    (r"No route to host|Network is unreachable|Host is unreachable",
     "this host has no network to it: mend that, or use the private authority"),
    (r"Response \[(?:404|405|410)\]|Unexpected response Content-Type|Expecting value|newNonce",
     "acme_directory is not the directory of an ACME server: check its URL"),
    (r"ccount \S+ not found|ccountDoesNotExist|account that does not exist",
     "the ACME server does not know the account any more: remove the one that certbot keeps (certbot unregister, or its folder "
     "below /etc/letsencrypt/accounts)"),
    (r"agree in order to register|--agree-tos", "set acme_agree to true once you agree to the terms of the ACME server"),
    (r"rateLimited|too many (?:certificates|requests|failed|new)",
     "the ACME server limits how often: wait as long as it says, and try against its staging directory meanwhile"),
    (r"rejectedIdentifier|ill not issue|olicy forbids", "the ACME server does not issue for this name"),
    (r"badNonce|invalid anti-replay nonce", "the ACME server refuses its own nonces: try again, and look at the server"),
    (r"bind (?:TCP port|to port)|Problem binding", "acme_challenge standalone needs port 80 free: stop what has it, or choose "
     "webroot, nginx or apache"),
    (r"is not a directory", "name the folder that is served on port 80 in acme_webroot"),
    (r"plugin is not (?:working|installed)|Could not choose appropriate plugin|plugin does not appear",
     "the plugin that acme_challenge names is not installed, or its web server is not"),
    (r"challenges? have failed|Challenge failed|Type: +(?:connection|unauthorized|dns)",
     "the name must lead to this host, with port 80 reachable for the ACME server and acme_challenge answered there"),
    (r"Requesting \S+: Connection refused|Connection refused|timed? ?out|Remote end closed|Max retries|Connection reset",
     "the ACME server does not answer: see that it runs, and that this host may reach it"),
)
NOISE = re.compile(
    r"^(?:Saving debug log|Plugins selected|Ask for help|Please see the logfiles|An unexpected error occurred"
    r"|Requesting a certificate|Renewing an existing|Processing |Hint:|Performing the|http-01 challenge|Using the webroot"
    r"|Waiting for|Cleaning up|\(You can set|All renewals failed|The following|Attempting to|IMPORTANT NOTES|Domain:|Type:|[- ]*$"
    r"|\d+ renew failure|Certbot failed to authenticate|/etc/letsencrypt/live|Challenge failed for|Traceback|File )")


def told(said):
    """Return what counts in what certbot printed, in one line."""
    flat = re.sub(r"\s+", " ", said)
    renewed = re.search(r"Failed to renew certificate \S+ with error: ([^\n]+)", said)
    detail = re.search(r"Detail: (.+?)(?= Hint: | To fix these| Some challenges| Domain: |$)", flat)
    if detail:
        domain = re.search(r"Domain: (\S+)", flat)
        return "%s: %s" % (domain.group(1) if domain else "a challenge failed", detail.group(1).strip()[:300])
    if renewed:
        return renewed.group(1).strip()
    lines = [" ".join(line.split()) for line in said.splitlines() if not NOISE.match(line.strip())]
    return "; ".join(dict.fromkeys(line for line in lines if line))


def advised(why, said=""):
    """Return why something failed, and what is to be done about it where that is known."""
    # Addresses of objects in memory and the like tell a person nothing.
    text = re.sub(r"<(?:urllib3|requests)\S{1,200} object at 0x[0-9a-f]+>:? ?", "", why).rstrip(". ")[:400]
    advice = next((advice for pattern, advice in ADVICE if re.search(pattern, "%s\n%s" % (said, why), re.M)), "")
    return "%s; %s" % (text, advice) if advice else text


def reason(said, logged=""):
    """Return one sentence: what certbot said, or logged, and what is to be done."""
    return "certbot: %s" % advised(logged or told(said) or "it gave no reason", said)
