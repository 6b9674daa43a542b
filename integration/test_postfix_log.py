"""log.format postfix: pflogsumm reads the log of a real daemon and counts what really happened."""

import re
import subprocess

import pytest

from peers.daemon import wait_until

pytestmark = pytest.mark.needs("pflogsumm")


def _summary(log: str, *options: str) -> str:
    return subprocess.run(["pflogsumm", "--detail", "20", *options], input=log, text=True,
                          capture_output=True, check=True, timeout=60).stdout


def _totals(summary: str) -> dict[str, int]:
    """The numbers of the first section."""
    section = summary[:summary.index("Per-")]
    return {name.strip(): int(number) for number, name in re.findall(
        r"^\s+(\d+)\s{2,}([a-z][a-z -]*[a-z])", section, re.M)}


def _run_traffic(world):
    world.add_domain("good.example")
    world.add_domain("later.example", rules={"RCPT": "451 4.7.1 come back later"})
    world.add_domain("never.example", rules={"RCPT": "550 5.1.1 unknown user to=<a>, relay=b"})
    world.add_domain("sender.example")
    for n in range(3):
        world.send(["x@good.example", "y@good.example"])
    world.send("x@later.example")
    world.send("x@never.example")
    with world.smtp() as client:
        client.mail("alice@sender.example")
        client.rcpt("not-an-address@@")
    wait_until(lambda: _count(world, "status=sent") == 7 and _count(world, "status=deferred")
               and _count(world, ": removed") == 5, "all outcomes")


def _count(world, words: str) -> int:
    return world.daemon.text().count(words)


def test_pflogsumm_counts_what_happened(make_world):
    world = make_world(log={"format": "postfix"})
    _run_traffic(world)
    summary = _summary(world.daemon.text())
    totals = _totals(summary)
    # Five were accepted; the seventh delivery is that of the bounce.
    assert totals["received"] == 5
    assert totals["delivered"] == 7
    assert totals["deferred"] == 1
    assert totals["bounced"] == 1
    assert totals["rejected"] == 1
    assert re.search(r"^\s+6 .*good\.example$", summary, re.M), summary
    assert re.search(r"^\s+5 .*alice@sender\.example$", summary, re.M), summary
    assert "come back later" in summary and "unknown user" in summary


def test_each_line_has_the_prefix_of_syslog(make_world):
    world = make_world(log={"format": "postfix", "syslog_name": "postfix-out"})
    world.add_domain("good.example")
    world.send("x@good.example")
    wait_until(lambda: _count(world, ": removed"))
    line = re.compile(r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \S+ postfix-out/[a-z]+\[\d+\]: .+")
    lines = world.daemon.text().splitlines()
    assert all(line.fullmatch(each) for each in lines), lines
    summary = _summary(world.daemon.text(), "--syslog-name", "postfix-out")
    assert _totals(summary)["delivered"] == 1


def test_the_tls_field_is_there_only_if_wanted(make_world):
    world = make_world(log={"format": "postfix", "postfix_tls": True})
    world.add_domain("good.example", "enforce")
    world.send("x@good.example")
    wait_until(lambda: _count(world, ": removed"))
    assert re.search(r"delays=0(/[\d.]+){3}, tls=secure, dsn=2\.0\.0, status=sent \(250 ",
                     world.daemon.text())
