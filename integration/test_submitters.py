"""What a listener makes of its own submitters: a proxy in front of it, whom they may send as and
to, and what is done to their headers."""

import re
import shutil
import signal
import socket
import ssl
import subprocess

import pytest

from peers.ca import Leaf
from peers.client import Client
from peers.daemon import binary, wait_until
from peers.world import submit

SUBJECT = b"From: alice@sender.example\r\nSubject: test\r\n\r\nbody\r\n"


@pytest.fixture
def make(make_world):
    """Makes a world whose listener has these settings more than its address."""

    def make(start: bool = True, listener: dict = {}, **config):
        world = make_world(start=False, **config)
        world.write_config(listen=[{"address": "%s:%d" % world.listener, **listener}])
        world.inbox = world.add_domain("example.org")
        return world.start() if start else world

    return make


@pytest.fixture
def certificate(authority, tmp_path) -> str:
    shutil.copy(authority.pem_file(Leaf.good("relay.test")), tmp_path / "relay.pem")
    return str(tmp_path / "relay.pem")


def delivered(world, content: bytes, sender: str = "alice@sender.example"):
    with world.smtp() as client:
        submit(client, sender, ["x@example.org"], content)
    wait_until(lambda: world.inbox.messages, "delivery")
    return world.inbox.messages[0]


def header_of(message) -> str:
    return message.content.partition(b"\r\n\r\n")[0].decode()


class ClientFrom(Client):
    """A client at one of our own addresses; first: what comes before anything is read."""

    def __init__(self, server, address: str = "127.0.0.2", first: bytes = b"") -> None:
        self._socket = socket.socket()
        self._socket.settimeout(20)
        self._socket.bind((address, 0))
        self._socket.connect(server)
        self._buffer = b""
        self.send(first)


# --- PROXY protocol -------------------------------------------------------------------------------
# What tests whether the daemon is ready connects from another address than the proxy's.
PROXY = {"proxy_protocol": ["127.0.0.2/32"], "allow_networks": ["192.0.2.0/24", "2001:db8::/32"]}
V2 = b"\r\n\r\n\x00\r\nQUIT\n"
IPV4 = bytes([192, 0, 2, 9, 192, 0, 2, 25, 0x9c, 0x40, 0, 25])
IPV6 = (socket.inet_pton(socket.AF_INET6, "2001:db8::9")
        + socket.inet_pton(socket.AF_INET6, "2001:db8::25") + bytes([0x9c, 0x40, 0, 25]))


@pytest.fixture
def proxied(make):
    return make(listener=PROXY)


@pytest.mark.parametrize("header, address", [
    (b"PROXY TCP4 192.0.2.9 192.0.2.25 40000 25\r\n", "192.0.2.9"),
    (b"PROXY TCP6 2001:db8::9 2001:db8::25 40000 25\r\n", "2001:db8::9"),
    (V2 + b"\x21\x11\x00\x0c" + IPV4, "192.0.2.9"),
    (V2 + b"\x21\x21\x00\x24" + IPV6, "2001:db8::9")], ids=["v1-4", "v1-6", "v2-4", "v2-6"])
def test_the_proxys_header_says_who_the_client_is(proxied, header, address):
    with ClientFrom(proxied.listener, first=header) as client:
        assert client.reply().code == 220
        client.start_data("alice@sender.example", "x@example.org")
        client.send(SUBJECT + b".\r\n")
        assert client.reply().code == 250
    wait_until(lambda: proxied.daemon.log("accepted", client=address))
    wait_until(lambda: proxied.inbox.messages, "delivery")
    literal = f"[IPv6:{address}]" if ":" in address else f"[{address}]"
    assert f"from client.test ({literal})" in header_of(proxied.inbox.messages[0])


def test_clients_from_elsewhere_are_not_served_for_their_proxys_sake(proxied):
    header = b"PROXY TCP4 198.51.100.1 192.0.2.25 1 25\r\n"
    with ClientFrom(proxied.listener, first=header) as client:
        assert client.reply().code == 220
        assert client.commands("EHLO a.test", "MAIL FROM:<a@b.example>",
                               "RCPT TO:<x@example.org>") == [250, 250, 550]


@pytest.mark.parametrize("header", [b"PROXY UNKNOWN\r\n", V2 + b"\x20\x00\x00\x00"],
                         ids=["UNKNOWN", "LOCAL"])
