# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What each host has of its own, and hosts of one image must not share: where it lies, and what makes it anew."""

import re

HOMES = ("/root", "/home/*", "/var/lib/postgresql", "/var/lib/mysql")
# Homes in /etc/passwd that are the system's own folders.
NO_HOMES = re.compile(r"/?\Z|/(bin|sbin|dev|proc|run|sys|usr|etc|boot|nonexistent)(/|\Z)")
UNIT = "/etc/systemd/system/hostmend-first-boot.service"
WANTS = "/etc/systemd/system/sysinit.target.wants/hostmend-first-boot.service"
SNAKEOIL = "/etc/ssl/private/ssl-cert-snakeoil.key"

# What goes from every home.
HISTORIES = (".*_history", ".zhistory", ".histfile", ".lesshst", ".viminfo", ".wget-hsts", ".sudo_as_admin_successful",
             ".ansible", ".cache", ".local/share/recently-used.xbel", ".local/share/fish/fish_history", ".local/state/lesshst")
CREDENTIALS = (".ssh/id_*", ".ssh/known_hosts*", ".netrc", ".git-credentials", ".aws/credentials", ".docker/config.json",
               ".kube/config", ".vault-token", ".config/gcloud/*credentials*", ".azure/*oken*", ".pgpass", ".my.cnf",
               ".gnupg/private-keys-v1.d/*")
# What goes, as globs of files; a folder goes with all that is in it.
PATTERNS = {
    "host_keys": ("/etc/ssh/ssh_host_*_key", "/etc/ssh/ssh_host_*_key.pub", "/etc/dropbear/dropbear_*_host_key"),
    "random_seed": ("/var/lib/systemd/random-seed", "/var/lib/random-seed", "/var/lib/urandom/random-seed",
                    "/boot/loader/random-seed", "/boot/efi/loader/random-seed", "/var/lib/systemd/credential.secret"),
    "package_cache": ("/var/cache/apt/archives/*.deb", "/var/cache/apt/archives/partial/*", "/var/cache/apt/*.bin",
                      "/var/cache/dnf/*", "/var/cache/yum/*", "/var/cache/libdnf5/*", "/var/cache/debconf/*-old",
                      "/var/lib/dpkg/*-old", "/var/cache/ldconfig/aux-cache"),
    "package_lists": ("/var/lib/apt/lists/*_*", "/var/lib/apt/lists/partial/*", "/var/lib/apt/lists/auxfiles/*"),
    "temporary": ("/tmp/*", "/tmp/.[!.]*", "/var/tmp/*", "/var/tmp/.[!.]*", "/var/crash/*",
                  "/var/lib/systemd/coredump/*"),
    # Erlang makes the cookie anew where there is none: who has it commands the broker.
    "secrets": ("/etc/shadow-", "/etc/gshadow-", "/var/backups/*shadow*", "/etc/hostmend/secrets/*",
                "/var/lib/rabbitmq/.erlang.cookie", SNAKEOIL, "/etc/ssl/certs/ssl-cert-snakeoil.pem"),
    "acme_accounts": ("/etc/letsencrypt/accounts/*", "/root/.acme.sh/ca/*", "/var/lib/dehydrated/accounts/*"),
    "cloud_init": ("/var/lib/cloud/instance", "/var/lib/cloud/instances/*", "/var/lib/cloud/data/*",
                   "/var/lib/cloud/sem/*", "/run/cloud-init/*"),
    "identity": ("/var/lib/dhcp/*.leases", "/var/lib/dhclient/*.lease*", "/var/lib/NetworkManager/secret_key",
                 "/var/lib/NetworkManager/*lease*", "/etc/udev/rules.d/70-persistent-net.rules",
                 "/var/lib/systemd/timers/*", "/var/lib/logrotate/status", "/var/mail/*", "/var/spool/mail/*",
                 "/etc/hostmend/agent.key", "/etc/krb5.keytab", "/var/lib/samba/private/secrets.tdb",
                 "/etc/salt/pki/minion/minion.p*", "/var/lib/puppet/ssl", "/etc/puppetlabs/puppet/ssl",
                 "/var/lib/tailscale/*"),
    "journal": ("/var/lib/hostmend/*",),
}
NAMES = ("host_keys", "machine_id", "random_seed", "logs", "histories", "package_cache", "package_lists", "temporary",
         "authorized_keys", "secrets", "acme_accounts", "cloud_init", "identity", "journal")
# What packages make when they are installed, and all hosts of an image would share: what it is, the files that go, the
# program that makes them, and how it is called at the first boot. None goes where that program is not there.
MAKERS = (
    ("host_keys", ("/etc/ssh/ssh_host_ed25519_key",), "/usr/sbin/sshd", "/usr/bin/ssh-keygen -A"),
    ("host_keys", ("/etc/dropbear/dropbear_ed25519_host_key",), "/usr/sbin/dropbear",
     "for kind in rsa ecdsa ed25519; do dropbearkey -t $$kind -f /etc/dropbear/dropbear_$${kind}_host_key; done"),
    ("secrets", (SNAKEOIL,), "/usr/sbin/make-ssl-cert", "/usr/sbin/make-ssl-cert generate-default-snakeoil"),
    ("secrets", ("/etc/bind/rndc.key",), "/usr/sbin/rndc-confgen", "/usr/sbin/rndc-confgen -a -u bind"),
    ("secrets", ("/etc/nsd/nsd_control.key", "/etc/nsd/nsd_control.pem", "/etc/nsd/nsd_server.key",
                 "/etc/nsd/nsd_server.pem"), "/usr/sbin/nsd-control-setup", "/usr/sbin/nsd-control-setup"),
    ("secrets", ("/etc/xrdp/rsakeys.ini",), "/usr/bin/xrdp-keygen",
     "umask 077; /usr/bin/xrdp-keygen xrdp auto && chown xrdp /etc/xrdp/rsakeys.ini"),
    ("identity", ("/etc/nvme/hostnqn", "/etc/nvme/hostid"), "/usr/sbin/nvme",
     "/usr/sbin/nvme gen-hostnqn >/etc/nvme/hostnqn; cat /proc/sys/kernel/random/uuid >/etc/nvme/hostid"),
)
ISCSI = "/etc/iscsi/initiatorname.iscsi"
ISCSI_OWN = "GenerateName=yes\n"
# Passwords that packages were given when they were installed; debconf wants the file.
EMPTIED = (("secrets", "/var/cache/debconf/passwords.dat"),)
# Logs that only the builder has written to go; others stay, empty, with the owner and mode that their daemon gave them.
BUILDERS_LOGS = ("/var/log/apt/*", "/var/log/dpkg.log*", "/var/log/alternatives.log*", "/var/log/bootstrap.log*",
                 "/var/log/installer/*", "/var/log/anaconda/*", "/var/log/dnf*.log*", "/var/log/cloud-init*.log",
                 "/var/log/journal/*/*")
ROTATED = re.compile(r"\.(gz|xz|bz2|zst|old|[0-9]+)\Z|[-.](19|20)[0-9]{6}")
FIRST_BOOT = """# Written by hostmend.
[Unit]
Description=Make the keys that hosts of one image must not share
DefaultDependencies=no
After=local-fs.target systemd-remount-fs.service systemd-tmpfiles-setup.service
Before=sysinit.target ssh.service sshd.service ssh.socket sshd.socket shutdown.target
Conflicts=shutdown.target
%(conditions)s
[Service]
Type=oneshot
RemainAfterExit=yes
%(commands)s
[Install]
WantedBy=sysinit.target
"""
