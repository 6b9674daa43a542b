"""Clients on the submission side: TLS, users and certificates, with smtplib and swaks."""

import base64
import hashlib
import os
import re
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import time

import pytest

from peers.ca import Leaf
from peers.client import Client
from peers.daemon import binary, wait_until
from peers.mx import EXTENSIONS
from peers.world import submit

RELAY = "relay.test"
SUBJECT = b"Subject: test\r\n\r\nbody\r\n"


@pytest.fixture
def make(make_world, authority):
    """Makes a world whose listener has these settings more than its address, and TLS."""

    def make(tls: dict | None = None, start: bool = True, listener: dict = {}, **config):
        world = make_world(start=False, **config)
        certificate = world.folder / "relay.pem"
        shutil.copy(authority.pem_file(Leaf.good(RELAY)), certificate)
        settings = {"certificate": str(certificate), **({"mode": "starttls"} if tls is None else tls)}
        world.write_config(listen=[{"address": "%s:%d" % world.listener, "tls": settings, **listener}])
        return world.start() if start else world

    return make


def _client_context(world) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(world.authority.ca_file))


def _named(client: smtplib.SMTP) -> smtplib.SMTP:
    """smtplib proves the name it was given; here that is not the one it connects to."""
    client._host = RELAY
    return client


def _starttls(world, context: ssl.SSLContext | None = None) -> smtplib.SMTP:
    client = _named(smtplib.SMTP(*world.listener, local_hostname="client.test", timeout=30))
    client.ehlo()
    assert client.has_extn("starttls")
    client.starttls(context=context or _client_context(world))
    client.ehlo()
    return client


class _Implicit(smtplib.SMTP_SSL):
    def _get_socket(self, host, port, timeout):
        plain = socket.create_connection((host, port), timeout)
        return self.context.wrap_socket(plain, server_hostname=RELAY)


def _implicit(world) -> smtplib.SMTP:
    client = _Implicit(*world.listener, local_hostname="client.test", timeout=30,
                       context=_client_context(world))
    client.ehlo()
    return client


def _send(world, client: smtplib.SMTP, to: str, **options) -> dict[str, str]:
    """Submits a message; the log line of its reception."""
    id = submit(client, "alice@sender.example", [to], SUBJECT, **options)
    return wait_until(lambda: world.daemon.log("accepted", id=id), "the message to be logged")[0]


def _swaks(world, *arguments: str) -> subprocess.CompletedProcess:
    host, port = world.listener
    return subprocess.run(["swaks", "--server", host, "--port", str(port), "--timeout", "20",
                           "--from", "alice@sender.example", *arguments],
                          capture_output=True, text=True, timeout=60)


def _certificate_of(client: smtplib.SMTP) -> bytes:
    return client.sock.getpeercert(binary_form=True)


# --- TLS ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("mode, connect", [("starttls", _starttls), ("implicit", _implicit)])
def test_mail_over_tls_says_so_in_its_header_and_in_the_log(make, mode, connect):
    world = make({"mode": mode})
    mx = world.add_domain("example.org")
    with connect(world) as client:
        assert not client.has_extn("starttls")
        line = _send(world, client, "x@example.org")
    assert line["protocol"] == "ESMTPS"
    assert line["cipher"].startswith("TLSv1.3 TLS_")
    wait_until(lambda: mx.messages, "delivery")
    received = mx.messages[0].content.decode()
    assert f"(using {line['cipher'].replace(' ', ' with cipher ')})" in received
    assert " with ESMTPS id " in received


@pytest.mark.parametrize("mode, option", [("starttls", "--tls"), ("implicit", "--tls-on-connect")])
def test_swaks_delivers_over_tls(make, mode, option):
    world = make({"mode": mode})
    mx = world.add_domain("example.org")
    result = _swaks(world, "--to", "x@example.org", option)
    assert result.returncode == 0, result.stdout + result.stderr
    wait_until(lambda: mx.messages, "delivery")


def test_plain_clients_are_still_served_where_starttls_is_only_offered(make):
    world = make()
    world.add_domain("example.org")
    with world.smtp() as client:
        assert client.has_extn("starttls") and not client.has_extn("requiretls")
        line = _send(world, client, "x@example.org")
    assert line["protocol"] == "ESMTP" and "cipher" not in line


