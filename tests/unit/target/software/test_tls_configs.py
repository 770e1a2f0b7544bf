"""Which certificates configurations name, read from their text, and what renewals say of themselves."""

from __future__ import annotations

import time

import pytest
from ansible_collections.hostmend.hardening.plugins.module_utils.software import (
    apache,
    config_files,
    dovecot,
    haproxy,
    mysql,
    nginx,
    postfix,
    postgresql,
    tomcat,
)
from ansible_collections.hostmend.hardening.plugins.module_utils.software.certbot import log, renewal
from hypothesis import given, settings
from hypothesis import strategies as st


def mysql_uses(text: str, file: str) -> list[dict]:
    return mysql.certificates(mysql.from_arguments(text), file)


def files(tree: dict[str, str]) -> config_files.Files:
    def listing(folder: str) -> list[str]:
        prefix = folder.rstrip("/") + "/"
        return sorted({name[len(prefix) :].split("/")[0] for name in tree if name.startswith(prefix)})

    return config_files.Files(tree.get, listing)


def short(uses: list[dict]) -> list[tuple]:
    return [(one["certificate"], one["key"], one["names"], one["ports"]) for one in uses]


def test_nginx_inherits_includes_and_leaves_plain_servers_out() -> None:
    tree = {
        "/etc/nginx/nginx.conf": """
            http { # ssl_certificate /no;
              ssl_certificate certs/all.pem; ssl_certificate_key certs/all.key;
              include sites-enabled/*; include /none/*.conf;
              server { listen 80; server_name plain.example.org; }
              map $a $b { "x{y" 1; }
            }
            stream { server { listen 853 ssl; ssl_certificate /s.pem; ssl_certificate_key /s.key; } }""",
        "/etc/nginx/sites-enabled/one": """
            server { listen 443 ssl; listen [::]:443 ssl http2; server_name One.example.org "two.example.org";
              location / { if ($x) { return 301 "a;b"; } } ssl_certificate /one.pem; ssl_certificate_key /one.key;
              ssl_certificate /rsa.pem; ssl_certificate_key /rsa.key; }
            server { listen 8443 ssl; server_name inherits.example.org; }
            server { listen unix:/run/x ssl; }""",
    }
    opened = files(tree)
    assert sorted(short(nginx.certificates(opened, "/etc/nginx/nginx.conf"))) == [
        ("/etc/nginx/certs/all.pem", "/etc/nginx/certs/all.key", ["inherits.example.org"], [8443]),
        ("/one.pem", "/one.key", ["one.example.org", "two.example.org"], [443]),
        ("/rsa.pem", "/rsa.key", ["one.example.org", "two.example.org"], [443]),
        ("/s.pem", "/s.key", [], [853]),
    ]
    assert opened.gaps == []


def test_nginx_serves_no_certificate_of_a_server_that_nobody_comes_to() -> None:
    text = """http { ssl_certificate /dummy.pem; ssl_certificate_key /dummy.key;
      server { listen 443 ssl default_server; server_name _; ssl_reject_handshake on; }
      server { listen 443 ssl; server_name a.example.org; ssl_certificate /a.pem; ssl_certificate_key /a.key; }
      server { listen 443 ssl; server_name a.example.org; ssl_certificate /again.pem; ssl_certificate_key /a.key; }
      server { listen *:443 ssl; server_name _; ssl_certificate /never.pem; ssl_certificate_key /a.key; }
      server { listen 8443 ssl; server_name a.example.org; ssl_certificate /other.pem; ssl_certificate_key /a.key; } }"""
    assert [(one["certificate"], one["ports"]) for one in nginx.certificates(files({"/n.conf": text}), "/n.conf")] == [
        ("/a.pem", [443]), ("/other.pem", [8443])]


def test_nginx_reads_the_file_that_it_was_started_with() -> None:
    title = "nginx: master process /opt/nginx -p /srv/web -c conf/n.conf -g daemon on;"
    assert nginx.config_path((title,)) == "/srv/web/conf/n.conf"
    assert nginx.config_path(("nginx: master process nginx",)) == nginx.CONFIG


def test_nginx_prints_its_files() -> None:
    printed = nginx.printed("# configuration file /a/nginx.conf:\nhttp {}\n\n# configuration file /a/b:\nx;\n")
    assert printed == {"/a/nginx.conf": "http {}\n\n", "/a/b": "x;\n"}


