"""The policy cache over time: refreshed in the background, on demand, and remembered."""

import json

from peers.ca import Leaf
from peers.daemon import wait_until
from peers.policy_host import Reply, policy_body


def enforced(world, domain: str, *, max_age: int = 86400, id: str = "1", leaf: Leaf | None = None):
    """A domain with a policy that was fetched for a first message; its policy host."""
    world.add_domain(domain, leaf=leaf)
    host = world.publish(domain, "enforce", [f"mx1.{domain}"], id=id, max_age=max_age, ttl=0)
    world.wait_for_delivery(world.send(f"x@{domain}"))
    wait_until(lambda: domain in world.policies())
    return host


def test_cache_flow_S19(world):
    """The background fetches again although the TXT record is gone, and the answer counts."""
    host = enforced(world, "s19.example", max_age=8)
    host.reply.body = host.reply.body.replace(b"enforce", b"testing")
    world.dns.remove("_mta-sts.s19.example", "TXT")
    policy = wait_until(lambda: (entry := world.policies().get("s19.example"))
                        and entry["mode"] == "testing" and entry)
    assert policy["id"] == "1"
    assert len(host.requests) == 2
    assert world.daemon.log("policy-weakened", domain="s19.example")


def test_cache_flow_S20(world):
    """A refresh that fails is told at a rising level, and the policy stays to its end."""
    host = enforced(world, "s20.example", max_age=8)
    quiet = enforced(world, "s20none.example", max_age=8)
    world.publish("s20none.example", "none", [], id="2", max_age=8, ttl=0)
    world.wait_for_delivery(world.send("x@s20none.example"))
    host.reply = Reply(status=503)
    quiet.reply = Reply(status=404)
    failing = wait_until(lambda: world.daemon.log("policy-refresh-failing"))
    assert failing[0]["domain"] == "s20.example" and failing[0]["reason"] == "http-503"
    assert failing[0]["expires"] > failing[0]["since"]
    shown = world.daemon.ctl("policy", "show", "s20.example")
    assert shown["mode"] == "enforce" and shown["failing"]["reason"] == "http-503"
    assert shown["back_off"]["failures"] == 1
    text = world.daemon.run("policy", "show", "s20.example").stdout
    assert "failing since" in text and "back-off" in text and "next refresh" in text
    status = world.daemon.ctl("status")["policies"]
    assert status["failing"] == 1 and status["earliest_expiry"] == shown["expires_at"]
    assert [(each["domain"], each["expires_at"]) for each in status["failing_domains"]] == [
        ("s20.example", shown["expires_at"])]
    assert {"fault": "fetch-error", "reason": "http-503"}.items() <= status["fetch_failures"][0].items()
    text = world.daemon.run("status").stdout
    assert "refresh failing" in text and "s20.example" in text and "fetch-error http-503" in text
    wait_until(lambda: world.daemon.log("policy-lost", domain="s20.example"))
    wait_until(lambda: not world.policies())
    assert not world.daemon.log("policy-refresh-failing", domain="s20none.example")
    assert not world.daemon.log("policy-lost", domain="s20none.example")
    wait_until(lambda: world.daemon.ctl("status")["policies"]["failing"] == 0)


def test_cache_flow_S31_operator_forgot_the_id(world):
    """All hosts fail under an unchanged id: one GET in the attempt, which obeys what it finds."""
    leaf = Leaf.faulty("self-signed", "mx1.s31.example")
    host = enforced(world, "s31.example", leaf=leaf)
    host.reply.body = host.reply.body.replace(b"enforce", b"testing")
    world.wait_for_delivery(world.send("x@s31.example"), "delivered")
    assert len(host.requests) == 2
    host.reply.body = host.reply.body.replace(b"testing", b"enforce")
    world.publish("s31.example", "enforce", ["mx1.s31.example"], id="2", ttl=0)
    for _ in range(3):
        world.wait_for_delivery(world.send("x@s31.example"), "deferred")
    assert len(host.requests) == 3


def test_a_refresh_survives_a_restart(make_world):
    """The plan follows from the fetch: a policy nearly due is fetched soon after a start."""
    world = make_world()
    host = enforced(world, "again.example", max_age=3600)
    before = world.daemon.ctl("policy", "show", "again.example")
    world.daemon.stop()
    world.start()
    after = world.daemon.ctl("policy", "show", "again.example")
    assert len(host.requests) == 1
    assert after["fetched_at"] == before["fetched_at"]
    assert before["fetched_at"] < after["refresh_at"] < after["expires_at"]


