"""Which certificates configurations name, read from their text, and what renewals say of themselves."""

from __future__ import annotations

import time

import pytest
from ansible_collections.hostmend.hardening.plugins.module_utils.software import tls_configs
from ansible_collections.hostmend.hardening.plugins.module_utils.software.certbot import log, renewal
from hypothesis import given, settings
from hypothesis import strategies as st


def files(tree: dict[str, str]) -> tls_configs.Files:
    def listing(folder: str) -> list[str]:
        prefix = folder.rstrip("/") + "/"
        return sorted({name[len(prefix) :].split("/")[0] for name in tree if name.startswith(prefix)})

    return tls_configs.Files(tree.get, listing)


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
    assert sorted(short(tls_configs.nginx(opened, "/etc/nginx/nginx.conf"))) == [
        ("/etc/nginx/certs/all.pem", "/etc/nginx/certs/all.key", ["inherits.example.org"], [8443]),
        ("/one.pem", "/one.key", ["one.example.org", "two.example.org"], [443]),
        ("/rsa.pem", "/rsa.key", ["one.example.org", "two.example.org"], [443]),
        ("/s.pem", "/s.key", [], [853]),
    ]
    assert opened.gaps == []


def test_nginx_prints_its_files() -> None:
    printed = tls_configs.nginx_printed("# configuration file /a/nginx.conf:\nhttp {}\n\n# configuration file /a/b:\nx;\n")
    assert printed == {"/a/nginx.conf": "http {}\n\n", "/a/b": "x;\n"}


