"""What operators do to the queue: holds, pauses, returns, removals, and what they are told."""

import smtplib
import threading
import urllib.request

import pytest

from peers.daemon import wait_until
from peers.mx import Silence
from peers.network import free_port

BUSY = {"MAIL": "451 4.3.0 later"}


def restart(world, **config) -> None:
    world.daemon.stop()
    world.write_config(**config)
    world.start()


def deferred(world, to: str, **options) -> str:
    """A message whose first attempt was put off for an hour."""
    id = world.send(to, **options)
    world.wait_for_delivery(id, "deferred")
    settled(world, id)
    return id


def settled(world, id: str) -> None:
    """Waits until the outcome of the last attempt is stored."""
    wait_until(lambda: ctl(world, "why", id)["state"] != "under way")


def ctl(world, *arguments):
    return world.daemon.ctl("queue", *arguments)


def show(world, id: str) -> dict:
    return ctl(world, "show", id)


# --- hold and release -------------------------------------------------------------------------------
def test_held_message_is_not_tried_over_a_restart_until_it_is_released(make_world):
    world = make_world()
    mx = world.add_domain("held.example", rules=dict(BUSY))
    id = deferred(world, "x@held.example")
    assert ctl(world, "hold", id, "--reason", "looks hacked")["messages"] == 1
    mx.script.rules.clear()
    restart(world)
    assert ctl(world, "retry", "--all")["messages"] == 1
    other = world.send("y@held.example")
    world.wait_for_delivery(other, "delivered")
    assert show(world, id)["held"] == "looks hacked"
    assert world.daemon.ctl("status")["queue"]["held"] == 1
    assert len(mx.messages) == 1
    assert ctl(world, "release", "--held-for", "hacked")["ids"] == [id]
    world.wait_for_delivery(id, "delivered")
    wait_until(lambda: world.queue() == [])


def test_held_message_does_not_expire_and_its_life_goes_on_after_the_release(make_world):
    world = make_world(queue={"lifetime": "1d"})
    world.add_domain("long.example", rules=dict(BUSY))
    id = deferred(world, "x@long.example")
    ctl(world, "hold", id)
    restart(world, test_world={"clock_offset": "30d"})
    assert show(world, id)["held"] == "held by the operator"
    ctl(world, "release", id)
    wait_until(lambda: len(world.deliveries(id=id)) == 2)
    settled(world, id)
    assert world.deliveries(id=id)[1]["result"] == "deferred"  # not expired
    assert [message["id"] for message in world.queue()] == [id]


def test_held_messages_are_counted_in_the_metrics(make_world):
    address = make_metrics_address()
    world = make_world(metrics={"address": address})
    world.add_domain("busy.example", rules=dict(BUSY))
    ctl(world, "hold", deferred(world, "x@busy.example"))
    deferred(world, "y@busy.example")
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=20) as answer:
        text = answer.read().decode()
    assert 'stsrelay_queue_messages{state="held"} 1\n' in text
    assert 'stsrelay_queue_messages{state="queued"} 1\n' in text


def make_metrics_address() -> str:
    return f"127.0.0.1:{free_port('127.0.0.1')}"


# --- which messages are meant ------------------------------------------------------------------------
def test_messages_are_meant_by_sender_recipient_domain_and_age_together(make_world):
    world = make_world()
    for domain in ("a.example", "b.example"):
        world.add_domain(domain, rules=dict(BUSY))
    first = deferred(world, "x@a.example", sender="alice@sender.example")
    second = deferred(world, ["x@a.example", "y@b.example"], sender="bob@sender.example")
    for options, expected in [
            (["--sender", "ALICE"], [first]), (["--domain", "b.example"], [second]),
            (["--recipient", "x@", "--sender", "bob"], [second]),
            (["--recipient", "x@"], [first, second]), (["--newer-than", "1h"], [first, second]),
            (["--older-than", "1h"], []), (["--held"], []), ([second], [second]),
            (["--all"], [first, second])]:
        answer = ctl(world, "hold", "--dry-run", *options)
        assert answer["ids"] == expected, options
    assert all("held" not in message for message in world.queue())
    assert not world.daemon.log("queue-change")


def test_everything_is_meant_only_if_that_is_said(world):
    for verb in ("hold", "release", "retry", "requeue", "bounce", "remove"):
        result = world.daemon.run("queue", verb)
        assert result.returncode == 2 and "--all" in result.stderr, verb
    result = world.daemon.run("queue", "hold", "3KX0W7QZ2H")
    assert result.returncode == 1 and "no message 3KX0W7QZ2H in the queue" in result.stderr