@pytest.mark.parametrize("minimum, newest, works", [
    ("1.2", ssl.TLSVersion.TLSv1_2, True), ("1.2", ssl.TLSVersion.TLSv1_1, False),
    ("1.3", ssl.TLSVersion.TLSv1_3, True), ("1.3", ssl.TLSVersion.TLSv1_2, False)])
def test_minimum_version(make, minimum, newest, works):
    world = make({"mode": "starttls", "minimum_version": minimum})
    context = _client_context(world)
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.maximum_version = newest
    context.set_ciphers("ALL:@SECLEVEL=0")
    if works:
        with _starttls(world, context) as client:
            assert client.noop()[0] == 250
        return
    with pytest.raises(ssl.SSLError):
        _starttls(world, context)
    (closed,) = wait_until(lambda: world.daemon.log("closed", reason="tls-failed"))
    assert closed["stage"] == "STARTTLS" and closed["detail"] == "no-shared-version"


@pytest.mark.parametrize("injected", [b"EHLO evil.test\r\n", b"RSET\r\n", b"\x16\x03\x01"])
def test_what_follows_starttls_in_plaintext_is_never_obeyed(make, injected):
    world = make()
    with Client(world.listener) as client:
        client.command("EHLO client.test")
        client.send(b"STARTTLS\r\n" + injected)
        assert client.reply().code == 421
        assert client.closed()
    (closed,) = wait_until(lambda: world.daemon.log("closed"))
    assert closed["reason"] == "starttls-injection"


def test_starttls_forgets_the_transaction_before_it(make):
    world = make()
    client = _named(smtplib.SMTP(*world.listener, local_hostname="client.test", timeout=30))
    with client:
        client.ehlo()
        assert client.mail("alice@sender.example")[0] == 250
        assert client.docmd("STARTTLS")[0] == 503  # not within a transaction
        client.rset()
        client.starttls(context=_client_context(world))
        assert client.docmd("MAIL FROM:<a@b.example>") == (503, b"5.5.1 EHLO or HELO first")


def test_looking_at_the_implicit_port_leaves_no_line(make):
    world = make({"mode": "implicit"})
    for _ in range(3):
        socket.create_connection(world.listener, 5).close()
    with _implicit(world) as client:
        client.noop()
    assert world.daemon.log("closed") == []


# --- reload ------------------------------------------------------------------------------------
def test_renewed_certificate_is_served_after_sighup_and_sessions_go_on(make, authority):
    world = make()
    file = world.folder / "relay.pem"
    with _starttls(world) as before:
        old = _certificate_of(before)
        shutil.copy(authority.pem_file(Leaf.good(RELAY, "new.test")), file)
        world.daemon.signal(signal.SIGHUP)
        wait_until(lambda: world.daemon.log("reloaded"))
        assert before.noop()[0] == 250

        def renewed():
            with _starttls(world) as after:
                return _certificate_of(after) != old

        wait_until(renewed, "the new certificate")


@pytest.mark.parametrize("content, reason", [
    ("", "holds no certificate in PEM form"),
    ("other key", "holds the key of another certificate")])
def test_bad_renewed_certificate_keeps_the_old_one_and_says_why(make, authority, content, reason):
    world = make()
    file = world.folder / "relay.pem"
    with _starttls(world) as client:
        old = _certificate_of(client)
    if content:
        good = file.read_text()
        other = authority.pem_file(Leaf.good("other.test")).read_text()
        end = "-----END PRIVATE KEY-----\n"
        content = good.replace(good.partition(end)[0], other.partition(end)[0])
    file.write_text(content)
    world.daemon.signal(signal.SIGHUP)
    (failed,) = wait_until(lambda: world.daemon.log("reload-failed", level="error"))
    line = world.config_file.read_text().split("\n").index(f"    certificate: {file}") + 1
    where = f"{world.config_file}:{line}: listen[0].tls.certificate: {file} "
    assert failed["detail"].startswith(where) and reason in failed["detail"]
    with _starttls(world) as client:
        assert _certificate_of(client) == old
    check = world.daemon.run("config", "check")
    assert check.returncode == 1 and check.stderr.startswith(where)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give it up")
