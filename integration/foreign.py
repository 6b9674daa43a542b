"""Exim, OpenSMTPD, sendmail and aiosmtpd as receiving servers, each with a folder of mail of its own.

The first three cannot be installed beside another mail server, and have paths and accounts built
in. Each gets a copy of this system in a mount namespace of its own, with its packages unpacked over
it: no script of theirs runs, and nothing outlives the process.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from software import Program

PREPARE = """set -e
top=$1; packages=$2; temporary=$3
mount -t tmpfs none "$top"
mkdir "$top/changes" "$top/work" "$top/root"
mount -t overlay none -o "lowerdir=/,upperdir=$top/changes,workdir=$top/work" "$top/root"
for folder in /proc /dev "$temporary"; do
  mkdir -p "$top/root$folder"
  mount --rbind "$folder" "$top/root$folder"
done
mount -t tmpfs none "$top/root/run"
for package in "$packages"/*.deb; do
  dpkg-deb --fsys-tarfile "$package" | tar --extract --keep-directory-symlink -C "$top/root"
done
exec chroot "$top/root" sh -ec "$4"
"""
ACCOUNT = "mail"  # every Debian system has it


def download(folder: Path, *packages: str) -> str:
    """Debian's packages as files in folder; why that cannot be had, or nothing."""
    folder.mkdir()
    folder.chmod(0o777)
    result = subprocess.run(["apt-get", "download", *packages], cwd=folder, capture_output=True,
                            text=True, timeout=120, check=False)
    return result.stderr.strip() if result.returncode else ""


def _own_folder(folder: Path) -> Path:
    for part in (folder, folder / "inbox"):
        part.mkdir(parents=True)
        shutil.chown(part, ACCOUNT)
    return folder


class Foreign(Program):
    """Becomes the script's last command, with the packages unpacked over a copy of this system."""

    def __init__(self, folder: Path, name: str, packages: Path, script: str) -> None:
        top = folder / "system"
        top.mkdir()
        self.inbox = folder / "inbox"
        super().__init__(folder, name, [
            "unshare", "--mount", "--propagation", "private", "sh", "-c", PREPARE, "sh", str(top),
            str(packages), str(folder), script])


class Exim(Foreign):
    """Takes everything; announces 8BITMIME, SMTPUTF8, DSN, CHUNKING and STARTTLS."""

    def __init__(self, folder: Path, packages: Path, address: str, port: int, host: str,
                 pem: Path) -> None:
        _own_folder(folder)
        for name in ("log", "spool"):
            (folder / name).mkdir()
            shutil.chown(folder / name, ACCOUNT)
        certificate = folder / "pem"
        shutil.copy(pem, certificate)
        shutil.chown(certificate, ACCOUNT)
        (folder / "exim.conf").write_text(f"""primary_hostname = {host}
local_interfaces = {address}
daemon_smtp_ports = {port}
spool_directory = {folder}/spool
log_file_path = {folder}/log/%slog
exim_user = {ACCOUNT}
exim_group = {ACCOUNT}
keep_environment =
dsn_advertise_hosts = *
chunking_advertise_hosts = *
smtputf8_advertise_hosts = *
tls_advertise_hosts = *
tls_certificate = {certificate}
smtp_accept_max = 100
smtp_accept_queue_per_connection = 0
recipients_max = 1000
acl_smtp_rcpt = accept
acl_smtp_data = accept
begin routers
inbox:
  driver = accept
  transport = inbox
begin transports
inbox:
  driver = appendfile
  directory = {folder}/inbox
  maildir_format
  user = {ACCOUNT}
  envelope_to_add
  return_path_add
""")
        super().__init__(folder, "exim", packages,
                         f"useradd -r Debian-exim; exec exim4 -C {folder}/exim.conf -bdf "
                         f"-oX {address}:{port} -oP {folder}/spool/pid")
        self.wait_for_port(address, port)


class OpenSmtpd(Foreign):
    """Takes everything; announces 8BITMIME and DSN. No TLS: Debian 12's build cannot use any key
    with OpenSSL 3 (OpenSMTPD issues 1171 and 1239)."""

    def __init__(self, folder: Path, packages: Path, address: str, port: int, host: str) -> None:
        _own_folder(folder)
        (folder / "smtpd.conf").write_text(f"""table catch {{ "@" = "{ACCOUNT}" }}
listen on {address} port {port} hostname {host}
action "in" maildir "{folder}/inbox" virtual <catch>
match from any for any action "in"
""")
        super().__init__(folder, "opensmtpd", packages, f"""useradd -r opensmtpd
            useradd -r opensmtpq
            mkdir -p /run/opensmtpd /var/lib/opensmtpd/empty /var/spool/smtpd
            chmod 711 /var/spool/smtpd
            echo {host} > /etc/mailname
            exec smtpd -d -f {folder}/smtpd.conf""")
        self.wait_for_port(address, port)


# Compiled by sendmail's own m4 files. The load of this machine is no reason to refuse or to wait.
SENDMAIL = """include(`/usr/share/sendmail/cf/m4/cf.m4')
OSTYPE(`linux')
FEATURE(`no_default_msa')
FEATURE(`accept_unresolvable_domains')
FEATURE(`nocanonify')
define(`confDOMAIN_NAME', `{host}')
define(`confSERVICE_SWITCH_FILE', `/etc/mail/switch')
define(`confTO_IDENT', `0')
define(`confQUEUE_LA', `1000')
define(`confREFUSE_LA', `1000')
define(`confDELAY_LA', `1000')
define(`confMAX_MESSAGE_SIZE', `50000000')
define(`confDEF_USER_ID', `{account}:{account}')
define(`confSERVER_CERT', `/etc/mail/pem')
define(`confSERVER_KEY', `/etc/mail/pem')
define(`confCACERT', `/etc/mail/pem')
define(`confCACERT_PATH', `/etc/mail')
define(`LOCAL_MAILER_PATH', `/etc/mail/deliver')
define(`LOCAL_MAILER_ARGS', `deliver $f $u')
define(`LOCAL_MAILER_FLAGS', `n')
MODIFY_MAILER_FLAGS(`LOCAL', `-wA')
DAEMON_OPTIONS(`Name=MTA, Family=inet, Addr={address}, Port={port}')
LOCAL_DOMAIN(`{domain}')
MAILER(`local')
MAILER(`smtp')
"""


class Sendmail(Foreign):
    """Takes everything for its domain; announces PIPELINING, 8BITMIME, DSN and STARTTLS."""

    def __init__(self, folder: Path, packages: Path, address: str, port: int, host: str,
                 domain: str, pem: Path) -> None:
        _own_folder(folder)
        shutil.copy(pem, folder / "pem")
        (folder / "sendmail.mc").write_text(SENDMAIL.format(
            host=host, account=ACCOUNT, address=address, port=port, domain=domain))
        (folder / "switch").write_text("hosts files\naliases files\npasswd files\n")
        (folder / "deliver").write_text(
            "#!/bin/sh\nset -e\nfile=$(mktemp %s/.new.XXXXXX)\n"
            '{ printf "Delivered-To: %%s@%s\\nReturn-Path: <%%s>\\n" "$2" "$1"; cat; } > "$file"\n'
            'mv "$file" "%s/${file##*.new.}"\n' % (folder / "inbox", domain, folder / "inbox"))
        super().__init__(folder, "sendmail", packages, f"""useradd -r smmta
            useradd -r smmsp
            mkdir -p /etc/mail /var/lib/sendmail
            mkdir -m 700 -p /var/spool/mqueue
            cp {folder}/pem {folder}/switch {folder}/deliver /etc/mail/
            chmod 600 /etc/mail/pem
            chmod 755 /etc/mail/deliver
            # It sleeps for a minute if its system has no name with a dot.
            echo "{address} $(uname -n).test $(uname -n)" > /etc/hosts
            m4 {folder}/sendmail.mc > /etc/mail/sendmail.cf
            exec /usr/libexec/sendmail/sendmail -C/etc/mail/sendmail.cf -bD""")
        self.wait_for_port(address, port)


class Aiosmtpd(Program):
    """Takes everything; announces 8BITMIME, SMTPUTF8 and STARTTLS."""

    def __init__(self, folder: Path, address: str, port: int, pem: Path) -> None:
        folder.mkdir(parents=True)
        self.inbox = folder / "inbox"
        super().__init__(folder, "aiosmtpd", [
            "/usr/bin/python3", "-m", "aiosmtpd", "-n", "-u", "-s", "50000000", "-l",
            f"{address}:{port}", "--tlscert", str(pem), "--tlskey", str(pem), "--no-requiretls",
            "-c", "aiosmtpd.handlers.Mailbox", str(self.inbox)])
        self.wait_for_port(address, port)