def test_an_include_that_includes_itself_ends() -> None:
    tree = {"/n.conf": "include /n.conf; server { listen 443 ssl; ssl_certificate /a; ssl_certificate_key /b; }"}
    assert len(nginx.certificates(files(tree), "/n.conf")) <= config_files.DEEPEST + 1


def test_apache_reads_virtual_hosts_defines_and_what_is_loaded() -> None:
    tree = {
        "/etc/apache2/apache2.conf": """
            ServerRoot "/etc/apache2"
            Define CERTS /certs
            IncludeOptional mods-enabled/*.load
            IncludeOptional sites-enabled/*.conf
            """,
        "/etc/apache2/mods-enabled/ssl.load": "LoadModule ssl_module /usr/lib/ssl.so\n",
        "/etc/apache2/sites-enabled/a.conf": """
            <IfModule mod_ssl.c>
            <VirtualHost *:443 [::1]:8443>
              ServerName https://www.example.org:443
              ServerAlias Two.example.org
              SSLEngine on
              SSLCertificateFile ${CERTS}/a.pem
              SSLCertificateKeyFile ${CERTS}/a.key
              SSLCertificateChainFile ${CERTS}/chain.pem
              <FilesMatch "\\.php$">
                SSLOptions +StdEnvVars
              </FilesMatch>
            </VirtualHost>
            </IfModule>
            <IfModule mod_gnutls.c>
            <VirtualHost *:444>
              SSLEngine on
              SSLCertificateFile /never.pem
            </VirtualHost>
            </IfModule>
            <VirtualHost *:80>
              SSLCertificateFile /off.pem
            </VirtualHost>""",
    }
    [one] = apache.certificates(files(tree), "/etc/apache2/apache2.conf")
    assert short([one]) == [("/certs/a.pem", "/certs/a.key", ["www.example.org", "two.example.org"], [443, 8443])]
    assert one["chain"] == "/certs/chain.pem"
    del tree["/etc/apache2/mods-enabled/ssl.load"]
    assert apache.certificates(files(tree), "/etc/apache2/apache2.conf") == []


def test_haproxy_takes_files_folders_and_lists() -> None:
    tree = {
        "/h.cfg": """
            global
              crt-base /base
            frontend x
              bind *:443,[::]:8443 ssl crt one.pem crt dir crt-list /list  # crt /no
              bind *:80
              bind :993 crt /not-ssl.pem
              bind :9443 ssl default-crt d.pem
              bind :10443 ssl crt /two/x.pem""",
        "/base/dir/a.pem": "",
        "/base/dir/b.pem": "",
        "/base/dir/b.pem.key": "",
        "/base/one.pem": "",
        "/two/x.pem.rsa": "",
        "/two/x.pem.ecdsa": "",
        "/list": "# x\nc.pem [alpn h2] www.example.org !not.example.org\n",
    }
    assert short(haproxy.certificates(files(tree), "/h.cfg")) == [
        ("/base/one.pem", "/base/one.pem", [], [443, 8443]),
        ("/base/dir/a.pem", "/base/dir/a.pem", [], [443, 8443]),
        ("/base/dir/b.pem", "/base/dir/b.pem.key", [], [443, 8443]),
        ("/base/c.pem", "/base/c.pem", ["www.example.org"], [443, 8443]),
        ("/base/d.pem", "/base/d.pem", [], [9443]),
        ("/two/x.pem.rsa", "/two/x.pem.rsa", [], [10443]),
        ("/two/x.pem.ecdsa", "/two/x.pem.ecdsa", [], [10443]),
    ]


