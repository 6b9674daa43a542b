"""A 250 means that the message is on disk: crashes, full disks and big messages."""

import random
import resource
import signal
import smtplib
import subprocess
import threading
import time

import pytest

from peers.client import Client
from peers.daemon import binary, sanitized, wait_until
from peers.mx import Drop
from peers.world import submit


def _subjects(mx):
    return [line[9:] for message in mx.messages for line in message.content.split(b"\r\n")
            if line.startswith(b"Subject: ")]


def test_message_accepted_before_kill_9_is_delivered_after_restart(make_world):
    world = make_world(queue={"retry": ["500ms"]})
    mx = world.add_domain("kept.example", rules={"MAIL": "451 4.3.0 later"})
    id = world.send("x@kept.example")
    world.daemon.kill()
    mx.script.rules.clear()
    world.start()
    world.wait_for_delivery(id, "delivered")
    assert len(mx.messages) == 1
    wait_until(lambda: world.queue() == [])


def test_kill_9_under_load_loses_nothing_that_got_250(make_world):
    world = make_world(queue={"retry": ["200ms"]}, limits={"connections_per_client": 100})
    mx = world.add_domain("load.example")
    accepted: list[bytes] = []
    stop = threading.Event()

    def client(number: int) -> None:
        count = 0
        while not stop.is_set():
            try:
                with world.smtp(timeout=5) as connection:
                    while not stop.is_set():
                        count += 1
                        subject = b"%d-%d" % (number, count)
                        submit(connection, "a@b.example", ["x@load.example"],
                               b"Subject: %s\r\n\r\n" % subject + b"body\r\n" * 200)
                        accepted.append(subject)
            except (OSError, smtplib.SMTPException, AssertionError):
                time.sleep(0.02)

    clients = [threading.Thread(target=client, args=(n,)) for n in range(6)]
    for thread in clients:
        thread.start()
    for _ in range(4):
        before = len(accepted)
        wait_until(lambda: len(accepted) > before + 20, "messages to be accepted")
        time.sleep(random.uniform(0, 0.1))
        world.daemon.kill()
        world.start()
    stop.set()
    for thread in clients:
        thread.join()
    wait_until(lambda: set(accepted) <= set(_subjects(mx)), "all accepted messages", 60)
    wait_until(lambda: world.queue() == [], "an empty queue", 30)
    # At least once: what was in flight at a kill may come twice, and nothing else.
    assert len(mx.messages) <= len(accepted) + 4 * 40


def test_settled_messages_do_not_come_again_after_kill_9(make_world):
    world = make_world(queue={"retry": ["200ms"]})
    mx = world.add_domain("settled.example")
    for n in range(20):
        world.send("x@settled.example", subject=str(n))
    wait_until(lambda: len(mx.messages) == 20 and world.queue() == [])
    world.daemon.kill()
    world.start()
    world.wait_for_delivery(world.send("x@settled.example", subject="last"), "delivered")
    assert len(mx.messages) == 21


def test_deferred_message_keeps_its_place_over_a_restart(make_world):
    world = make_world(queue={"retry": ["0s", "1h"]})
    world.add_domain("deferred.example", rules={"MAIL": "451 4.3.0 later"})
    id = world.send("x@deferred.example")
    world.wait_for_delivery(id, "deferred")
    before = wait_until(lambda: [e for e in world.queue() if e["id"] == id])
    world.daemon.kill()
    world.start()
    assert world.queue() == before


def test_unfinished_data_leaves_nothing_behind(make_world):
    world = make_world()
    client = Client(world.listener)
    client.start_data("a@b.example", "x@half.example")
    client.send(b"Subject: x\r\n\r\n" + b"half a message\r\n" * 10000)
    time.sleep(0.2)
    world.daemon.kill()
    client.close()
    world.start()
    assert world.queue() == []


def test_second_daemon_on_the_spool_refuses_to_start(make_world):
    world = make_world()
    second = make_world(start=False)
    second.write_config(queue={"path": world.config["queue"]["path"]})
    result = second.daemon.run("run")
    assert result.returncode != 0
    assert world.config["queue"]["path"] in result.stderr
    world.add_domain("first.example")
    world.wait_for_delivery(world.send("x@first.example"), "delivered")


