"""Slow, endless, flooding and vanishing peers: a bounded wait, a reason, a slot that comes back."""

import random
import time

import pytest

from peers.client import Client
from peers.daemon import wait_until
from peers.mx import Deaf, Drop, Endless, Reset, Silence, Slow, ThenDrop
from peers.world import World

STAGES = ["greeting", "ehlo", "starttls", "mail", "rcpt", "data", "final_dot"]
VERBS = {"greeting": "GREETING", "final_dot": "DOT"}
ENDLESS = {"lines": b"250-more\r\n", "line": b"250-" + b"x" * 500, "empty": b"\r\n",
           "nul": b"\0" * 200}
SHORT = {"timeouts": {stage: "1s" for stage in (*STAGES, "connect", "body", "rset")}}


@pytest.fixture(scope="module")
def world(authority):
    world = World(authority, {"delivery": SHORT}).start()
    yield world
    world.close()


def _defers(world, domain: str, seconds: float = 15) -> dict:
    started = time.monotonic()
    line = world.wait_for_delivery(world.send(f"x@{domain}"), "deferred", seconds)
    assert time.monotonic() - started < seconds
    assert line["reply"] and line["dsn"].startswith("4.")
    return line


def _slot_is_free(world, mx) -> None:
    wait_until(lambda: mx.open_connections == 0, "the connection to be closed")


@pytest.mark.parametrize("stage", STAGES)
def test_silence_ends_at_the_stages_deadline(world, stage):
    domain = f"silent-{stage.replace('_', '-')}.example"
    mx = world.add_domain(domain, "enforce")
    if stage == "starttls":
        mx.script.starttls = "stall"
    else:
        mx.script.rules[VERBS.get(stage, stage.upper())] = Silence()
    _defers(world, domain)
    _slot_is_free(world, mx)


@pytest.mark.parametrize("stage", ["GREETING", "EHLO", "MAIL", "DOT"])
def test_one_octet_a_second_does_not_stretch_the_deadline(world, stage):
    domain = f"drip-{stage.lower()}.example"
    mx = world.add_domain(domain, rules={stage: Slow("250 2.0.0 " + "x" * 100, 0.3)})
    _defers(world, domain, 10)
    _slot_is_free(world, mx)


@pytest.mark.parametrize("stage", ["GREETING", "EHLO", "MAIL", "DOT"])
@pytest.mark.parametrize("kind", ENDLESS)
def test_endless_reply_is_cut_off(world, stage, kind):
    domain = f"endless-{stage.lower()}-{kind}.example"
    mx = world.add_domain(domain, rules={stage: Endless(ENDLESS[kind])})
    _defers(world, domain)
    _slot_is_free(world, mx)


def test_ten_megabytes_of_ehlo_lines_cost_one_slot_and_no_memory(world):
    mx = world.add_domain("ehlo-flood.example",
                          rules={"EHLO": Endless(b"250-EXTENSION-NOBODY-KNOWS\r\n", 10 << 20)})
    before = world.daemon.memory_peak()
    _defers(world, "ehlo-flood.example")
    _slot_is_free(world, mx)
    assert world.daemon.memory_peak() - before < 8 << 20


@pytest.mark.parametrize("action", ["drop", "reset", "then-drop"])
@pytest.mark.parametrize("stage", ["GREETING", "EHLO", "MAIL", "RCPT", "DATA", "BODY", "DOT"])
def test_close_at_any_state_is_a_deferral(world, stage, action):
    domain = f"{action}-{stage.lower()}.example"
    rule = {"drop": Drop(), "reset": Reset(), "then-drop": ThenDrop("421 4.3.2 bye")}[action]
    mx = world.add_domain(domain, rules={stage: rule})
    _defers(world, domain)
    _slot_is_free(world, mx)
    # No message is lost: it goes through as soon as the host behaves.
    mx.script.rules.clear()
    id = next(e["id"] for e in world.queue() if domain in str(e))
    world.daemon.ctl("queue", "retry", id)
    world.wait_for_delivery(id, "delivered")
    assert len(mx.messages) == 1


@pytest.mark.parametrize("reply", [
    b"<html>hello</html>\r\n", b"999 what\r\n", b"25 short\r\n", b"250-a\r\n251 b\r\n",
    b"199 early\r\n", b"\xff\xfe\xfd\r\n"])
@pytest.mark.parametrize("stage", ["GREETING", "MAIL", "DOT"])
def test_nonsense_replies_are_a_deferral(world, stage, reply):
    domain = f"nonsense-{stage.lower()}-{reply[:3].hex()}.example"
    mx = world.add_domain(domain, rules={stage: reply})
    _defers(world, domain)
    _slot_is_free(world, mx)


def test_garbage_after_starttls_ties_up_nothing(world):
    mx = world.add_domain("garbage.example", "enforce", starttls="garbage")
    _defers(world, "garbage.example")
    _slot_is_free(world, mx)