def test_haproxy_takes_what_its_stores_hold() -> None:
    """As HAProxy 3.0 and later name it: by alias, else by the name of the store and the file, else by the path."""
    tree = {
        "/a.cfg": """
            global
              crt-base /base
              key-base /keys
            crt-store
              load crt one.pem key one.key alias one
              load crt two.pem
            crt-store web
              crt-base /web
              load crt "three.pem" ocsp three.ocsp alias "3"
              load crt four.pem key /k/four.key
              load crt /abs/five.pem
            """,
        "/b.cfg": """
            frontend x
              bind :443 ssl crt @/one crt two.pem crt "@web/3" crt @web/four.pem default-crt @web/abs/five.pem crt six.pem
              bind :444 ssl crt-list /list crt @none/x""",
        "/base/two.pem.key": "",
        "/list": "@web/3 [alpn h2 ocsp-update on] www.example.org\n  seven.pem [key seven.key]\n",
    }
    opened, state = files(tree), haproxy.Configuration()
    assert haproxy.certificates(opened, "/a.cfg", state) == []
    assert short(haproxy.certificates(opened, "/b.cfg", state)) == [
        ("/base/one.pem", "/keys/one.key", [], [443]),
        ("/base/two.pem", "/base/two.pem", [], [443]),
        ("/web/three.pem", "/web/three.pem", [], [443]),
        ("/web/four.pem", "/k/four.key", [], [443]),
        ("/abs/five.pem", "/abs/five.pem", [], [443]),
        ("/base/six.pem", "/base/six.pem", [], [443]),
        ("/web/three.pem", "/web/three.pem", ["www.example.org"], [444]),
        ("/base/seven.pem", "/keys/seven.key", [], [444]),
    ]
    assert opened.gaps == ["no crt-store that can be read holds @none/x"]


def test_a_virtual_host_that_nobody_comes_to_serves_nothing() -> None:
    def host(name: str, file: str) -> str:
        return f"<VirtualHost *:443>\nServerName {name}\nSSLEngine on\nSSLCertificateFile /{file}\n</VirtualHost>\n"

    text = host("a.example.org", "a.pem") + host("a.example.org", "again.pem") + host("b.example.org", "b.pem")
    text += "<Macro Site $name>\n" + host("$name", "macro.pem") + "</Macro>\n"
    text += "<IfFile /no>\n" + host("c", "c.pem") + "</IfFile>\n"
    opened = files({"/a.conf": text + "Use Site x.example.org\n"})
    assert [one["certificate"] for one in apache.certificates(opened, "/a.conf")] == ["/a.pem", "/b.pem"]
    assert opened.gaps == ["/a.conf: line 30 uses a macro, which is not followed"]


def test_a_proxy_that_is_disabled_serves_nothing() -> None:
    text = "frontend a\n bind :443 ssl crt /a.pem\n disabled\nfrontend b\n bind :444 ssl crt /b.pem\n"
    text += "defaults\n disabled\nlisten c\n bind :445 ssl crt /c.pem\nlisten d\n enabled\n bind :446 ssl crt /d.pem\n"
    assert [one["certificate"] for one in haproxy.certificates(files({"/h.cfg": text}), "/h.cfg")] == ["/b.pem", "/d.pem"]


def test_databases_without_tls_use_no_certificate() -> None:
    for off in ("--skip-ssl\n", "--ssl=0\n"):
        assert mysql_uses("--ssl-cert=/a.pem\n" + off, "m") == []
    tree = {"/m.cnf": "!includedir /m.d\n[client]\nssl-cert=/client.pem\n",
            "/m.d/a.cnf": "[mariadb-10.11]\nssl_cert = '/a.pem' # x\n"}
    found = mysql.options(files(tree), ("/m.cnf",))
    assert short(mysql.certificates(found, "m")) == [("/a.pem", "/a.pem", [], [])]


def test_overrides_of_postfix_in_an_image() -> None:
    text = """# comment
smtp      inet  n       -       y       -       -       smtpd
submission inet n       -       y       -       -       smtpd
  -o syslog_name=postfix/submission
#  -o smtpd_tls_cert_file=/no.pem

   # nor this
  -o smtpd_tls_cert_file=/sub.pem -o smtpd_tls_key_file=/sub.key
  -o { smtpd_tls_chain_files = /a.pem, /b.pem }
127.0.0.1:2525 inet n - n - - smtpd -osmtpd_tls_eccert_file=/ec.pem
pickup    unix  n
"""
    assert postfix.overrides(text).splitlines() == [
        "submission/inet/syslog_name = postfix/submission",
        "submission/inet/smtpd_tls_cert_file = /sub.pem",
        "submission/inet/smtpd_tls_key_file = /sub.key",
        "submission/inet/smtpd_tls_chain_files = /a.pem, /b.pem",
        "127.0.0.1:2525/inet/smtpd_tls_eccert_file = /ec.pem",
    ]


