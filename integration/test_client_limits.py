"""Limits of clients: who sends more than it may is held, or refused, and nobody else is."""

import shutil
import signal
import smtplib
import ssl
import subprocess
import urllib.request
from base64 import b64encode

import pytest

from peers.ca import Leaf
from peers.client import Client
from peers.daemon import binary, wait_until
from peers.network import free_port
from peers.world import submit

CONTENT = b"From: alice@sender.example\r\nSubject: test\r\n\r\nbody\r\n"
HELD = "client app1: sent more than 3 messages per hour"


@pytest.fixture(scope="module")
def users() -> str:
    """Lines of two users; the password of each is its name."""
    return "".join(subprocess.run(
        [str(binary()), "hash-password", "--user", name, "--method", "sha512-crypt"],
        input=name + "\n", capture_output=True, text=True, check=True).stdout
        for name in ("app1", "app2"))


@pytest.fixture
def make(make_world, authority, users, tmp_path):
    """Makes a world whose listener has these settings more than its address, TLS and users."""
    shutil.copy(authority.pem_file(Leaf.good("relay.test")), tmp_path / "relay.pem")
    (tmp_path / "users").write_text(users)

    def listener(world, **settings) -> list[dict]:
        return [{"address": "%s:%d" % world.listener,
                 "tls": {"mode": "starttls", "certificate": str(tmp_path / "relay.pem")},
                 "auth": {"users": str(tmp_path / "users")}, **settings}]

    def make(config: dict = {}, **settings):
        world = make_world(start=False, **config)
        world.settings = lambda **more: listener(world, **more)
        world.write_config(listen=world.settings(**settings))
        world.inbox = world.add_domain("example.org")
        return world.start()

    return make


def login(world, user: str) -> smtplib.SMTP:
    client = world.smtp()
    client._host = "relay.test"
    client.starttls(context=ssl.create_default_context(cafile=str(world.authority.ca_file)))
    client.ehlo()
    client.login(user, user)
    return client


def send(world, user: str, count: int = 1, to: list[str] = ["x@example.org"]) -> list[str]:
    """Sends messages in one session; their queue ids."""
    with login(world, user) as client:
        return [submit(client, f"{user}@sender.example", to, CONTENT) for _ in range(count)]


def clients(world) -> dict[str, dict]:
    return {client["name"]: client for client in world.daemon.ctl("clients")["clients"]}


def held(world) -> dict[str, str]:
    """What is held, with the reason."""
    return {message["id"]: message["held"] for message in world.queue() if "held" in message}


# --- hold --------------------------------------------------------------------------------------------
def test_runaway_sender_is_held_without_loss_until_it_is_released(make):
    """The first ones are delivered, the rest is held over a crash, others do not notice."""
    world = make(client_rules=[{"users": ["app1"], "limits": {"messages": "3/h"}}])
    ids = send(world, "app1", 5)
    for id in ids[:3]:
        world.wait_for_delivery(id, "delivered")
    assert held(world) == {id: HELD for id in ids[3:]}
    [line] = world.daemon.log("client-held")
    assert line["level"] == "warning" and line["client"] == "app1"
    world.daemon.kill()
    world.start()
    # Nobody would be over a limit after the restart: it is the hold that was kept.
    ids += send(world, "app1")
    assert held(world) == {id: HELD for id in ids[3:]}
    assert len(send(world, "app2", 5)) == 5
    wait_until(lambda: len(world.inbox.messages) == 8, "the other user's messages")
    state = clients(world)["app1"]
    assert state["held"]["reason"] == "sent more than 3 messages per hour"
    assert world.daemon.ctl("status")["held_clients"] == [state["held"]]
    assert world.daemon.ctl("queue", "retry", "--all")["messages"] == 3
    assert held(world) == {id: HELD for id in ids[3:]}
    answer = world.daemon.ctl("clients", "release", "app1")
    assert (answer["messages"], answer["recipients"]) == (3, 3)
    for id in ids[3:]:
        world.wait_for_delivery(id, "delivered")
    world.wait_for_delivery(send(world, "app1")[0], "delivered")
    wait_until(lambda: world.queue() == [])
    assert sorted(m.sender for m in world.inbox.messages) == (
        ["app1@sender.example"] * 7 + ["app2@sender.example"] * 5)
    [released] = world.daemon.log("client-released")
    assert released["client"] == "app1" and released["by"].startswith("uid:")


def test_a_user_is_one_client_over_all_connections(make):
    world = make(limits={"messages": "3/h"})
    sessions = [login(world, "app1") for _ in range(4)]
    ids = [submit(client, "a@b.example", ["x@example.org"], CONTENT) for client in sessions]
    for client in sessions:
        client.quit()
    assert held(world) == {ids[3]: HELD}
    assert clients(world)["app1"]["messages"] == 4


def test_recipients_count_with_their_message(make):
    world = make(limits={"recipients": "3/h"})
    first = send(world, "app1", to=["x@example.org", "y@example.org"])[0]
    second = send(world, "app1", to=["x@example.org", "y@example.org"])[0]
    world.wait_for_delivery(first, "delivered")
    assert held(world) == {second: "client app1: sent to more than 3 recipients per hour"}
    assert clients(world)["app1"]["recipients"] == 4
    assert clients(world)["app1"]["recipients_limit"] == "3/h"