@pytest.mark.parametrize("extra", [b"250 2.1.5 extra", b"550 5.0.0 extra"])
def test_reply_nobody_asked_for_never_makes_a_message_delivered(world, extra):
    domain = f"eager-{extra[:3].decode()}.example"
    mx = world.add_domain(domain, rules={"MAIL": b"250 2.1.0 ok\r\n" + extra + b"\r\n"})
    id = world.send(f"x@{domain}")
    (line,) = wait_until(lambda: world.deliveries(id=id))
    # Only what comes after the extra reply shows that it was one.
    assert line["result"] == ("deferred" if extra.startswith(b"250") else "failed")
    assert mx.messages == []
    (session,) = world.daemon.log("session", id=id)
    assert session["detail"].startswith("Not an SMTP reply: DATA was answered with 250")


def test_body_that_is_not_read_ends_at_its_deadline(world):
    mx = world.add_domain("deaf.example", rules={"BODY": Deaf(4)})
    id = world.send("x@deaf.example", body=(b"x" * 70 + b"\r\n") * 300_000)
    world.wait_for_delivery(id, "deferred")
    _slot_is_free(world, mx)


def test_bad_peers_do_not_hold_up_good_ones(world):
    for n in range(20):
        world.add_domain(f"bad{n}.example", rules={"GREETING": Silence()})
        world.send(f"x@bad{n}.example")
    world.add_domain("fine.example")
    started = time.monotonic()
    world.wait_for_delivery(world.send("x@fine.example"), "delivered")
    assert time.monotonic() - started < 5


# --- bad clients --------------------------------------------------------------------------------
def test_slow_clients_lose_their_slot(make_world):
    world = make_world(limits={"connections": 5, "connections_per_client": 5,
                               "command_timeout": "1s", "session_timeout": "3s"})
    world.add_domain("after.example")
    clients = [Client(world.listener) for _ in range(5)]
    for client in clients:
        client.send(b"EHL")

    def accepted() -> bool:
        with Client(world.listener, greet=False) as late:
            return late.reply().code == 220

    wait_until(accepted, "a free slot")
    for client in clients:
        client.close()


def test_drip_fed_command_does_not_outlive_its_deadline(make_world):
    world = make_world(limits={"command_timeout": "1s"})
    with Client(world.listener, timeout=10) as client:
        started = time.monotonic()
        for octet in b"NOOP xxxxxxxxxx":
            client.send(bytes([octet]))
            time.sleep(0.1)
        assert client.reply().code == 421
        assert time.monotonic() - started < 5


def test_data_below_the_minimum_rate_is_cut_off(make_world):
    world = make_world(limits={"minimum_data_rate": 5000, "command_timeout": "5s"})
    with Client(world.listener, timeout=10) as client:
        client.start_data("a@b.example", "x@rate.example")
        started = time.monotonic()
        with pytest.raises(OSError):
            while time.monotonic() - started < 90:
                client.send(b"x\r\n")
                time.sleep(0.2)
        assert time.monotonic() - started < 85
    assert world.queue() == []


def test_flood_of_commands_is_read_no_faster_than_answered(make_world):
    world = make_world(limits={"junk_commands": 1000000})
    before = world.daemon.memory_peak()
    with Client(world.listener, timeout=2) as client:
        client.command("EHLO c")
        try:
            for _ in range(2000):
                client.send(b"NOOP\r\n" * 1000)  # and no reply is read
        except OSError:
            pass
    assert world.daemon.memory_peak() - before < 16 << 20
    with Client(world.listener) as client:
        assert client.commands("NOOP") == [250]


@pytest.mark.parametrize("at", ["greeting", "mail", "data", "body", "bdat"])
def test_client_that_vanishes_leaves_nothing(make_world, at):
    world = make_world()
    scripts = {"greeting": b"", "mail": b"EHLO c\r\nMAIL FROM:<a@b.example>\r\n",
               "data": b"EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<x@gone.example>\r\nDATA\r\n",
               "bdat": b"EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<x@gone.example>\r\n"
                       b"BDAT 100 LAST\r\nhalf"}
    scripts["body"] = scripts["data"] + b"Subject: x\r\n\r\nhalf a message\r\n."
    for _ in range(5):
        client = Client(world.listener)
        client.send(scripts[at])
        client.close()
    with Client(world.listener) as client:
        assert client.commands("NOOP") == [250]
    assert world.queue() == []


def test_random_octets_never_hurt_the_daemon(make_world):
    world = make_world()
    noise = random.Random(8461)
    for _ in range(50):
        client = Client(world.listener)
        try:
            client.send(noise.randbytes(noise.randrange(1, 5000)) + b"\r\n")
        except OSError:
            pass
        client.close()
    with Client(world.listener) as client:
        assert client.commands("EHLO c") == [250]