def test_each_change_is_recorded_with_who_made_it(make_world):
    world = make_world()
    world.add_domain("busy.example", rules=dict(BUSY))
    id = deferred(world, "x@busy.example")
    ctl(world, "hold", id, "--reason", "ticket 7")
    ctl(world, "remove", id)
    held, removed = world.daemon.log("queue-change", id=id)
    assert held["action"] == "hold" and held["reason"] == "ticket 7"
    assert removed["action"] == "remove" and removed["by"].startswith("uid:")


# --- bounce, remove, requeue -------------------------------------------------------------------------
def test_bounce_tells_the_sender_why_and_remove_tells_nobody(make_world):
    world = make_world()
    home = world.add_domain("sender.example")
    world.add_domain("left.example", rules=dict(BUSY))
    returned = deferred(world, ["x@left.example", "y@left.example"])
    removed = deferred(world, "z@left.example")
    assert ctl(world, "remove", removed)["recipients"] == 1
    answer = ctl(world, "bounce", "--domain", "left.example", "--reason", "They have left us.")
    assert (answer["messages"], answer["recipients"], answer["notices"]) == (1, 2, 1)
    wait_until(lambda: world.queue() == [])
    assert len(home.messages) == 1
    notice = home.messages[0]
    assert notice.sender == "" and notice.to == ["alice@sender.example"]
    assert b"They have left us." in notice.content and b"Action: failed" in notice.content
    assert returned.encode() in notice.content or b"x@left.example" in notice.content


def test_only_the_recipients_that_match_are_returned_or_removed(make_world):
    world = make_world()
    world.add_domain("sender.example")
    for domain in ("a.example", "b.example", "c.example"):
        world.add_domain(domain, rules=dict(BUSY))
    id = world.send(["x@a.example", "x@b.example", "x@c.example"])
    wait_until(lambda: len(world.deliveries(id=id, result="deferred")) == 3)
    settled(world, id)
    ctl(world, "remove", "--domain", "a.example")
    ctl(world, "bounce", "--domain", "b.example")
    assert [each["domain"] for each in show(world, id)["recipients"]] == ["c.example"]
    assert "held" not in show(world, id)


@pytest.mark.parametrize("verb, left", [("remove", 0), ("bounce", 1)])
def test_attempt_under_way_ends_and_what_was_removed_does_not_come_back(make_world, verb, left):
    world = make_world(delivery={"timeouts": {"final_dot": "2s"}})
    mx = world.add_domain("slow.example", rules={"DOT": Silence()})
    id = world.send("x@slow.example")
    wait_until(lambda: world.daemon.ctl("status")["deliveries_in_flight"] == 1 and
               any("DATA" in session.commands for session in mx.sessions))
    assert ctl(world, verb, id)["under_way"] == 1
    world.wait_for_delivery(id, "deferred")
    if left:
        settled(world, id)
    assert len(world.queue()) == left
    mx.script.rules.clear()
    ctl(world, "retry", "--all")
    if left:
        wait_until(lambda: world.queue() == [])
    restart(world)
    assert world.queue() == []
    assert len([m for m in mx.messages if m.accepted]) == left
    assert not world.daemon.log("notice")


def test_requeue_begins_the_schedule_anew(make_world):
    world = make_world(queue={"retry": ["0s", "0s", "1h"], "lifetime": "2d"})
    mx = world.add_domain("busy.example", rules=dict(BUSY))
    id = world.send("x@busy.example")
    wait_until(lambda: len(world.deliveries(id=id)) == 2)
    settled(world, id)
    old = show(world, id)
    restart(world, queue={"lifetime": "5d"})
    assert ctl(world, "requeue", id)["recipients"] == 1
    wait_until(lambda: len(world.deliveries(id=id)) == 4)
    settled(world, id)
    assert world.deliveries(id=id)[2]["attempt"] == "1"
    assert show(world, id)["expires_at"] > old["expires_at"]
    assert show(world, id)["received_at"] == old["received_at"]
    mx.script.rules.clear()
    ctl(world, "retry", id)
    world.wait_for_delivery(id, "delivered")