def test_key_that_only_root_can_read_is_read_before_root_is_given_up(make):
    world = make(start=False)
    world.write_config(user="nobody")
    (world.folder / "relay.pem").chmod(0o600)
    world.folder.chmod(0o755)
    world.start()
    with _starttls(world) as client:
        assert client.noop()[0] == 250
    world.daemon.signal(signal.SIGHUP)
    (failed,) = wait_until(lambda: world.daemon.log("reload-failed"))
    assert failed["detail"].endswith("relay.pem cannot be read: Permission denied; the account "
                                     "nobody must be able to read it")
    with _starttls(world) as client:
        assert client.noop()[0] == 250


def test_start_with_a_bad_certificate_is_refused_with_file_line_and_key(make):
    world = make(start=False)
    (world.folder / "relay.pem").unlink()
    result = world.daemon.run("run")
    assert result.returncode == 1
    assert ": listen[0].tls.certificate: " in result.stderr
    assert "relay.pem cannot be read: No such file or directory" in result.stderr


# --- REQUIRETLS --------------------------------------------------------------------------------
def _send_requiretls(world, to: str) -> str:
    with _starttls(world) as client:
        assert client.has_extn("requiretls")
        return _send(world, client, to, options=["REQUIRETLS"])["id"]


def test_requiretls_over_starttls_goes_out_with_requiretls(make):
    world = make()
    mx = world.add_domain("offering.example", "enforce")
    mx.script.extensions = (*EXTENSIONS, "REQUIRETLS")
    id = _send_requiretls(world, "x@offering.example")
    world.wait_for_delivery(id, "delivered")
    (message,) = mx.messages
    assert "REQUIRETLS" in message.parameters and message.session.tls
    (accepted,) = world.daemon.log("accepted", id=id)
    assert accepted["tls"] == "required"


def test_requiretls_bounces_with_5_7_30_where_it_is_not_offered(make):
    world = make()
    home = world.add_domain("sender.example", "enforce")
    home.script.extensions = (*EXTENSIONS, "REQUIRETLS")
    mx = world.add_domain("lacking.example", "enforce")
    id = _send_requiretls(world, "x@lacking.example")
    assert world.wait_for_delivery(id, "failed")["dsn"] == "5.7.30"
    assert mx.messages == []
    bounce = wait_until(lambda: home.messages and home.messages[0], "the bounce")
    assert b"Status: 5.7.30\r\n" in bounce.content and "REQUIRETLS" in bounce.parameters


def test_requiretls_is_refused_before_starttls(make):
    world = make()
    with Client(world.listener) as client:
        assert "REQUIRETLS" not in client.command("EHLO client.test").lines
        assert client.command("MAIL FROM:<a@b.example> REQUIRETLS").text.startswith("5.7.10 ")


# --- AUTH --------------------------------------------------------------------------------------
PASSWORD = "correct horse battery"


