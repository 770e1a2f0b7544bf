# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Services that take passwords from the network: how to know them, where they log, and which jail watches them."""

from typing import NamedTuple, Tuple

AUTH_FILES = ("/var/log/auth.log", "/var/log/secure")
MAIL_FILES = ("/var/log/mail.log", "/var/log/maillog")
# Where its unit has it write to its standard error (Debian 12 and later), it puts process and time into the line, and
# the filter that comes with fail2ban takes none of these.
DROPBEAR = r"^(?:\S+ )?dropbear\[\d+\]: (?:\[\d+\] [A-Z][a-z]{2} +\d+ [\d:]{8} )?"
DROPBEAR_TO_JOURNAL = "host {0}[314]: [314] Nov 25 15:42:06 Bad password attempt for 'root' from 192.0.2.1:38746"
# From 2.4 on it says "Login aborted", which the filter of fail2ban 1.1 does not take. The end keeps a user's name from
# being taken for an address.
DOVECOT = (r"^Login aborted: [^<]*\(auth failed, \d+ attempts[^)]*\)[^<]*: user=<[^>]*>,(?: method=\S+,)? rip=<HOST>, "
           r"lip=[^<>]*(?:, session=<\S*>)?\s*$")


class Service(NamedTuple):
    """One service.

    ``lines`` are failed logins as fail2ban sees them (with host and program, without the date); ``{0}`` is the name
    that the program logs under, and those without one are of a log that it writes itself. A jail whose filter takes
    none of them is blind.
    """

    name: str
    programs: Tuple[str, ...]  # names of the processes that listen
    units: Tuple[str, ...]  # of systemd, services first
    ports: Tuple[int, ...]  # where nothing can be asked
    jail: str
    marks: Tuple[str, ...]  # words in the filter of a jail that watches it
    filter: str = ""  # where it is not the jail's name
    pam: str = ""  # its stack in /etc/pam.d
    identifiers: Tuple[str, ...] = ()
    files: Tuple[str, ...] = ()  # logs that a syslog daemon writes for it
    own_files: Tuple[str, ...] = ()  # logs that it writes itself
    lines: Tuple[str, ...] = ()
    failregex: Tuple[str, ...] = ()  # where fail2ban comes without a filter
    added: Tuple[str, ...] = ()  # for what a newer version writes, beside the filter
    level: int = 6  # of syslog, that it says a failed login with