def test_a_proxys_own_connection_is_served_as_its_own(proxied, header):
    with ClientFrom(proxied.listener, first=header) as client:
        assert client.reply().code == 220
        assert client.commands("EHLO a.test", "MAIL FROM:<a@b.example>",
                               "RCPT TO:<x@example.org>") == [250, 250, 550]
    wait_until(lambda: proxied.daemon.log("rejected", client="127.0.0.2"))


@pytest.mark.parametrize("octets", [b"EHLO a.test\r\n", b"PROXY TCP4 1.2.3.4\r\n",
                                    V2 + b"\x21\x12\x00\x0c" + IPV4])
def test_a_proxy_without_a_right_header_is_cut_off(proxied, octets):
    with ClientFrom(proxied.listener, first=octets) as client:
        assert client.closed()
    wait_until(lambda: proxied.daemon.log("refused", client="127.0.0.2", reason="proxy-header"))


def test_a_header_from_others_is_refused_and_they_are_served_without(proxied):
    with Client(proxied.listener) as client:
        assert client.command("PROXY TCP4 192.0.2.9 192.0.2.25 40000 25").code == 421
        assert client.closed()
    wait_until(lambda: proxied.daemon.log("closed", reason="proxy-header"))
    with Client(proxied.listener) as client:
        assert client.command("EHLO a.test").code == 250


def test_a_header_in_single_octets_is_read(proxied):
    with ClientFrom(proxied.listener) as client:
        for octet in b"PROXY TCP4 192.0.2.9 192.0.2.25 40000 25\r\n":
            client.send(bytes([octet]))
        assert client.reply().code == 220


def test_which_proxies_are_believed_follows_a_reload(proxied):
    proxied.write_config(listen=[{"address": "%s:%d" % proxied.listener}])
    proxied.daemon.signal(signal.SIGHUP)
    wait_until(lambda: proxied.daemon.log("reloaded"), "the reload")
    with ClientFrom(proxied.listener) as client:
        assert client.reply().code == 220


def test_implicit_tls_comes_after_the_header(make, authority, certificate):
    world = make(listener={"tls": {"mode": "implicit", "certificate": certificate}, **PROXY})
    context = ssl.create_default_context(cafile=str(authority.ca_file))
    with socket.socket() as plain:
        plain.settimeout(20)
        plain.bind(("127.0.0.2", 0))
        plain.connect(world.listener)
        plain.sendall(b"PROXY TCP4 192.0.2.9 192.0.2.25 40000 465\r\n")
        with context.wrap_socket(plain, server_hostname="relay.test") as inside:
            assert inside.recv(100).startswith(b"220 ")