def test_chain_files_of_postfix_stand_for_all_others() -> None:
    text = "smtpd_tls_security_level = may\nsmtpd_tls_cert_file = /snakeoil.pem\n"
    text += "smtpd_tls_chain_files = /r.key,\n    /r.pem, /e.pem\n"
    text += "[::1]:2525/inet/smtpd_tls_chain_files = /x.pem\n"
    tree = {"/r.key": "-----BEGIN PRIVATE KEY-----\n", "/e.pem": "-----BEGIN PRIVATE KEY-----\n-----BEGIN CERTIFICATE-----\n"}
    assert short(postfix.certificates(text, "main.cf", tree.get)) == [
        ("/r.pem", "/r.key", [], [25, 465, 587]),
        ("/e.pem", "/e.pem", [], [25, 465, 587]),
        ("/x.pem", "/x.pem", [], [2525]),
    ]


def test_names_of_postfix() -> None:
    text = "tls_server_sni_maps = hash:/sni,\n  ldap:/other.cf\n"
    tree = {"/sni": "# x\nMX.example.org /k.key, /m.pem\n.example.net /n.pem\n", "/k.key": "-----BEGIN PRIVATE KEY-----\n"}
    opened = files(tree)
    assert short(postfix.by_name(opened, text)) == [
        ("/m.pem", "/k.key", ["mx.example.org"], []),
        ("/n.pem", "/n.pem", ["*.example.net"], []),
    ]
    assert opened.gaps == ["which certificate belongs to which name is told by ldap:/other.cf, which cannot be read"]


def test_a_name_of_nginx_that_begins_with_a_dot_is_two() -> None:
    text = "http { server { listen 443 ssl; server_name .example.org; ssl_certificate /a; ssl_certificate_key /k; } }"
    assert short(nginx.certificates(files({"/n.conf": text}), "/n.conf")) == [
        ("/a", "/k", ["example.org", "*.example.org"], [443]),
    ]  # fmt: skip


def test_mail_servers() -> None:
    text = """smtpd_tls_security_level = encrypt
smtpd_tls_cert_file = /a.pem
smtpd_tls_key_file=/a.key
smtp_tls_cert_file = /client.pem
submission/inet/smtpd_tls_cert_file = /sub.pem
submission/inet/smtpd_tls_key_file = /sub.key
smtpd_tls_eccert_file = $smtpd_tls_cert_file
"""
    assert short(postfix.certificates(text, "main.cf")) == [
        ("/a.pem", "/a.key", [], [25, 465]),
        ("/sub.pem", "/sub.key", [], [587]),
    ]
    assert short(postfix.certificates("smtpd_use_tls=yes\nsmtpd_tls_cert_file = /a.pem\n", "main.cf")) == [
        ("/a.pem", "/a.pem", [], [])]
    # What does not offer TLS uses no certificate.
    for off in ("", "smtpd_tls_security_level = none\nsmtpd_use_tls = yes\n"):
        assert postfix.certificates(off + "smtpd_tls_cert_file = /a.pem\n", "main.cf") == []
    wrapped = "smtpd_tls_cert_file = /a.pem\nsmtps/inet/smtpd_tls_wrappermode = yes\n"
    assert short(postfix.certificates(wrapped, "main.cf")) == [("/a.pem", "/a.pem", [], [465])]
    old = "ssl = required\nssl_cert = </d.pem\nssl_key = </d.key\n"
    old += "local_name mx.example.org {\n  ssl_cert = </m.pem\n  ssl_key = </m.key\n}\n"
    assert short(dovecot.certificates(old, "d")) == [("/m.pem", "/m.key", ["mx.example.org"], []), ("/d.pem", "/d.key", [], [])]
    alt = "ssl_cert = </d.pem\nssl_key = </d.key\nssl_alt_cert = </e.pem\nssl_alt_key = </e.key\n"
    assert [one["key"] for one in dovecot.certificates(alt, "d")] == ["/d.key", "/e.key"]
    new = "ssl_server_cert_file = /n.pem\nssl_server_key_file = /n.key\n"
    assert short(dovecot.certificates(new, "d")) == [("/n.pem", "/n.key", [], [])]
    new = "local_name mx.example.org {\n ssl_server {\n  cert_file = /n.pem\n  key_file = /n.key\n }\n}\n"
    assert short(dovecot.certificates(new, "d")) == [("/n.pem", "/n.key", ["mx.example.org"], [])]
    assert (
        dovecot.certificates("ssl = no\n" + old, "d")[:0] == []
        and dovecot.certificates("ssl = no\nssl_cert = </d.pem\n", "d") == []
    )


