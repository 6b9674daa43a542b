"""Commands, signals, configuration errors and privileges."""

import json
import os
import pwd
import signal
import socket
import stat
import time
from pathlib import Path

import pytest
import yaml

from peers.client import Client
from peers.daemon import wait_until
from peers.mx import Silence, Slow


@pytest.fixture(scope="module")
def world(shared_world):
    return shared_world


def _deferred(world, domain: str) -> str:
    if f"mx1.{domain}" not in world.mx:
        world.add_domain(domain, rules={"MAIL": "451 4.3.0 later"})
    id = world.send(f"x@{domain}")
    world.wait_for_delivery(id, "deferred")
    return id


def test_queue_list_shows_what_waits_and_why(world):
    id = _deferred(world, "list.example")
    entry = wait_until(lambda: [e for e in world.queue() if e["id"] == id])[0]
    assert entry["sender"] == "alice@sender.example"
    (recipient,) = entry["recipients"]
    assert recipient["address"] == "x@list.example" and recipient["attempts"] == 1
    assert recipient["last_result"] == "451 4.3.0 later" and recipient["next_try"]
    text = world.daemon.run("queue", "list").stdout
    assert id in text and "x@list.example" in text


def test_queue_show_prints_one_message(world):
    id = _deferred(world, "show.example")
    assert world.daemon.ctl("queue", "show", id)["id"] == id
    missing = world.daemon.run("queue", "show", "0")
    assert missing.returncode != 0 and missing.stderr


def test_queue_retry_tries_at_once(world):
    id = _deferred(world, "again.example")
    world.mx["mx1.again.example"].script.rules.clear()
    world.daemon.ctl("queue", "retry", id)
    world.wait_for_delivery(id, "delivered")


def test_queue_remove_forgets_a_message(world):
    id = _deferred(world, "remove.example")
    world.daemon.ctl("queue", "remove", id)
    wait_until(lambda: not [e for e in world.queue() if e["id"] == id])
    assert world.daemon.run("queue", "remove", id).returncode != 0


def test_policy_list_and_show(world):
    world.add_domain("policy.example", "enforce")
    world.wait_for_delivery(world.send("x@policy.example"), "delivered")
    entry = world.policies()["policy.example"]
    assert (entry["mode"], entry["id"]) == ("enforce", "1")
    assert entry["mx"] == ["mx1.policy.example"] and entry["expires_at"]
    shown = world.daemon.ctl("policy", "show", "policy.example")
    assert shown["max_age"] == 86400 and "mode: enforce" in shown["body"]
    assert world.daemon.run("policy", "show", "unknown.example").returncode != 0


def test_status_tells_how_the_daemon_is(world):
    status = world.daemon.ctl("status")
    assert status["hostname"] == "relay.test" and status["test_world"] is True
    assert status["config_file"] == str(world.config_file) and status["workers"] == 2
    assert status["queue"]["messages"] == len(world.queue())
    assert world.daemon.run("status").stdout


def test_status_says_how_dns_answers_are_believed_and_whether_that_works(world):
    status = wait_until(lambda: (s := world.daemon.ctl("status"))["dnssec"]["state"] !=
                        "not asked yet" and s)
    assert status["dnssec"]["mode"] == "trust_ad"
    assert status["dnssec"]["state"].startswith("not-secure: ")
    assert "trust_ad, not-secure" in world.daemon.run("status").stdout
    assert world.daemon.log("dnssec")


def test_status_counts_deliveries(make_world):
    world = make_world()
    world.add_domain("counted.example")
    world.wait_for_delivery(world.send("x@counted.example"), "delivered")
    _deferred(world, "waiting.example")
    status = wait_until(lambda: (s := world.daemon.ctl("status"))["deliveries_waiting"] and s)
    assert status["recipients"] == {"delivered": 1, "deferred": 1, "failed": 0}
    assert (status["deliveries_in_flight"], status["deliveries_ready"]) == (0, 0)
    assert "1 recipient delivered, 1 deferred, 0 failed" in world.daemon.run("status").stdout