def test_an_operator_holds_and_releases_a_client(make):
    world = make()
    world.daemon.ctl("clients", "hold", "app1", "--reason", "password leaked")
    id = send(world, "app1")[0]
    assert held(world) == {id: "client app1: is held by the operator: password leaked"}
    world.wait_for_delivery(send(world, "app2")[0], "delivered")
    assert "app1" in world.daemon.run("status").stdout
    assert "password leaked" in world.daemon.run("clients").stdout
    answer = world.daemon.ctl("clients", "release", "app1", "--keep-messages")
    assert answer["messages"] == 0 and list(held(world)) == [id]
    world.wait_for_delivery(send(world, "app1")[0], "delivered")
    assert world.daemon.ctl("clients", "release", "app1")["messages"] == 1
    world.wait_for_delivery(id, "delivered")
    refused = world.daemon.run("clients", "release", "app1")
    assert refused.returncode == 1 and "app1 is not held" in refused.stderr


def test_held_clients_are_counted_in_the_metrics(make):
    address = f"127.0.0.1:{free_port('127.0.0.1')}"
    world = make(config={"metrics": {"address": address}}, limits={"messages": "1/h"})
    send(world, "app1", 3)
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=20) as answer:
        text = answer.read().decode()
    assert "stsrelay_clients_held 1\n" in text
    assert 'stsrelay_client_limits_total{result="held"} 2\n' in text


# --- refuse ------------------------------------------------------------------------------------------
def test_messages_over_the_rate_are_refused_for_now(make):
    world = make(limits={"messages": "2/h", "over": "refuse"})
    send(world, "app1", 2)
    with login(world, "app1") as client:
        code, text = client.mail("a@b.example")
        assert code == 450
        assert text == b"4.7.1 No more than 2 messages per hour from you: try again later"
    send(world, "app2", 2)
    wait_until(lambda: len(world.inbox.messages) == 4, "what was accepted")
    assert not held(world) and not world.daemon.log("client-held")
    assert clients(world)["app1"]["messages"] == 2


def test_recipients_over_the_rate_are_refused_and_the_others_get_the_message(make):
    world = make(limits={"recipients": "2/h", "over": "refuse"})
    with Client(world.listener) as client:
        client.command("EHLO a.test")
        assert client.commands("MAIL FROM:<a@b.example>", "RCPT TO:<x@example.org>",
                               "RCPT TO:<y@example.org>") == [250, 250, 250]
        reply = client.command("RCPT TO:<z@example.org>")
        assert reply.code == 450 and reply.text.startswith("4.7.1 No more than 2 recipients per hour")
        assert client.command("DATA").code == 354
        client.send(CONTENT + b".\r\n")
        assert client.reply().code == 250
    wait_until(lambda: world.inbox.messages, "delivery")
    assert sorted(world.inbox.messages[0].to) == ["x@example.org", "y@example.org"]


def test_other_limits_come_with_a_reload_and_counts_stay(make):
    world = make(limits={"messages": "2/h", "over": "refuse"})
    send(world, "app1", 2)
    world.write_config(listen=world.settings(limits={"messages": "3/h", "over": "refuse"}))
    world.daemon.signal(signal.SIGHUP)
    wait_until(lambda: world.daemon.log("reloaded"), "the reload")

    def third_is_accepted() -> bool:
        """Once the worker that serves it has the new limits."""
        with login(world, "app1") as client:
            accepted = client.mail("a@b.example")[0] == 250
            client.rset()
            return accepted and bool(submit(client, "a@b.example", ["x@example.org"], CONTENT))

    wait_until(third_is_accepted)
    with login(world, "app1") as client:
        assert client.mail("a@b.example")[0] == 450


# --- connections -------------------------------------------------------------------------------------
def test_connections_over_the_limit_are_told_so(make):
    world = make(allow_networks=[],
                 client_rules=[{"users": ["app1"], "limits": {"connections": 1}}])
    first = login(world, "app1")
    with world.smtp() as second:
        second._host = "relay.test"
        second.starttls(context=ssl.create_default_context(cafile=str(world.authority.ca_file)))
        second.ehlo()
        code, text = second.docmd("AUTH", "PLAIN " + b64encode(b"\0app1\0app1").decode())
        assert code == 421 and b"4.7.0" in text and b"no more than 1 at once from you" in text
        second.close()
    login(world, "app2").quit()
    submit(first, "a@b.example", ["x@example.org"], CONTENT)
    assert clients(world)["app1"]["connections"] == 1
    first.quit()
    wait_until(lambda: "app1" not in clients(world), "the place given back")
    login(world, "app1").quit()


def test_connections_of_an_address_are_counted_before_anything_is_said(make):
    world = make(limits={"connections": 2})
    wait_until(lambda: not clients(world), "the look whether the daemon is ready")
    with Client(world.listener) as first, Client(world.listener) as second:
        assert first.command("EHLO a.test").code == second.command("EHLO b.test").code == 250
        with smtplib.SMTP() as third:
            code, text = third.connect(*world.listener)
            assert code == 421 and b"4.7.0" in text and b"no more than 2 at once" in text
            third.close()
    wait_until(lambda: world.daemon.log("refused", reason="listen.limits.connections"))