def test_databases() -> None:
    text = "--ssl-cert=/old.pem\n--ssl-cert=/m.pem\n--loose-ssl_key=/m.key\n--password=secret\n"
    assert short(mysql_uses(text, "m")) == [("/m.pem", "/m.key", [], [])]
    assert mysql_uses("--user=mysql\n", "m") == []
    tree = {
        "/pg/postgresql.conf": "ssl = on # yes\nport = 5433\nssl_cert_file = 'server.pem'\n"
        "data_directory='/data'\ninclude_dir 'conf.d'\n",
        "/pg/conf.d/a.conf": "ssl_key_file = '/it''s.key'\n",
        "/pg/conf.d/.b.conf": "ssl = off\n",
    }
    settings_made = postgresql.settings_of(files(tree), "/pg/postgresql.conf")
    assert short(postgresql.certificates(settings_made, "/pg/postgresql.conf")) == [("/data/server.pem", "/it's.key", [], [5433])]
    assert postgresql.certificates({"ssl": "off"}, "x") == []


def test_tomcat() -> None:
    text = """<Server><Service><Connector port="8443" SSLEnabled="true" keystoreFile="conf/old.jks" keystorePass="pw"/>
      <Connector port="${https.port}" SSLEnabled="true"><SSLHostConfig>
        <Certificate certificateFile="${catalina.base}/c.pem" certificateKeyFile="/c.key"/>
        <Certificate certificateKeystoreFile="${store:-conf/new.p12}" certificateKeystorePassword="${kept.elsewhere}"
          certificateKeyAlias="www"/>
        <Certificate certificateKeystoreFile="/two.p12" certificateKeystorePasswordFile="conf/secret"/></SSLHostConfig>
      </Connector>
      <Connector port="8080" keystoreFile="no"/></Service></Server>"""
    tree = files({"/base/conf/server.xml": text, "/base/conf/secret": "from a file\n", "/base/conf/catalina.properties":
                  "# https.port=1\nhttps.port = 9443\nstore=\n"})  # fmt: skip
    properties = tomcat.properties(tree, "/base", ["java", "-Dstore=/opt/${x}", "-Dstore=/opt/own.p12", "-Dodd"])
    made = tomcat.certificates(tree, "/base/conf/server.xml", "/base", properties)
    assert [(one["certificate"], one["ports"], one.get("password"), one.get("alias")) for one in made] == [
        ("/base/conf/old.jks", [8443], "pw", ""),
        ("/base/c.pem", [9443], None, None),
        ("/opt/own.p12", [9443], None, "www"),
        ("/two.p12", [9443], "from a file", ""),
    ]
    assert tree.gaps == []
    for bad in ("<!DOCTYPE x [<!ENTITY a 'b'>]><x/>", "<x"):
        with pytest.raises(ValueError):
            tomcat.certificates(files({"/x": bad}), "/x", "/base", {})


def test_a_keystore_of_tomcat_that_cannot_be_found_is_told() -> None:
    text = """<Server><Connector port="1" SSLEnabled="true" keystoreFile="${who.knows}"/><Connector port="2" SSLEnabled="true"/>
      <Connector port="3" SSLEnabled="true"><SSLHostConfig><Certificate type="RSA"/></SSLHostConfig></Connector></Server>"""
    tree = files({"/x": text})
    assert tomcat.certificates(tree, "/x", "/base", {}) == []
    assert [gap.split(": ")[1] for gap in tree.gaps] == [
        "the certificate of port 1 is where a variable says (${who.knows})",
        "the certificate of port 2 is in the keystore of the user that Tomcat runs as (.keystore), as none is named",
        "the certificate of port 3 is in the keystore of the user that Tomcat runs as (.keystore), as none is named",
    ]


