# Copyright: (c) 2026, hostmend maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ports that do not belong on an open network, by number and by the program that listens."""

HIGH, MEDIUM = "high", "medium"

TCP = {
    7: ("echo", HIGH), 9: ("discard", HIGH), 13: ("daytime", HIGH), 19: ("chargen", HIGH), 21: ("FTP", MEDIUM),
    22: ("SSH", MEDIUM), 23: ("Telnet", HIGH), 79: ("finger", HIGH), 111: ("rpcbind", HIGH), 135: ("MS RPC", HIGH),
    139: ("NetBIOS", HIGH), 389: ("LDAP", MEDIUM), 445: ("SMB", HIGH), 512: ("rexec", HIGH), 513: ("rlogin", HIGH),
    514: ("rsh", HIGH), 515: ("LPD", MEDIUM), 631: ("IPP", MEDIUM), 873: ("rsync", HIGH), 1099: ("Java RMI", HIGH),
    1433: ("SQL Server", HIGH), 1521: ("Oracle", HIGH), 1883: ("MQTT", MEDIUM), 2049: ("NFS", HIGH),
    2181: ("ZooKeeper", HIGH), 2375: ("Docker API", HIGH), 2376: ("Docker API (TLS)", MEDIUM), 2379: ("etcd", HIGH),
    2380: ("etcd peers", HIGH), 3306: ("MySQL", HIGH), 3389: ("RDP", MEDIUM), 4369: ("Erlang port mapper", HIGH),
    5000: ("container registry", MEDIUM), 5432: ("PostgreSQL", HIGH), 5601: ("Kibana", HIGH), 5672: ("AMQP", HIGH),
    5900: ("VNC", HIGH), 5901: ("VNC", HIGH), 5984: ("CouchDB", HIGH), 6000: ("X11", HIGH), 6379: ("Redis", HIGH),
    6443: ("Kubernetes API", MEDIUM), 7001: ("WebLogic", HIGH), 8009: ("AJP", HIGH), 8086: ("InfluxDB", HIGH),
    8500: ("Consul", HIGH), 8848: ("Nacos", HIGH), 9000: ("PHP-FPM or ClickHouse", HIGH), 9092: ("Kafka", HIGH),
    9200: ("Elasticsearch", HIGH), 9300: ("Elasticsearch nodes", HIGH), 10250: ("kubelet", HIGH),
    10255: ("kubelet (read-only)", HIGH), 11211: ("Memcached", HIGH), 15672: ("RabbitMQ console", HIGH),
    25672: ("RabbitMQ nodes", HIGH), 26379: ("Redis Sentinel", HIGH), 27017: ("MongoDB", HIGH),
    27018: ("MongoDB shard", HIGH), 33060: ("MySQL X protocol", HIGH), 50070: ("HDFS console", HIGH),
    61616: ("ActiveMQ", HIGH),
}

UDP = {
    7: ("echo", HIGH), 17: ("quote of the day", HIGH), 19: ("chargen", HIGH), 69: ("TFTP", HIGH),
    111: ("rpcbind", HIGH), 137: ("NetBIOS names", HIGH), 138: ("NetBIOS datagrams", HIGH), 161: ("SNMP", HIGH),
    389: ("CLDAP", HIGH), 623: ("IPMI", HIGH), 1900: ("SSDP", HIGH), 2049: ("NFS", HIGH), 5353: ("mDNS", MEDIUM),
    11211: ("Memcached", HIGH),
}

# A program that counts at whatever port it listens.
PROGRAMS = {
    "sshd": ("SSH", MEDIUM), "redis-server": ("Redis", HIGH), "redis-sentinel": ("Redis Sentinel", HIGH),
    "valkey-server": ("Valkey", HIGH), "keydb-server": ("KeyDB", HIGH), "memcached": ("Memcached", HIGH),
    "mysqld": ("MySQL", HIGH), "mariadbd": ("MariaDB", HIGH), "postgres": ("PostgreSQL", HIGH),
    "mongod": ("MongoDB", HIGH), "etcd": ("etcd", HIGH), "dockerd": ("Docker API", HIGH), "xrdp": ("RDP", MEDIUM),
    "in.telnetd": ("Telnet", HIGH), "Xvnc": ("VNC", HIGH), "Xtigervnc": ("VNC", HIGH),
}

# What is published here is offered as a web server, whatever its number inside.
WEB = (80, 443)

# Ways in for administrators: closing them to everybody would lock out whoever closes them.
ADMINISTRATION = ("SSH", "RDP")


def risk_of(proto, port, process, table):
    """Return (what it is, severity) of a port that does not belong on an open network; None of another.

    ``table`` is the policy's own, {"8080/tcp": "high" | "medium" | "none"}, and comes before all else.
    """
    own = table.get("%d/%s" % (port, proto))
    known = (TCP if proto == "tcp" else UDP).get(port)
    if process in PROGRAMS and proto == "tcp":
        known = PROGRAMS[process]
    if own == "none":
        return None
    if own in (HIGH, MEDIUM):
        return (known[0] if known else process or "port %d" % port, own)
    return known