def test_low_disk_space_is_temporary_failure_at_the_door(make_world):
    world = make_world(queue={"min_free": "1024GiB"})
    with Client(world.listener) as client:
        client.command("EHLO c")
        reply = client.command("MAIL FROM:<a@b.example>")
    assert reply.code == 452 and "4.3.1" in reply.text


def _fill_until_refused(world, domain: str) -> list[bytes]:
    """Sends until the daemon stops taking; the subjects of what got 250."""
    accepted = []
    for n in range(500):
        try:
            with world.smtp(timeout=10) as client:
                submit(client, "a@b.example", [f"x@{domain}"],
                       b"Subject: %d\r\n\r\n" % n + b"0123456789abcdef\r\n" * 3000)
            accepted.append(b"%d" % n)
        except AssertionError as refusal:  # submit()'s
            code = refusal.args[0][0]
        except smtplib.SMTPResponseException as refusal:
            code = refusal.smtp_code
        else:
            continue
        assert code in (421, 452)
        return accepted
    raise AssertionError("the disk never filled")


def _limited_start(world, octets: int) -> None:
    """Starts the daemon so that no file of its can grow beyond octets."""
    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # writes fail with EFBIG instead
        resource.setrlimit(resource.RLIMIT_FSIZE, (octets, octets))

    with world.daemon.log_file.open("ab") as log:
        world.daemon.process = subprocess.Popen(
            [str(binary()), "run", "--config", str(world.config_file)], stdout=log, stderr=log,
            preexec_fn=limit, env=world.daemon.environment)
    wait_until(world.daemon._ready, "the daemon to be ready", 30)


def test_write_errors_refuse_mail_and_lose_none(make_world):
    world = make_world(start=False, queue={"retry": ["200ms"]})
    mx = world.add_domain("full.example", rules={"MAIL": "451 4.3.0 later"})
    _limited_start(world, 3 << 20)
    accepted = _fill_until_refused(world, "full.example")
    assert accepted
    world.daemon.kill()
    mx.script.rules.clear()
    world.start()
    wait_until(lambda: set(accepted) <= set(_subjects(mx)), "all accepted messages", 40)


@pytest.mark.needs(root="mounting a small tmpfs")
def test_full_disk_refuses_mail_and_loses_none(make_world):
    world = make_world(start=False, queue={"retry": ["200ms"], "min_free": "0"})
    spool = world.folder / "spool"
    spool.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(spool)], check=True)
    try:
        mx = world.add_domain("enospc.example", rules={"MAIL": "451 4.3.0 later"})
        world.start()
        accepted = _fill_until_refused(world, "enospc.example")
        assert accepted
        world.daemon.kill()
        subprocess.run(["mount", "-o", "remount,size=64m", str(spool)], check=True)
        mx.script.rules.clear()
        world.start()
        wait_until(lambda: set(accepted) <= set(_subjects(mx)), "all accepted messages", 40)
        world.daemon.stop()
    finally:
        world.daemon.kill()
        subprocess.run(["umount", str(spool)], check=True)


def test_50_mb_message_costs_a_few_mb_of_memory(make_world):
    world = make_world(limits={"message_size": "64MiB"})
    mx = world.add_domain("huge.example")
    peaks = []
    for megabytes in (5, 50):
        body = (b"0123456789" * 7 + b"\r\n") * (megabytes * 1000 * 1000 // 72)
        world.wait_for_delivery(world.send("x@huge.example", body=body), "delivered", 90)
        assert mx.messages[-1].content.endswith(body)
        peaks.append(world.daemon.memory_peak())
    assert peaks[1] - peaks[0] < (24 if sanitized() else 8) << 20, peaks


def test_connection_lost_after_the_dot_is_retried_and_marked(make_world):
    world = make_world(queue={"retry": ["0s", "300ms"]})
    first = []

    def dot(session, _argument):
        first.append(session)
        return Drop() if len(first) == 1 else None

    mx = world.add_domain("unknown.example", rules={"DOT": dot})
    id = world.send("x@unknown.example")
    line = world.wait_for_delivery(id, "deferred")
    assert "may have been delivered" in str(line)
    world.wait_for_delivery(id, "delivered")
    assert len(mx.messages) == 1