SERVICES = (
    Service("ssh", ("sshd",), ("ssh.service", "sshd.service", "ssh.socket", "sshd.socket"), (22,), "sshd", ("sshd",),
            pam="sshd", identifiers=("sshd",), files=AUTH_FILES,
            lines=("host {0}[314]: Failed password for root from 192.0.2.1 port 38746 ssh2",
                   "host {0}[314]: Failed password for invalid user nouser from 192.0.2.1 port 38746 ssh2")),
    Service("dropbear", ("dropbear",), ("dropbear.service", "dropbear.socket"), (22,), "dropbear", ("dropbear",),
            identifiers=("dropbear",), files=AUTH_FILES,
            lines=("host {0}[314]: Bad password attempt for 'root' from 192.0.2.1:38746", DROPBEAR_TO_JOURNAL),
            failregex=(DROPBEAR + r"[Bb]ad (?:PAM )?password attempt for .+ from <HOST>:\d+\s*$",
                       DROPBEAR + r"[Ll]ogin attempt for nonexistent user (?:'.*' )?from <HOST>:\d+\s*$")),
    Service("vsftpd", ("vsftpd",), ("vsftpd.service", "vsftpd.socket"), (21,), "vsftpd", ("vsftpd", "FAIL LOGIN"),
            pam="vsftpd", identifiers=("vsftpd",), files=AUTH_FILES, own_files=("/var/log/vsftpd.log",),
            lines=(' [pid 351] [victim] FAIL LOGIN: Client "::ffff:192.0.2.1"',
                   "host {0}[351]: pam_unix(vsftpd:auth): authentication failure; logname= uid=0 euid=0 tty=ftp "
                   "ruser=victim rhost=::ffff:192.0.2.1  user=victim")),
    Service("proftpd", ("proftpd",), ("proftpd.service",), (21,), "proftpd", ("proftpd",), pam="proftpd",
            identifiers=("proftpd",), files=AUTH_FILES, own_files=("/var/log/proftpd/proftpd.log",),
            lines=(" host proftpd[351] host (192.0.2.1[192.0.2.1]): USER victim (Login failed): Incorrect password",)),
    Service("pure-ftpd", ("pure-ftpd", "pure-ftpd-wrapper"), ("pure-ftpd.service",), (21,), "pure-ftpd", ("pure-ftpd",),
            pam="pure-ftpd", identifiers=("pure-ftpd",), files=("/var/log/syslog", "/var/log/messages"),
            lines=("host {0}[224]: (?@192.0.2.1) [WARNING] Authentication failed for user [victim]",)),
    Service("xrdp", ("xrdp",), ("xrdp.service",), (3389,), "xrdp", ("AUTHFAIL",), pam="xrdp-sesman",
            own_files=("/var/log/xrdp-sesman.log",), failregex=(r"^.*AUTHFAIL: user=\S* ip=<HOST>(?: time=\d+)?\s*$",)),
    Service("postfix", ("master",), ("postfix@-.service", "postfix.service"), (25, 465, 587), "postfix-sasl", ("postfix",),
            filter="postfix[mode=auth]", identifiers=("postfix/smtpd", "postfix/submission/smtpd"), files=MAIL_FILES,
            level=4,
            lines=("host {0}[331]: warning: unknown[192.0.2.1]: SASL LOGIN authentication failed: (reason unavailable), "
                   "sasl_username=victim",)),
    Service("dovecot", ("dovecot", "imap-login", "pop3-login"), ("dovecot.service", "dovecot.socket"), (143, 993, 110, 995),
            "dovecot", ("dovecot",), pam="dovecot", identifiers=("dovecot",), files=MAIL_FILES, added=(DOVECOT,),
            # Before 2.4, from then on, and of PAM, which both have write beside their own.
            lines=("host {0}[493]: pop3-login: Disconnected: Connection closed (auth failed, 1 attempts in 5 secs): "
                   "user=<victim>, method=PLAIN, rip=192.0.2.1, lip=192.0.2.2, TLS: Connection closed, session=<JOJQSh5hzsUK>",
                   "host {0}[261]: pop3-login: Login aborted: Connection closed (auth failed, 1 attempts in 4 secs) "
                   "(auth_failed): user=<victim>, method=PLAIN, rip=192.0.2.1, lip=192.0.2.2, TLS: Connection closed, "
                   "session=<xNgOSx5h1t0K>",
                   "host auth[651]: pam_unix(dovecot:auth): authentication failure; logname= uid=0 euid=0 tty=dovecot "
                   "ruser=victim rhost=192.0.2.1  user=victim")),
    Service("mysql", ("mariadbd", "mysqld"), ("mariadb.service", "mysql.service", "mysqld.service"), (3306,), "mysqld-auth",
            ("mysqld", "mariadbd", "Access denied for user"),
            filter='mysqld-auth[_daemon="(?:mysqld|mariadbd|mysqld_safe)"]', identifiers=("mariadbd",),
            lines=("host {0}[211]: 2026-11-25 10:33:58 6 [Warning] Access denied for user 'root'@'192.0.2.1' "
                   "(using password: YES)",)),
    Service("nginx", ("nginx",), ("nginx.service",), (80, 443), "nginx-http-auth",
            ("was not found in",), own_files=("/var/log/nginx/error.log",),
            lines=(' [error] 24#24: *1 user "victim": password mismatch, client: 192.0.2.1, server: , '
                   'request: "GET / HTTP/1.1", host: "192.0.2.2"',)),
    Service("apache", ("apache2", "httpd"), ("apache2.service", "httpd.service"), (80, 443), "apache-auth",
            ("password mismatch", "in realm `"), own_files=("/var/log/apache2/error.log", "/var/log/httpd/error_log"),
            lines=('[] [auth_basic:error] [pid 25:tid 26] [client 192.0.2.1:37546] AH01617: user victim: authentication '
                   'failure for "/": Password Mismatch',)),
)
BY_NAME = dict((one.name, one) for one in SERVICES)  # type: Dict[str, Service]
BY_PROGRAM = dict((name, one) for one in SERVICES for name in one.programs)  # type: Dict[str, Service]
BY_UNIT = dict((unit, one) for one in SERVICES for unit in one.units)  # type: Dict[str, Service]