# --- pause and resume --------------------------------------------------------------------------------
@pytest.mark.parametrize("what", ["domain", "route", "all"])
def test_paused_destination_takes_mail_and_rests_over_a_restart_until_resumed(make_world, what):
    world = make_world()
    resting = world.add_domain("resting.example")
    other = world.add_domain("other.example")
    options = {"domain": ["--domain", "resting.example"],
               "route": ["--route", f"resting.example:{world.smtp_port}"], "all": ["--all"]}[what]
    ctl(world, "pause", *options, "--reason", "ticket 8")
    kept = world.send("x@resting.example")
    passing = world.send("x@other.example")
    if what != "all":
        world.wait_for_delivery(passing, "delivered")
    restart(world)
    later = world.send("y@resting.example")
    ctl(world, "retry", "--all")
    wait_until(lambda: world.daemon.ctl("status")["deliveries_resting"] == (
        3 if what == "all" else 2))
    status = world.daemon.ctl("status")
    assert [pause["reason"] for pause in status["pauses"]] == ["ticket 8"]
    assert "PAUSED" in world.daemon.run("queue", "list").stdout
    assert not resting.sessions and (what != "all" or not other.sessions)
    ctl(world, "resume", *options)
    for id in (kept, later, passing):
        world.wait_for_delivery(id, "delivered")
    assert world.daemon.ctl("status")["pauses"] == []
    assert world.daemon.run("queue", "resume", *options).returncode == 1


# --- settings ----------------------------------------------------------------------------------------
def test_a_domain_may_have_its_own_lifetime_and_waits(make_world):
    world = make_world(queue={"domains": {
        "*.short.example": {"lifetime": "1s", "retry": ["0s", "300ms"]}}})
    home = world.add_domain("sender.example")
    world.add_domain("a.short.example", rules=dict(BUSY))
    world.add_domain("long.example", rules=dict(BUSY))
    short = world.send("x@a.short.example")
    long = deferred(world, "x@long.example")
    world.wait_for_delivery(short, "expired")
    wait_until(lambda: len(home.messages) == 1)
    assert [message["id"] for message in world.queue()] == [long]
    assert len(world.deliveries(id=long)) == 1


def test_class_of_a_listener_is_that_of_its_messages(make_world):
    world = make_world(start=False)
    listener = dict(world.config["listen"][0], priority="bulk")
    world.write_config(listen=[listener])
    world.start()
    world.add_domain("busy.example", rules=dict(BUSY))
    assert show(world, deferred(world, "x@busy.example"))["priority"] == "bulk"


def refused(world, sender: str, at: str) -> bytes:
    with world.smtp() as client:
        code, text = client.mail(sender)
        if at == "MAIL":
            assert code == 452, (code, text)
            return text
        raise AssertionError(at)


def test_full_queue_asks_clients_to_come_back_until_there_is_room(make_world):
    world = make_world(queue={"max_messages": 2})
    world.add_domain("busy.example", rules=dict(BUSY))
    first = deferred(world, "x@busy.example")
    deferred(world, "x@busy.example")
    assert b"4.3.1 The queue is full" in refused(world, "a@sender.example", "MAIL")
    assert "queue.max_messages" in world.daemon.ctl("status")["obstacle"]
    restart(world)
    refused(world, "a@sender.example", "MAIL")
    ctl(world, "remove", first)
    deferred(world, "x@busy.example")


def test_one_senders_share_is_full_and_others_mail_is_taken(make_world):
    world = make_world(queue={"max_messages_per_sender": 1})
    world.add_domain("busy.example", rules=dict(BUSY))
    first = deferred(world, "x@busy.example", sender="a@sender.example")
    assert b"of this sender" in refused(world, "a@sender.example", "MAIL")
    deferred(world, "x@busy.example", sender="b@sender.example")
    ctl(world, "remove", first)
    deferred(world, "x@busy.example", sender="a@sender.example")


def test_octets_of_the_queue_are_bounded(make_world):
    world = make_world(queue={"max_size": "64KiB"})
    world.add_domain("busy.example", rules=dict(BUSY))
    deferred(world, "x@busy.example", body=b"x" * 70 + b"\r\n" + (b"y" * 70 + b"\r\n") * 600)
    with world.smtp() as client, pytest.raises(smtplib.SMTPSenderRefused) as error:
        client.sendmail("a@sender.example", ["x@busy.example"], b"z" * 70 + b"\r\n" * 20000)
    assert error.value.smtp_code == 452


