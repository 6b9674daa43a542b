"""Hosts that cannot be reached cost one message its time, not every one."""

import pytest

from peers.daemon import wait_until
from peers.mx import Silence

NOT_AGAIN = "is not tried again before"


@pytest.fixture
def patient(make_world):
    """A world whose daemon remembers dead hosts for longer than any test, and soon gives up on a
    silent one."""
    return make_world(delivery={"host_retry": "1h", "connection_idle": "0s",
                                "timeouts": {"greeting": "1s"}})


def _send(world, domain: str, result: str = "delivered") -> dict:
    return world.wait_for_delivery(world.send(f"x@{domain}"), result)


def _silent_and_alive(world, domain: str):
    silent = world.add_mx(f"mx1.{domain}", rules={"GREETING": Silence()})
    alive = world.add_mx(f"mx2.{domain}")
    world.set_mx(domain, silent, alive)
    return silent, alive


def test_a_dead_host_is_left_alone_and_the_next_one_takes_the_mail(patient):
    silent, alive = _silent_and_alive(patient, "half.example")
    for _ in range(3):
        _send(patient, "half.example")
    assert len(silent.sessions) == 1
    assert len(alive.messages) == 3
    (first, second) = patient.daemon.log("host-skipped", host=silent.name,
                                         reason="recently-unreachable")
    assert silent.ip in first["detail"] and NOT_AGAIN in second["detail"]
    # It is the address that is dead, whichever domain names it.
    patient.set_mx("other.example", silent, alive)
    _send(patient, "other.example")
    assert len(alive.messages) == 4


def test_a_dead_host_is_tried_again_after_its_time_and_used_once_it_works(make_world):
    world = make_world(delivery={"host_retry": "1s", "connection_idle": "0s",
                                 "timeouts": {"greeting": "1s"}})
    silent, alive = _silent_and_alive(world, "revived.example")
    _send(world, "revived.example")
    assert len(silent.sessions) == 1
    silent.script.rules.clear()

    def delivered_there():
        _send(world, "revived.example")
        return silent.messages

    wait_until(delivered_there, "mail at the host that works again")
    count = len(alive.messages)
    _send(world, "revived.example")
    assert len(silent.messages) == 2 and len(alive.messages) == count


def test_mail_waits_with_a_reason_while_all_hosts_are_dead_and_queue_retry_asks_at_once(patient):
    ip = patient.address()
    patient.dns.set("mx1.down.example", "A", ip)
    patient.set_mx("down.example", "mx1.down.example")
    assert "failed: Connection refused" in _send(patient, "down.example", "deferred")["reply"]
    second = patient.send("x@down.example")
    line = patient.wait_for_delivery(second, "deferred")
    assert line["reply"].startswith(f"mx1.down.example ({ip}) could not be reached at ")
    assert "(Connection refused)" in line["reply"] and NOT_AGAIN in line["reply"]
    assert (line["host"], line["ip"], line["dsn"]) == ("mx1.down.example", ip, "4.4.1")
    assert NOT_AGAIN in patient.daemon.run("queue", "why", second).stdout
    assert len(patient.daemon.log("session", result="connect-failed")) == 1

    host = patient.add_mx("mx1.down.example", ip=ip)
    _send(patient, "down.example", "deferred")
    assert not host.sessions
    patient.daemon.ctl("queue", "retry", second)
    patient.wait_for_delivery(second, "delivered")
    _send(patient, "down.example")


def test_new_settings_make_dead_hosts_worth_a_try(patient):
    silent, _ = _silent_and_alive(patient, "reload.example")
    _send(patient, "reload.example")
    patient.write_config(queue={"jitter_percent": 7})
    patient.daemon.ctl("config", "reload")
    _send(patient, "reload.example")
    assert len(silent.sessions) == 2


def test_a_dead_host_makes_no_host_acceptable_that_the_policy_does_not_name(patient):
    silent, unlisted = _silent_and_alive(patient, "strict.example")
    patient.publish("strict.example", "enforce", [silent.name])
    for _ in range(2):
        _send(patient, "strict.example", "deferred")
    assert len(silent.sessions) == 1 and not unlisted.sessions


def test_a_busy_host_is_not_dead(patient):
    """To ask it again costs little."""
    busy = patient.add_mx("mx1.busy.example", rules={"GREETING": "421 4.3.2 busy"})
    patient.set_mx("busy.example", busy)
    for _ in range(2):
        _send(patient, "busy.example", "deferred")
    assert len(busy.sessions) == 2


def test_an_upstream_that_cannot_be_reached_is_not_tried_last_either(make_world):
    """Nor is a route's host, by its name or by its address."""
    world = make_world(start=False, delivery={"host_retry": "1h"})
    ips = [world.address(), world.address()]
    world.dns.set("smtp.provider.test", "A", ips[0])
    world.write_config(routes=[
        {"match": "up.example", "upstreams": [
            {"host": "smtp.provider.test", "port": world.smtp_port, "tls": "starttls"}]},
        {"match": "*", "host": ips[1], "port": world.smtp_port}])
    world.start()
    for domain in ("up.example", "fixed.example"):
        _send(world, domain, "deferred")
        assert NOT_AGAIN in _send(world, domain, "deferred")["reply"]
    assert len(world.daemon.log("session", result="connect-failed")) == 2