def test_an_include_that_includes_itself_ends() -> None:
    tree = {"/n.conf": "include /n.conf; server { listen 443 ssl; ssl_certificate /a; ssl_certificate_key /b; }"}
    assert len(tls_configs.nginx(files(tree), "/n.conf")) <= tls_configs.DEEPEST + 1


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
    [one] = tls_configs.apache(files(tree), "/etc/apache2/apache2.conf")
    assert short([one]) == [("/certs/a.pem", "/certs/a.key", ["www.example.org", "two.example.org"], [443, 8443])]
    assert one["chain"] == "/certs/chain.pem"
    del tree["/etc/apache2/mods-enabled/ssl.load"]
    assert tls_configs.apache(files(tree), "/etc/apache2/apache2.conf") == []


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
    assert short(tls_configs.haproxy(files(tree), "/h.cfg")) == [
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
    opened, state = files(tree), tls_configs.haproxy_state()
    assert tls_configs.haproxy(opened, "/a.cfg", state) == []
    assert short(tls_configs.haproxy(opened, "/b.cfg", state)) == [
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
    assert tls_configs.postfix_overrides(text).splitlines() == [
        "submission/inet/syslog_name = postfix/submission",
        "submission/inet/smtpd_tls_cert_file = /sub.pem",
        "submission/inet/smtpd_tls_key_file = /sub.key",
        "submission/inet/smtpd_tls_chain_files = /a.pem, /b.pem",
        "127.0.0.1:2525/inet/smtpd_tls_eccert_file = /ec.pem",
    ]


def test_chain_files_of_postfix_stand_for_all_others() -> None:
    text = "smtpd_tls_cert_file = /snakeoil.pem\nsmtpd_tls_chain_files = /r.key,\n    /r.pem, /e.pem\n"
    text += "[::1]:2525/inet/smtpd_tls_chain_files = /x.pem\n"
    tree = {"/r.key": "-----BEGIN PRIVATE KEY-----\n", "/e.pem": "-----BEGIN PRIVATE KEY-----\n-----BEGIN CERTIFICATE-----\n"}
    assert short(tls_configs.postfix(text, "main.cf", tree.get)) == [
        ("/r.pem", "/r.key", [], [25, 465, 587]),
        ("/e.pem", "/e.pem", [], [25, 465, 587]),
        ("/x.pem", "/x.pem", [], [2525]),
    ]


def test_names_of_postfix() -> None:
    text = "tls_server_sni_maps = hash:/sni,\n  ldap:/other.cf\n"
    tree = {"/sni": "# x\nMX.example.org /k.key, /m.pem\n.example.net /n.pem\n", "/k.key": "-----BEGIN PRIVATE KEY-----\n"}
    opened = files(tree)
    assert short(tls_configs.postfix_names(opened, text)) == [
        ("/m.pem", "/k.key", ["mx.example.org"], []),
        ("/n.pem", "/n.pem", ["*.example.net"], []),
    ]
    assert opened.gaps == ["which certificate belongs to which name is told by ldap:/other.cf, which cannot be read"]


def test_a_name_of_nginx_that_begins_with_a_dot_is_two() -> None:
    text = "http { server { listen 443 ssl; server_name .example.org; ssl_certificate /a; ssl_certificate_key /k; } }"
    assert short(tls_configs.nginx(files({"/n.conf": text}), "/n.conf")) == [
        ("/a", "/k", ["example.org", "*.example.org"], [443]),
    ]  # fmt: skip


def test_mail_servers() -> None:
    text = """smtpd_tls_cert_file = /a.pem
smtpd_tls_key_file=/a.key
smtp_tls_cert_file = /client.pem
submission/inet/smtpd_tls_cert_file = /sub.pem
submission/inet/smtpd_tls_key_file = /sub.key
smtpd_tls_eccert_file = $smtpd_tls_cert_file
"""
    assert short(tls_configs.postfix(text, "main.cf")) == [
        ("/a.pem", "/a.key", [], [25, 465]),
        ("/sub.pem", "/sub.key", [], [587]),
    ]
    assert short(tls_configs.postfix("smtpd_tls_cert_file = /a.pem\n", "main.cf")) == [("/a.pem", "/a.pem", [], [])]
    old = "ssl = required\nssl_cert = </d.pem\nssl_key = </d.key\n"
    old += "local_name mx.example.org {\n  ssl_cert = </m.pem\n  ssl_key = </m.key\n}\n"
    assert short(tls_configs.dovecot(old, "d")) == [("/m.pem", "/m.key", ["mx.example.org"], []), ("/d.pem", "/d.key", [], [])]
    alt = "ssl_cert = </d.pem\nssl_key = </d.key\nssl_alt_cert = </e.pem\nssl_alt_key = </e.key\n"
    assert [one["key"] for one in tls_configs.dovecot(alt, "d")] == ["/d.key", "/e.key"]
    new = "ssl_server_cert_file = /n.pem\nssl_server_key_file = /n.key\n"
    assert short(tls_configs.dovecot(new, "d")) == [("/n.pem", "/n.key", [], [])]
    new = "local_name mx.example.org {\n ssl_server {\n  cert_file = /n.pem\n  key_file = /n.key\n }\n}\n"
    assert short(tls_configs.dovecot(new, "d")) == [("/n.pem", "/n.key", ["mx.example.org"], [])]
    assert (
        tls_configs.dovecot("ssl = no\n" + old, "d")[:0] == []
        and tls_configs.dovecot("ssl = no\nssl_cert = </d.pem\n", "d") == []
    )


def test_databases() -> None:
    text = "--ssl-cert=/old.pem\n--ssl-cert=/m.pem\n--loose-ssl_key=/m.key\n--password=secret\n"
    assert short(tls_configs.mysql(text, "m")) == [("/m.pem", "/m.key", [], [])]
    assert tls_configs.mysql("--user=mysql\n", "m") == []
    tree = {
        "/pg/postgresql.conf": "ssl = on # yes\nport = 5433\nssl_cert_file = 'server.pem'\n"
        "data_directory='/data'\ninclude_dir 'conf.d'\n",
        "/pg/conf.d/a.conf": "ssl_key_file = '/it''s.key'\n",
        "/pg/conf.d/.b.conf": "ssl = off\n",
    }
    settings_made = tls_configs.postgresql_settings(files(tree), "/pg/postgresql.conf")
    assert short(tls_configs.postgresql(settings_made, "/pg/postgresql.conf")) == [("/data/server.pem", "/it's.key", [], [5433])]
    assert tls_configs.postgresql({"ssl": "off"}, "x") == []


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
    properties = tls_configs.java_properties(tree, "/base", ["java", "-Dstore=/opt/${x}", "-Dstore=/opt/own.p12", "-Dodd"])
    made = tls_configs.tomcat(tree, "/base/conf/server.xml", "/base", properties)
    assert [(one["certificate"], one["ports"], one.get("password"), one.get("alias")) for one in made] == [
        ("/base/conf/old.jks", [8443], "pw", ""),
        ("/base/c.pem", [9443], None, None),
        ("/opt/own.p12", [9443], None, "www"),
        ("/two.p12", [9443], "from a file", ""),
    ]
    assert tree.gaps == []
    for bad in ("<!DOCTYPE x [<!ENTITY a 'b'>]><x/>", "<x"):
        with pytest.raises(ValueError):
            tls_configs.tomcat(files({"/x": bad}), "/x", "/base", {})


def test_a_keystore_of_tomcat_that_cannot_be_found_is_told() -> None:
    text = """<Server><Connector port="1" SSLEnabled="true" keystoreFile="${who.knows}"/><Connector port="2" SSLEnabled="true"/>
      <Connector port="3" SSLEnabled="true"><SSLHostConfig><Certificate type="RSA"/></SSLHostConfig></Connector></Server>"""
    tree = files({"/x": text})
    assert tls_configs.tomcat(tree, "/x", "/base", {}) == []
    assert [gap.split(": ")[1] for gap in tree.gaps] == [
        "the certificate of port 1 is where a variable says (${who.knows})",
        "the certificate of port 2 is in the keystore of the user that Tomcat runs as (.keystore), as none is named",
        "the certificate of port 3 is in the keystore of the user that Tomcat runs as (.keystore), as none is named",
    ]


@settings(max_examples=200)
@given(st.text(alphabet="server{};listen 443sl_certificate/\"'\\#$\n<>VirtualHost*:", max_size=200))
def test_any_text_is_read_without_a_fault(text: str) -> None:
    tree = {"/x": text}
    for read in (tls_configs.nginx, tls_configs.apache, tls_configs.haproxy):
        assert isinstance(read(files(tree), "/x"), list)
    for plain in (tls_configs.postfix, tls_configs.dovecot, tls_configs.mysql):
        assert isinstance(plain(text, "/x"), list)
    assert isinstance(tls_configs.postgresql_settings(files(tree), "/x"), dict)


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