# --- export and import --------------------------------------------------------------------------------
@pytest.mark.parametrize("leaving", ["up", "down"])
@pytest.mark.parametrize("entering", ["up", "down"])
def test_messages_move_to_another_queue_once(make_world, tmp_path, leaving, entering):
    old, new = make_world(), make_world()
    old.add_domain("busy.example", rules=dict(BUSY))
    mx = new.add_domain("busy.example")
    body = b"x" * 900 + b"\r\n" + b"many lines\r\n" * 20000
    ids = [deferred(old, ["x@busy.example", "y@busy.example"], body=body),
           deferred(old, "z@busy.example")]
    ctl(old, "hold", ids[1], "--reason", "ticket 11")
    for world, state in ((old, leaving), (new, entering)):
        if state == "down":
            world.daemon.stop()
    answer = ctl(old, "export", str(tmp_path), "--all", "--remove")
    assert (answer["messages"], answer["removed"], answer["under_way"]) == (2, 2, 0)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        f"{id}.{kind}" for id in ids for kind in ("eml", "json"))
    assert (ctl(new, "import", str(tmp_path))["messages"],
            ctl(new, "import", str(tmp_path))["known"]) == (2, 2)
    for world in (old, new):
        if world.daemon.process is None:
            world.start()
    assert old.queue() == []
    ctl(new, "retry", "--all")
    wait_until(lambda: len(new.queue()) == 1)
    assert new.queue()[0]["held"] == "ticket 11"
    assert [message.to for message in mx.messages] == [["x@busy.example", "y@busy.example"]]
    assert body.strip() in mx.messages[0].content
    assert ctl(new, "import", str(tmp_path)) == {"messages": 0, "known": 2, "failed": []}


def test_export_without_remove_is_a_copy_and_the_selection_counts(make_world, tmp_path):
    world = make_world()
    for domain in ("a.example", "b.example"):
        world.add_domain(domain, rules=dict(BUSY))
    id = deferred(world, "x@a.example")
    deferred(world, "x@b.example")
    assert ctl(world, "export", str(tmp_path), "--domain", "a.example")["messages"] == 1
    assert len(world.queue()) == 2
    assert ctl(world, "import", str(tmp_path))["known"] == 1
    assert world.daemon.run("queue", "export", str(tmp_path)).returncode == 2
    (tmp_path / f"{id}.eml").write_bytes(b"something else")
    ctl(world, "remove", id)
    result = world.daemon.run("queue", "import", str(tmp_path))
    assert result.returncode == 1 and "is not what was exported" in result.stderr


def test_kill_9_during_an_import_loses_and_doubles_nothing(make_world, tmp_path):
    old, new = make_world(), make_world()
    old.add_domain("busy.example", rules=dict(BUSY))
    new.add_domain("busy.example", rules=dict(BUSY))
    ids = [old.send("x@busy.example") for _ in range(60)]
    wait_until(lambda: old.daemon.ctl("status")["recipients"]["deferred"] == len(ids) and
               old.daemon.ctl("status")["deliveries_in_flight"] == 0)
    ctl(old, "export", str(tmp_path), "--all", "--remove")
    importing = threading.Thread(
        target=lambda: new.daemon.run("queue", "import", str(tmp_path)))
    importing.start()
    wait_until(lambda: len(list((new.folder / "spool" / "import").iterdir())) > 0 or
               not importing.is_alive())
    new.daemon.kill()
    importing.join()
    new.start()
    answer = ctl(new, "import", str(tmp_path))
    assert answer["messages"] + answer["known"] == len(ids) and not answer["failed"]
    assert len(new.queue()) == len(ids)


# --- what is told ------------------------------------------------------------------------------------
def test_why_says_what_happened_and_what_comes_next(make_world):
    world = make_world()
    world.add_domain("busy.example", "enforce", rules={"RCPT": "450 4.2.1 mailbox busy"})
    id = deferred(world, "x@busy.example")
    text = world.daemon.run("queue", "why", id).stdout
    for part in ("is waiting", "from alice@sender.example", "tried once", "450 4.2.1 mailbox busy",
                 "tried again at busy.example", "it is given up and the sender is told",
                 "MTA-STS policy 1 of busy.example says enforce"):
        assert part in text, text
    ctl(world, "hold", id, "--reason", "ticket 9")
    answer = ctl(world, "why", id)
    assert answer["state"] == "held" and "ticket 9" in answer["summary"]
    ctl(world, "release", id)
    ctl(world, "pause", "--domain", "busy.example", "--reason", "ticket 10")
    assert "ticket 10" in ctl(world, "why", id)["recipients"][0]["next"]
    assert world.daemon.run("queue", "why", "3KX0W7QZ2H").returncode == 1


def test_top_counts_by_domain_and_age(make_world):
    world = make_world()
    for domain in ("a.example", "b.example"):
        world.add_domain(domain, rules=dict(BUSY))
    deferred(world, ["x@a.example", "y@a.example"])
    deferred(world, "x@b.example", sender="")
    answer = ctl(world, "top")
    assert [(row["name"], row["recipients"]) for row in answer["rows"]] == [
        ("a.example", 2), ("b.example", 1)]
    assert answer["rows"][0]["ages"][0] == 2 and answer["total"]["recipients"] == 3
    by_sender = world.daemon.run("queue", "top", "--by-sender").stdout
    assert "alice@sender.example" in by_sender and "<>" in by_sender
