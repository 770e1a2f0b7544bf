# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Services that take passwords from the network: how to know them, where they log, and which jail watches them."""

from __future__ import annotations

from dataclasses import dataclass

AUTH_FILES = ("/var/log/auth.log", "/var/log/secure")
MAIL_FILES = ("/var/log/mail.log", "/var/log/maillog")


@dataclass(frozen=True)
class Service:
    """One service.

    ``lines`` are failed logins as fail2ban sees them (with host and program, without the date); ``{0}`` is the name
    that the program logs under. A jail whose filter takes none of them is blind.
    """

    name: str
    programs: tuple  # names of the processes that listen
    units: tuple  # of systemd, services first
    ports: tuple  # where nothing can be asked
    jail: str
    marks: tuple  # words in the filter of a jail that watches it
    filter: str = ""  # where it is not the jail's name
    pam: str = ""  # its stack in /etc/pam.d
    identifiers: tuple = ()
    files: tuple = ()  # logs that a syslog daemon writes for it
    own_files: tuple = ()  # logs that it writes itself
    lines: tuple = ()
    failregex: tuple = ()  # where fail2ban comes without a filter


SERVICES = (
    Service("ssh", ("sshd",), ("ssh.service", "sshd.service", "ssh.socket", "sshd.socket"), (22,), "sshd", ("sshd",),
            pam="sshd", identifiers=("sshd",), files=AUTH_FILES,
            lines=("host {0}[314]: Failed password for root from 192.0.2.1 port 38746 ssh2",
                   "host {0}[314]: Failed password for invalid user nouser from 192.0.2.1 port 38746 ssh2")),
    Service("dropbear", ("dropbear",), ("dropbear.service", "dropbear.socket"), (22,), "dropbear", ("dropbear",),
            identifiers=("dropbear",), files=AUTH_FILES,
            lines=("host {0}[314]: Bad password attempt for 'root' from 192.0.2.1:38746",)),
    Service("vsftpd", ("vsftpd",), ("vsftpd.service", "vsftpd.socket"), (21,), "vsftpd", ("vsftpd", "FAIL LOGIN"),
            pam="vsftpd", identifiers=("vsftpd",), files=AUTH_FILES, own_files=("/var/log/vsftpd.log",),
            lines=(' [pid 351] [victim] FAIL LOGIN: Client "::ffff:192.0.2.1"',
                   "host {0}[351]: pam_unix(vsftpd:auth): authentication failure; logname= uid=0 euid=0 tty=ftp "
                   "ruser=victim rhost=::ffff:192.0.2.1  user=victim")),
    Service("proftpd", ("proftpd",), ("proftpd.service",), (21,), "proftpd", ("proftpd",), pam="proftpd",
            identifiers=("proftpd",), files=AUTH_FILES, own_files=("/var/log/proftpd/proftpd.log",)),
    Service("pure-ftpd", ("pure-ftpd", "pure-ftpd-wrapper"), ("pure-ftpd.service",), (21,), "pure-ftpd", ("pure-ftpd",),
            pam="pure-ftpd", identifiers=("pure-ftpd",), files=("/var/log/syslog", "/var/log/messages")),
    Service("xrdp", ("xrdp",), ("xrdp.service",), (3389,), "xrdp", ("AUTHFAIL",), pam="xrdp-sesman",
            own_files=("/var/log/xrdp-sesman.log",), failregex=(r"^.*AUTHFAIL: user=\S* ip=<HOST>(?: time=\d+)?\s*$",)),
    Service("postfix", ("master",), ("postfix@-.service", "postfix.service"), (25, 465, 587), "postfix-sasl", ("postfix",),
            filter="postfix[mode=auth]", identifiers=("postfix/smtpd", "postfix/submission/smtpd"), files=MAIL_FILES),
    Service("dovecot", ("dovecot", "imap-login"), ("dovecot.service", "dovecot.socket"), (143, 993, 110, 995), "dovecot",
            ("dovecot",), pam="dovecot", identifiers=("dovecot",), files=MAIL_FILES),
    Service("mysql", ("mariadbd", "mysqld"), ("mariadb.service", "mysql.service", "mysqld.service"), (3306,), "mysqld-auth",
            ("mysqld", "mariadbd", "Access denied for user"),
            filter='mysqld-auth[_daemon="(?:mysqld|mariadbd|mysqld_safe)"]', identifiers=("mariadbd",),
            lines=("host {0}[211]: 2026-11-25 10:33:58 6 [Warning] Access denied for user 'root'@'192.0.2.1' "
                   "(using password: YES)",)),
    Service("nginx", ("nginx",), ("nginx.service",), (80, 443), "nginx-http-auth",
            ("user .*was not found in", "no user/password"), own_files=("/var/log/nginx/error.log",)),
    Service("apache", ("apache2", "httpd"), ("apache2.service", "httpd.service"), (80, 443), "apache-auth",
            ("auth_basic", "auth_digest"), own_files=("/var/log/apache2/error.log", "/var/log/httpd/error_log")),
)
BY_NAME = {one.name: one for one in SERVICES}
BY_PROGRAM = {program: one for one in SERVICES for program in one.programs}
BY_UNIT = {unit: one for one in SERVICES for unit in one.units}