def _hash(world, password: str = PASSWORD, *options: str) -> str:
    result = subprocess.run([str(binary()), "hash-password", *options], input=password + "\n",
                            capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.fixture
def make_with_users(make):
    """Makes a world with a user alice; only users may relay unless told otherwise."""

    def make_it(methods: dict[str, str] = {"alice": "sha512-crypt"}, listener: dict = {}, **config):
        world = make(start=False, **config)
        world.users = world.folder / "users"
        world.users.write_text("# test\n" + "".join(
            _hash(world, PASSWORD, "--user", user, "--method", method) + "\n"
            for user, method in methods.items()))
        (entry,) = world.config["listen"]
        world.write_config(listen=[{**entry, "auth": {"users": str(world.users), "required": True},
                                    **listener}])
        return world.start()

    return make_it


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize("method", ["yescrypt", "bcrypt", "sha512-crypt"])
def test_user_relays_after_auth(make_with_users, mechanism, method):
    world = make_with_users({"alice": method})
    world.add_domain("example.org")
    with _starttls(world) as client:
        assert set(client.esmtp_features["auth"].split()) == {"PLAIN", "LOGIN"}
        assert client.mail("alice@sender.example")[0] == 530
        if mechanism == "PLAIN":
            secret = base64.b64encode(f"\0alice\0{PASSWORD}".encode()).decode()
            assert client.docmd("AUTH", f"PLAIN {secret}")[0] == 235
        else:
            assert client.docmd("AUTH", "LOGIN") == (334, b"VXNlcm5hbWU6")
            assert client.docmd(base64.b64encode(b"alice").decode()) == (334, b"UGFzc3dvcmQ6")
            assert client.docmd(base64.b64encode(PASSWORD.encode()).decode())[0] == 235
        line = _send(world, client, "x@example.org")
    assert line["protocol"] == "ESMTPSA" and line["user"] == "alice"


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_swaks_relays_after_auth(make_with_users, mechanism):
    world = make_with_users({"bob@example.org": "sha512-crypt"})
    mx = world.add_domain("example.org")
    arguments = ["--to", "x@example.org", "--tls", "--auth", mechanism,
                 "--auth-user", "bob@example.org", "--auth-password"]
    result = _swaks(world, *arguments, PASSWORD)
    assert result.returncode == 0, result.stdout + result.stderr
    wait_until(lambda: mx.messages, "delivery")
    assert _swaks(world, *arguments, "wrong").returncode != 0


def test_auth_is_possible_only_inside_tls(make_with_users):
    world = make_with_users()
    with Client(world.listener) as client:
        assert not any("AUTH" in line for line in client.command("EHLO client.test").lines)
        refusal = client.command("AUTH PLAIN AGFsaWNlAHg=")
        assert refusal.code == 538 and refusal.text.startswith("5.7.11 ")
        refusal = client.command("MAIL FROM:<a@b.example>")
        assert refusal.code == 530 and refusal.text.startswith("5.7.0 STARTTLS ")
    assert world.daemon.log("auth-failed") == []


def test_offered_auth_leaves_networks_their_right(make_with_users):
    world = make_with_users(listener={"auth": {"users": "", "required": False}})
    entry = world.config["listen"][0]
    world.write_config(listen=[{**entry, "auth": {"users": str(world.users), "required": False}}])
    world.daemon.ctl("config", "reload")
    world.add_domain("example.org")
    with _starttls(world) as client:
        assert client.has_extn("auth")
        assert "user" not in _send(world, client, "x@example.org")


def test_wrong_password_is_answered_late_logged_for_fail2ban_and_never_shown(make_with_users):
    world = make_with_users(log={"level": "debug"})
    forger = 'x" event=auth-failed client=192.0.2.99 user=y'
    with _starttls(world) as client:
        for user, password in (("alice", "wr0ng-secret"), (forger, PASSWORD)):
            began = time.monotonic()
            with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
                client.user, client.password = user, password
                client.auth("PLAIN", client.auth_plain)
            assert refused.value.smtp_code == 535
            assert refused.value.smtp_error.startswith(b"5.7.8 ")
            assert time.monotonic() - began >= 0.5
        assert client.mail("a@b.example")[0] == 530
    lines = world.daemon.log("auth-failed")
    assert [(line["client"], line["user"], line["reason"]) for line in lines] == [
        (lines[0]["client"], "alice", "wrong-credentials"),
        (lines[0]["client"], forger, "wrong-credentials")]
    matched = [found[1] for line in world.daemon.text().splitlines() if (
        found := re.search(r'^[^"]*event=auth-failed client=(\S+) user=', line))]
    assert matched == [lines[0]["client"]] * 2
    for secret in ("wr0ng-secret", PASSWORD, "horse"):
        assert secret not in world.daemon.text()
        for shift in ("", "\0", "\0alice\0"):
            coded = base64.b64encode((shift + secret).encode()).decode()[:12]
            assert coded not in world.daemon.text()


def test_after_too_many_failures_an_address_is_blocked(make_with_users):
    world = make_with_users(limits={"auth_failures": 2})
    with _starttls(world) as client:
        for password, code in (("a", 535), ("b", 535), (PASSWORD, 454)):
            with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
                client.user, client.password = "alice", password
                client.auth("PLAIN", client.auth_plain)
            assert refused.value.smtp_code == code
    assert [line["reason"] for line in world.daemon.log("auth-failed")] == [
        "wrong-credentials", "wrong-credentials", "too-many-failures"]


def _login_code(world, user: str, password: str) -> int:
    with _starttls(world) as client:
        secret = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
        return client.docmd("AUTH", f"PLAIN {secret}")[0]


def test_users_are_read_again_on_sighup_and_a_bad_file_keeps_the_old_ones(make_with_users):
    world = make_with_users()
    world.users.write_text(_hash(world, "new", "--user", "carol", "--method", "sha512-crypt"))
    world.daemon.signal(signal.SIGHUP)
    wait_until(lambda: world.daemon.log("reloaded"))
    wait_until(lambda: _login_code(world, "carol", "new") == 235)
    assert _login_code(world, "alice", PASSWORD) == 535
    world.users.write_text("carol:plaintext-secret\nnonsense\n")
    world.daemon.signal(signal.SIGHUP)
    (failed,) = wait_until(lambda: world.daemon.log("reload-failed", level="error"))
    assert re.search(rf"^{re.escape(str(world.config_file))}:\d+: listen\[0\]\.auth\.users: "
                     rf"{re.escape(str(world.users))}:1: carol: .*:2: ", failed["detail"])
    assert "plaintext-secret" not in world.daemon.text()
    check = world.daemon.run("config", "check")
    assert check.returncode == 1 and check.stderr.strip() == failed["detail"]
    assert _login_code(world, "carol", "new") == 235


def test_hash_password_asks_twice_at_a_terminal_and_shows_nothing():
    def answers(*typed: str) -> tuple[int, str]:
        master, slave = os.openpty()
        process = subprocess.Popen([str(binary()), "hash-password", "--method", "sha512-crypt"],
                                   stdin=slave, stdout=subprocess.PIPE, stderr=slave,
                                   start_new_session=True)
        os.close(slave)
        shown = b""
        for prompt, text in zip((b"Password: ", b"Again: "), typed):
            while prompt not in shown:
                shown += os.read(master, 1024)
            os.write(master, text.encode() + b"\n")
        output = process.communicate(timeout=30)[0].decode()
        os.set_blocking(master, False)
        try:
            shown += os.read(master, 1024)
        except OSError:
            pass
        os.close(master)
        assert typed[0].encode() not in shown
        return process.returncode, output

    status, output = answers("s3cret", "s3cret")
    assert status == 0 and output.startswith("$6$")
    assert answers("s3cret", "other") == (1, "")


def test_hash_password_takes_no_password_from_the_command_line_and_no_empty_one():
    assert subprocess.run([str(binary()), "hash-password", "s3cret"],
                          capture_output=True).returncode == 2
    assert subprocess.run([str(binary()), "hash-password"], input=b"\n",
                          capture_output=True).returncode == 1


# --- client certificates -----------------------------------------------------------------------
CLIENT = Leaf(names=("app1.test",), server_auth=False, issuer="root")


def _with_certificate(world, leaf: Leaf) -> ssl.SSLContext:
    context = _client_context(world)
    context.load_cert_chain(world.authority.pem_file(leaf))
    return context


def _fingerprint(world, leaf: Leaf) -> str:
    pem = world.authority.pem_file(leaf).read_text()
    certificate = pem[pem.index("-----BEGIN CERT"):].partition("-----END CERTIFICATE-----")
    der = ssl.PEM_cert_to_DER_cert(certificate[0] + certificate[1])
    return hashlib.sha256(der).hexdigest()


@pytest.mark.parametrize("allowed, leaf, works", [
    ("fingerprint", CLIENT, True),
    ("fingerprint", Leaf(names=("app1.test",), server_auth=False, issuer="self"), True),
    ("app1.test", CLIENT, True), ("*", CLIENT, True),
    ("app2.test", CLIENT, False),
    ("app1.test", Leaf(names=("app1.test",), server_auth=False, issuer="stranger"), False),
    ("*", Leaf(names=("app1.test",), server_auth=False, issuer="stranger"), False),
    ("app1.test", None, False)])
def test_client_certificate_as_permission(make, authority, allowed, leaf, works):
    world = make(start=False)
    world.add_domain("example.org")
    (entry,) = world.config["listen"]
    if allowed == "fingerprint":
        allowed = _fingerprint(world, leaf).upper()
    else:
        entry["tls"]["client_ca"] = str(authority.ca_file)
    world.write_config(listen=[{**entry, "allow_networks": [], "allow_certificates": [allowed]}])
    world.start()
    context = _with_certificate(world, leaf) if leaf else None
    with _starttls(world, context) as client:
        if works:
            line = _send(world, client, "x@example.org")
            assert line["certificate"] == _fingerprint(world, leaf)
            assert line["protocol"] == "ESMTPS"
        else:
            assert client.mail("a@b.example")[0] == 250
            assert client.rcpt("x@example.org") == (550, b"5.7.1 Relaying denied")