@pytest.mark.parametrize("version, family", [("1", "TCP4"), ("2", "AF_INET")])
def test_swaks_as_a_proxy_delivers(proxied, version, family):
    result = subprocess.run(
        ["swaks", "--server", proxied.listener[0], "--port", str(proxied.listener[1]),
         "--local-interface", "127.0.0.2", "--from", "alice@sender.example",
         "--to", "x@example.org", "--proxy-version", version, "--proxy-family", family,
         "--proxy-source", "192.0.2.9", "--proxy-source-port", "40000",
         "--proxy-dest", "192.0.2.25", "--proxy-dest-port", "25"],
        capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stdout + result.stderr
    wait_until(lambda: proxied.daemon.log("accepted", client="192.0.2.9"))


# --- senders and recipients -----------------------------------------------------------------------
def test_senders_and_recipients_outside_the_lists_are_refused_plainly(make):
    world = make(listener={"senders": {"allow": ["sender.example"], "deny": ["ceo@sender.example"]},
                           "recipients": {"allow": ["*.example.org", "example.org"]}})
    with Client(world.listener) as client:
        client.command("EHLO a.test")
        for sender in ("ceo@sender.example", "a@other.example", ""):
            reply = client.command(f"MAIL FROM:<{sender}>")
            assert reply.code == 550 and reply.text.startswith("5.7.1 You may not send as")
            assert "sender.example" not in (reply.text.replace(sender, "") if sender else reply.text)
        assert client.command("MAIL FROM:<Alice@Sender.example>").code == 250
        reply = client.command("RCPT TO:<x@elsewhere.example>")
        assert reply.code == 550 and reply.text.startswith("5.7.1 You may not send to this address")
        assert client.commands("RCPT TO:<x@example.org>", "RCPT TO:<x@a.example.org>") == [250, 250]
    stages = [line["stage"] for line in world.daemon.log("rejected")]
    assert stages == ["MAIL"] * 3 + ["RCPT"]


def test_rules_of_a_network_add_to_the_listeners(make):
    world = make(listener={"client_rules": [{"networks": ["127.0.0.3/32"],
                                             "recipients": {"allow": ["example.org"]}}]})
    for address, code in (("127.0.0.3", 550), ("127.0.0.4", 250)):
        with ClientFrom(world.listener, address) as client:
            assert client.reply().code == 220
            assert client.commands("EHLO a.test", "MAIL FROM:<a@b.example>",
                                   "RCPT TO:<x@elsewhere.example>") == [250, 250, code]


def test_rules_of_a_user_count_once_he_has_authenticated(make, authority, certificate, tmp_path):
    hashed = subprocess.run([str(binary()), "hash-password", "--user", "app", "--method",
                             "sha512-crypt"], input="secret\n", capture_output=True, text=True)
    (tmp_path / "users").write_text(hashed.stdout)
    world = make(listener={"auth": {"users": str(tmp_path / "users")},
                           "tls": {"mode": "starttls", "certificate": certificate},
                           "client_rules": [{"users": ["app"],
                                             "senders": {"allow": ["app.example"]}}]})
    with world.smtp() as client:
        assert client.mail("a@other.example")[0] == 250
        client.rset()
        client._host = "relay.test"
        client.starttls(context=ssl.create_default_context(cafile=str(authority.ca_file)))
        client.ehlo()
        client.login("app", "secret")
        assert client.mail("a@other.example")[0] == 550
        assert client.mail("a@app.example")[0] == 250


# --- headers --------------------------------------------------------------------------------------
def test_missing_date_and_message_id_are_added_and_nothing_else(make):
    header = header_of(delivered(make(), SUBJECT))
    received, _, rest = header.partition("From: alice")
    assert received.startswith("Received: ")
    assert re.fullmatch(r"@sender.example\r\nSubject: test\r\nDate: \w{3}, \d+ \w{3} \d{4} [\d:]{8} "
                        r"\+0000\r\nMessage-ID: <[0-9A-Za-z]+@relay\.test>", rest)


@pytest.mark.parametrize("listener, extra", [({"add_missing_headers": False}, b""),
                                             ({}, b"DKIM-Signature: v=1; d=a.example\r\n")])
def test_nothing_is_added_to_signed_mail_or_where_it_is_switched_off(make, listener, extra):
    message = delivered(make(listener=listener), extra + SUBJECT)
    assert message.content.endswith(extra + SUBJECT)
    assert "Date:" not in header_of(message) and "Message-ID" not in header_of(message)


def test_a_sender_is_rewritten_in_envelope_and_from(make):
    world = make(listener={"rewrite_senders": [{"match": "bare-host", "to": "ops@example.com"}]})
    message = delivered(world, b"From: Root <root@bare-host>\r\nSender: root@bare-host\r\n\r\nb\r\n",
                        "root@bare-host")
    assert message.sender == "ops@example.com"
    assert "\r\nFrom: Root <ops@example.com>\r\nSender: root@bare-host\r\n" in header_of(message)


@pytest.mark.parametrize("extra", [b"Received: from a by b; now\r\n", b"DKIM-Signature: v=1\r\n"])
def test_from_of_relayed_or_signed_mail_is_never_rewritten(make, extra):
    world = make(listener={"rewrite_senders": [{"match": "bare-host", "to": "@example.com"}]})
    content = b"From: root@bare-host\r\n" + extra + b"Date: x\r\nMessage-ID: <a@b>\r\n\r\nb\r\n"
    assert delivered(world, content, "root@bare-host").content.endswith(content)


def test_a_hidden_client_is_in_no_header(make):
    world = make(listener={"hide_client": True})
    header = header_of(delivered(world, SUBJECT))
    assert re.match(r"Received: by relay\.test with ESMTP id \w+\r\n\tfor <x@example.org>;", header)
    assert "client.test" not in header and "127." not in header
    (line,) = world.daemon.log("accepted")
    assert line["client"].startswith("127.") and line["helo"] == "client.test"