def test_commands_without_a_daemon_say_so(make_world):
    world = make_world(start=False)
    for command in (("status",), ("queue", "list"), ("policy", "list")):
        result = world.daemon.run(*command)
        assert result.returncode != 0 and "control.sock" in result.stderr, result


def test_control_socket_is_private(world):
    path = Path(world.config["queue"]["path"]) / "control.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_config_check_and_show(world):
    assert world.daemon.run("config", "check").returncode == 0
    shown = yaml.safe_load(world.daemon.run("config", "show").stdout)
    assert shown["hostname"] == "relay.test"
    assert shown["delivery"]["connections_per_destination"] == 20
    assert isinstance(world.daemon.ctl("config", "show"), dict)


@pytest.mark.parametrize("text, words", [
    ("hostname: relay.test\nlisten:\n  - adress: 127.0.0.1:2525\n", ["3", "adress", "address"]),
    ("hostname: relay.test\nworkers: many\n", ["2", "workers", "many"]),
    ("hostname: relay.test\nqueue:\n  lifetime: 4 days\n", ["3", "lifetime", "4d"]),
    ("hostname: relay.test\nqueue: [\n", ["3"]),
    ("hostname: a.test\nhostname: b.test\n", ["2", "hostname"]),
    ("hostname: relay.test\nlog: {level: loud}\n", ["2", "level", "debug"])])
def test_configuration_error_names_file_line_key_and_remedy(make_world, text, words):
    world = make_world(start=False)
    world.config_file.write_text(text)
    for command in (("config", "check"), ("run",)):
        result = world.daemon.run(*command)
        assert result.returncode != 0
        for word in [str(world.config_file), *words]:
            assert word in result.stderr, (word, result.stderr)


def test_all_configuration_errors_are_told_at_once(make_world):
    world = make_world(start=False)
    world.config_file.write_text("workers: x\nbogus: 1\n")
    errors = world.daemon.run("config", "check").stderr
    assert "workers" in errors and "bogus" in errors


def test_missing_configuration_file_is_named(make_world):
    world = make_world(start=False)
    world.config_file.unlink()
    result = world.daemon.run("run")
    assert result.returncode != 0 and str(world.config_file) in result.stderr


def test_listening_address_in_use_is_named(make_world):
    world = make_world(start=False)
    with socket.create_server(world.listener):
        result = world.daemon.run("run")
    assert result.returncode != 0 and "%s:%d" % world.listener in result.stderr


def test_test_world_is_announced_loudly(world):
    assert any("test_world" in str(line) or "test-world" in str(line)
               for line in world.daemon.log() if line.get("level") == "warning")


# --- signals ------------------------------------------------------------------------------------
def test_sigterm_finishes_what_is_in_flight(make_world):
    world = make_world()
    mx = world.add_domain("inflight.example", rules={"DOT": Slow("250 2.0.0 taken", 0.1)})
    id = world.send("x@inflight.example")
    wait_until(lambda: mx.sessions and mx.sessions[0].messages)
    world.daemon.stop()
    assert world.deliveries(id=id, result="delivered")
    world.start()
    assert world.queue() == []
    assert len(mx.sessions) == 1


def test_sigterm_is_bounded_by_a_silent_peer_and_keeps_the_message(make_world):
    world = make_world(delivery={"timeouts": {"final_dot": "10m"}})
    mx = world.add_domain("silent.example", rules={"GREETING": Silence()})
    id = world.send("x@silent.example")
    wait_until(lambda: mx.sessions)
    started = time.monotonic()
    world.daemon.stop(60)
    assert time.monotonic() - started < 45
    world.start()
    assert [entry["id"] for entry in world.queue()] == [id]