@settings(max_examples=200)
@given(st.text(alphabet="server{};listen 443sl_certificate/\"'\\#$\n<>VirtualHost*:", max_size=200))
def test_any_text_is_read_without_a_fault(text: str) -> None:
    tree = {"/x": text}
    for read in (nginx.certificates, apache.certificates, haproxy.certificates):
        assert isinstance(read(files(tree), "/x"), list)
    for plain in (postfix.certificates, dovecot.certificates, mysql_uses):
        assert isinstance(plain(text, "/x"), list)
    assert isinstance(postgresql.settings_of(files(tree), "/x"), dict)


# What renewals say of themselves

RENEWAL = """# renew_before_expiry = 30 days
version = 2.1.0
archive_dir = /etc/letsencrypt/archive/www.example.org
fullchain = /etc/letsencrypt/live/www.example.org/fullchain.pem

# Options used in the renewal process
[renewalparams]
account = abc
authenticator = webroot
server = https://acme.example.org/dir
[[webroot_map]]
www.example.org = /var/www/html
"""


def test_a_renewal_file() -> None:
    about = renewal.parse_renewal(RENEWAL)
    assert about["fullchain"] == "/etc/letsencrypt/live/www.example.org/fullchain.pem"
    assert about["params"]["authenticator"] == "webroot"
    for bad in ("", "[renewalparams]\n", "= x\n[["):
        with pytest.raises(ValueError):
            renewal.parse_renewal(bad)


def test_why_the_last_renewal_failed() -> None:
    head = "2026-11-25 10:49:30,000:ERROR:certbot._internal.renewal:"
    new = head + "Failed to renew certificate www.example.org with error: Some challenges have failed.\n"
    new += "  Detail: 192.0.2.1: Fetching http://www.example.org/x: Connection refused\n"
    [(why, when)] = log.failures(new).values()
    assert why == "Some challenges have failed. 192.0.2.1: Fetching http://www.example.org/x: Connection refused"
    assert when == time.mktime((2026, 11, 25, 10, 49, 30, 0, 0, -1))
    # The last word counts, and a log without times tells none.
    assert log.failures(new + "Failed to renew certificate www.example.org with error: gone\n") == {
        "www.example.org": ("gone", 0)
    }
    old = "WARNING:certbot._internal.renewal:Attempting to renew cert (a.example.org) from /etc/x.conf"
    old += " produced an unexpected error: no route. Skipping.\n"
    assert log.failures(old) == {"a.example.org": ("no route. Skipping.", 0)}
    assert log.failures("INFO: all well\n") == {}


CERTMONGER = """Number of certificates and requests being tracked: 3.
Request ID '20261125154654':
\tstatus: MONITORING
\tstuck: no
\tkey pair storage: type=FILE,location='/etc/cm/self.key'
\tcertificate: type=FILE,location='/etc/cm/self.pem'
\tCA: SelfSign
\tissuer: CN=self.int.test
\tsubject: CN=self.int.test
\texpires: 2027-11-25 15:46:57 UTC
\tdns: self.int.test
\tpre-save command:\x20
\tpost-save command: systemctl reload nginx
\ttrack: yes
\tauto-renew: yes
Request ID '20261125154656':
\tstatus: CA_UNCONFIGURED
\tca-error: No RA certificate (-r) given, and no default known.
\tstuck: yes
\tcertificate: type=FILE,location='/etc/cm/scep.pem'
\tCA: nowhere
\tissuer:\x20
\texpires: unknown
\tpost-save command:\x20
\ttrack: yes
\tauto-renew: yes
Request ID '3':
\tstatus: MONITORING
\tstuck: no
\tcertificate: type=NSSDB,location='/db'
\tauto-renew: no
"""


def test_what_certmonger_tracks() -> None:
    own, stuck, last = renewal.parse_getcert(CERTMONGER)
    assert (own["status"], own["certificate"], own["reload"], own["tracked"]) == ("MONITORING", "/etc/cm/self.pem", True, True)
    assert (stuck["status"], stuck["stuck"], stuck["reload"]) == ("CA_UNCONFIGURED", True, False)
    assert stuck["why"] == "No RA certificate (-r) given, and no default known."
    assert last["status"] == "MONITORING" and not last["tracked"]
