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
    assert line["result"] == "deferred"
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
def _ends(world, reason: str, count: int = 1, **fields: str) -> list[dict]:
    """The log lines of so many sessions that ended for a reason."""
    return wait_until(lambda: len(lines := world.daemon.log("closed", reason=reason, **fields))
                      >= count and lines, f"{count} ends with reason={reason}")


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
    lines = _ends(world, "silence", 5, stage="connect")
    assert all(line["reply"].startswith("421 4.4.2 ") for line in lines)
    assert world.daemon.log("refused", reason="limits.connections")
    for client in clients:
        client.close()


def test_session_ends_at_its_deadline_between_commands_and_within_a_message(make_world):
    world = make_world(limits={"session_timeout": "2s", "junk_commands": 1000000})
    busy, writing = Client(world.listener, timeout=10), Client(world.listener, timeout=10)
    writing.start_data("a@b.example", "x@late.example")
    codes = []
    started = time.monotonic()
    with pytest.raises((EOFError, OSError)):
        while time.monotonic() - started < 10:
            writing.send(b"x" * 70 + b"\r\n")
            codes.append(busy.command("NOOP").code)
            time.sleep(0.02)
    assert time.monotonic() - started < 8
    assert codes[-1] == 421 or busy.closed()
    _ends(world, "session", stage="DATA", **{"from": "a@b.example"})
    _ends(world, "session", stage="connect")
    assert world.queue() == []
    for client in (busy, writing):
        client.close()


def test_silence_is_cut_short_for_strangers_and_when_places_run_out(make_world):
    strangers, crowded = make_world(start=False), make_world(limits={"connections": 6})
    strangers.write_config(listen=[{"address": "%s:%d" % strangers.listener,
                                    "allow_networks": ["192.0.2.0/24"]}])
    strangers.start()
    started = time.monotonic()
    clients = [Client(world.listener, timeout=30) for world in [strangers] + [crowded] * 5]
    assert clients[0].reply().code == 421
    _ends(strangers, "silence")
    _ends(crowded, "silence")  # as many as it takes to have room again
    assert 9 < time.monotonic() - started < 25
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
    _ends(world, "silence", stage="connect")


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
    _ends(world, "rate", stage="DATA", **{"from": "a@b.example"})
    assert world.queue() == []


@pytest.mark.parametrize("reason, stage, lines", [
    ("junk", "command", ["EHLO c"] + ["NOOP"] * 5),
    ("junk", "command", ["EHLO c"] * 6),
    ("line-length", "command", ["EHLO c"] + ["NOOP " + "x" * 3000] * 3),
    ("errors", "command", ["EHLO c"] + ["NONSENSE"] * 4),
    ("errors", "BDAT", ["EHLO c"] + ["BDAT 0 LAST"] * 4),
    ("nul", "command", ["EHLO c", "NOOP \0"]),
    ("http", "connect", ["GET /" + "a" * 5000 + " HTTP/1.1"]),
    ("tls-hello", "connect", ["\x16\x03\x01"]),
    ("out-of-step", "BDAT", ["EHLO c", "BDAT x"])])
def test_cut_session_leaves_a_line_with_its_reason(make_world, reason, stage, lines):
    world = make_world(limits={"junk_commands": 4, "soft_errors": 4, "hard_errors": 4})
    with Client(world.listener, timeout=10) as client:
        client.send("".join(line + "\r\n" for line in lines).encode())
        assert client.closed()
    (line,) = _ends(world, reason, stage=stage)
    assert line["client"] == "127.0.0.1" and line["reply"].startswith("421 ")
    assert len(world.daemon.log("closed", reason=reason)) == 1


def test_refusals_name_the_sender_of_their_transaction(make_world):
    world = make_world()
    with Client(world.listener) as client:
        client.send(b"EHLO c\r\nMAIL FROM:<one@b.example>\r\nRCPT TO:<x>\r\nRSET\r\n"
                    b"MAIL FROM:<>\r\nRCPT TO:<x@d.example>\r\nBDAT 3 LAST\r\na\nb"
                    b"MAIL FROM:<two@b.example>\r\nQUIT\r\n")
        assert client.closed()
    wait_until(lambda: len(world.daemon.log("rejected")) == 2)
    rcpt, content = world.daemon.log("rejected")
    assert (rcpt["stage"], rcpt["from"]) == ("RCPT", "one@b.example")
    assert (content["stage"], content["from"], content["to"]) == ("content", "<>", "x@d.example")
    assert content["reply"].startswith("550 5.5.2 ")


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
    stage = {"mail": "MAIL", "data": "DATA", "body": "DATA", "bdat": "BDAT"}.get(at)
    if stage:
        assert all(line["from"] == "a@b.example" and line["detail"]
                   for line in _ends(world, "lost", 5, stage=stage))
    else:
        assert not world.daemon.log("closed")


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