def test_policy_refresh_fetches_now(world):
    host = enforced(world, "now.example")
    host.reply.body = host.reply.body.replace(b"enforce", b"testing")
    result = world.daemon.ctl("policy", "refresh", "NOW.example")
    assert result["outcome"] == "fetched" and result["policy"]["mode"] == "testing"
    assert world.policies()["now.example"]["mode"] == "testing"
    host.reply = Reply(status=500)
    failed = world.daemon.run("policy", "refresh", "now.example")
    assert failed.returncode == 1 and "http-500" in failed.stdout
    nothing = world.daemon.ctl("policy", "refresh", "unknown.example")
    assert nothing["outcome"] == "nothing" and nothing["policy"] is None


def test_policy_history_and_export(make_world):
    world = make_world(sts={"history": 2})
    host = enforced(world, "past.example")
    for id, mode in (("2", "testing"), ("3", "none"), ("4", "enforce")):
        world.publish("past.example", mode, ["mx1.past.example"], id=id, ttl=0)
        assert world.daemon.ctl("policy", "refresh", "past.example")["policy"]["id"] == id
    wait_until(lambda: world.policies()["past.example"]["id"] == "4")
    history = world.daemon.ctl("policy", "history", "past.example")["replaced"]
    assert [entry["id"] for entry in history] == ["3", "2"]
    assert [entry["why"] for entry in history] == ["new id", "new id"]
    assert "mode: none" in history[0]["body"]
    assert "testing" in world.daemon.run("policy", "history", "past.example").stdout
    weakened = world.daemon.log("policy-weakened", domain="past.example", respect="mode")
    assert [(line["from"], line["to"]) for line in weakened] == [
        ("enforce", "testing"), ("testing", "none")]
    lines = world.daemon.run("policy", "export").stdout.splitlines()
    assert [json.loads(line)["body"] for line in lines] == [host.reply.body.decode()]
    exported = world.daemon.ctl("policy", "export")
    assert [entry["domain"] for entry in exported] == ["past.example"]


def test_a_damaged_policy_is_told_and_kept_until_it_is_fetched_again(make_world):
    import sqlite3

    world = make_world()
    host = enforced(world, "damaged.example")
    world.daemon.stop()
    database = sqlite3.connect(world.folder / "spool" / "spool.db")
    with database:
        database.execute("UPDATE sts_policies SET body = replace(body, 'enforce', 'testing')")
    host.reply = Reply(status=503)
    world.start()
    assert world.daemon.log("policy-damaged", domain="damaged.example")
    wait_until(lambda: len(host.requests) == 2)
    assert "damaged.example" not in world.policies()
    world.daemon.stop()
    assert database.execute("SELECT domain FROM sts_policies").fetchall() == [("damaged.example",)]
    database.close()
    host.reply = Reply(policy_body("enforce", ["mx1.damaged.example"]))
    world.start()
    wait_until(lambda: "damaged.example" in world.policies())
    assert len(host.requests) == 3


def test_fetches_stay_within_their_limits(make_world):
    """Many new domains at once: a fetch for each, few at a time, whichever worker has a domain."""
    world = make_world(workers=6, sts={"concurrent_fetches": 5, "concurrent_fetches_per_host": 2})
    shared = [[f"d{n}.{provider}.example" for n in range(12)] for provider in ("one", "two")]
    for domains in shared:
        first, *others = (f"mta-sts.{domain}" for domain in domains)
        world.add_policy_host(first, names=tuple(others))
    apart = [f"d{n}.apart.example" for n in range(12)]
    domains = [domain for group in (*shared, apart) for domain in group]
    mx = [f"mx1.{domain}" for domain in domains]
    for domain in domains:
        world.add_domain(domain)
        world.publish(domain, "enforce", mx).reply.delay = 0.1
    messages = [world.send(f"x@{domain}") for domain in domains]
    for message in messages:
        world.wait_for_delivery(message, "delivered", 40)
    hosts = {id(host): host for host in world.policy_hosts.values()}.values()
    assert sorted(host.connections for host in hosts) == [1] * len(apart) + [12, 12]
    assert max(host.traffic.peak for host in hosts) == 2
    assert 3 <= world.policy_traffic.peak <= 5