def test_sigterm_lets_an_open_data_finish(make_world):
    world = make_world()
    world.add_domain("open.example")
    with Client(world.listener) as client:
        client.start_data("a@b.example", "x@open.example")
        client.send(b"Subject: x\r\n\r\nhalf")
        world.daemon.signal(signal.SIGTERM)
        time.sleep(0.3)
        client.send(b" and half\r\n.\r\n")
        assert client.reply().code == 250
    world.daemon.stop()
    world.start()
    (message,) = wait_until(lambda: world.mx["mx1.open.example"].messages)
    assert message.content.endswith(b"half and half\r\n")


def test_sighup_reloads_and_keeps_sessions(make_world):
    world = make_world()
    with Client(world.listener) as client:
        client.command("EHLO c")
        world.write_config(limits={"message_size": "1MiB"})
        world.daemon.signal(signal.SIGHUP)

        def announced() -> bool:
            with Client(world.listener) as other:
                return f"SIZE {1 << 20}" in other.command("EHLO c").lines

        wait_until(announced)
        assert client.commands("NOOP") == [250]


def test_sighup_with_a_bad_file_keeps_the_old_values(make_world):
    world = make_world()
    world.config_file.write_text("hostname: [\n")
    world.daemon.signal(signal.SIGHUP)
    wait_until(lambda: [line for line in world.daemon.log() if line.get("level") == "error"])
    with Client(world.listener) as client:
        assert client.command("EHLO c").lines[0].startswith("relay.test")
    world.write_config()


@pytest.mark.needs(root="dropping privileges")
def test_privileges_are_dropped_after_binding(make_world):
    world = make_world(start=False)
    nobody = pwd.getpwnam("nobody")
    spool = Path(world.config["queue"]["path"])
    spool.mkdir()
    os.chown(spool, nobody.pw_uid, nobody.pw_gid)
    world.folder.chmod(0o755)
    world.authority.ca_file.chmod(0o644)
    world.write_config(user="nobody")
    world.start()
    status = Path(f"/proc/{world.daemon.process.pid}/status").read_text()
    uids = next(line for line in status.splitlines() if line.startswith("Uid:")).split()[1:]
    groups = next(line for line in status.splitlines() if line.startswith("Groups:")).split()[1:]
    assert set(uids) == {str(nobody.pw_uid)} and "0" not in groups
    world.add_domain("dropped.example", "enforce")
    world.wait_for_delivery(world.send("x@dropped.example"), "delivered")


@pytest.mark.needs(root="giving a folder away")
def test_spool_that_root_left_behind_becomes_the_accounts(make_world):
    world = make_world()
    id = _deferred(world, "left.example")
    world.daemon.kill()  # the control socket stays, too
    nobody = pwd.getpwnam("nobody")
    world.folder.chmod(0o755)
    world.authority.ca_file.chmod(0o644)
    world.write_config(user="nobody")
    world.start()
    spool = Path(world.config["queue"]["path"])
    owners = {path.name: path.stat().st_uid for path in [spool, *spool.iterdir()]}
    assert set(owners.values()) == {nobody.pw_uid}, owners
    assert [entry["id"] for entry in world.queue()] == [id]


@pytest.mark.needs(root="giving a folder away")
def test_folder_that_holds_other_things_is_not_given_away(make_world):
    world = make_world(start=False)
    spool = Path(world.config["queue"]["path"])
    spool.mkdir()
    (spool / "passwd").write_text("x")
    world.write_config(user="nobody")
    result = world.daemon.run("run")
    assert result.returncode == 1
    assert str(spool) in result.stderr and "passwd is none of the queue's files" in result.stderr
    assert {path.stat().st_uid for path in (spool, spool / "passwd")} == {0}


def test_json_output_is_json_everywhere(world):
    for command in (("queue", "list"), ("policy", "list"), ("status",), ("config", "show"),
                    ("config", "check"), ("results",)):
        json.loads(world.daemon.run(*command, "--json").stdout)
