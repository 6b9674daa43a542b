"""The policy cache: what is kept, replaced, fetched again and when (vectors S01-S37)."""

import threading

import pytest

from peers.ca import Leaf
from peers.daemon import wait_until
from peers.policy_host import Reply
from peers.vectors import rows

# In test_cache_refresh.py; in the unit tests of the cache; below, in a world of its own.
ELSEWHERE = {"S19", "S20", "S25", "S28", "S34", "S35", "S23", "S32"}


@pytest.fixture(scope="module")
def world(shared_world):
    return shared_world


class Case:
    """One domain with a policy in force and an MX host that fails enforce but takes mail."""

    def __init__(self, world, domain: str, *, good: bool = False, ttl: int = 0,
                 max_age: int = 86400) -> None:
        self.world, self.domain, self.ttl = world, domain, ttl
        name = f"mx1.{domain}"
        leaf = Leaf.good(name) if good else Leaf.faulty("self-signed", name)
        self.mx = world.add_domain(domain, leaf=leaf)
        self.publish("1", "enforce", max_age)

    def publish(self, id: str, mode: str, max_age: int = 86400) -> None:
        self.host = self.world.publish(self.domain, mode, [f"mx1.{self.domain}"], id=id,
                                       max_age=max_age, ttl=self.ttl)

    def send(self, result: str) -> None:
        self.world.wait_for_delivery(self.world.send(f"x@{self.domain}"), result)

    def record(self, *texts: str) -> None:
        self.world.dns.set(f"_mta-sts.{self.domain}", "TXT", list(texts), ttl=self.ttl)

    def no_record(self) -> None:
        self.world.dns.remove(f"_mta-sts.{self.domain}", "TXT")

    @property
    def gets(self) -> int:
        return len(self.host.requests)

    @property
    def txt_queries(self) -> int:
        return self.world.dns.count(f"_mta-sts.{self.domain}", "TXT")

    def cached(self) -> dict | None:
        return self.world.policies().get(self.domain)

    def types(self) -> set[str]:
        return {name for count in self.world.counts(self.domain) for name in count.types}


def s01(world):
    case = Case(world, "s01.example")
    case.no_record()
    case.send("delivered")
    case.send("delivered")
    assert case.txt_queries == 1 and case.gets == 0


def s02(world):
    case = Case(world, "s02.example")
    case.send("deferred")
    assert case.cached()["mode"] == "enforce"


def s04(world):
    case = Case(world, "s04.example", good=True)
    case.send("delivered")
    case.publish("2", "enforce", 3600)
    case.send("delivered")
    assert case.cached()["id"] == "2"
    assert world.daemon.ctl("policy", "show", "s04.example")["max_age"] == 3600


def s05(world):
    case = Case(world, "s05.example")
    case.send("deferred")
    case.publish("2", "none")
    case.host.reply = Reply(status=500)
    gets = case.gets
    case.send("deferred")
    case.send("deferred")
    assert case.cached()["id"] == "1"
    assert "sts-policy-fetch-error" in case.types()
    assert case.gets == gets + 1


def s07(world):
    case = Case(world, "s07.example")
    case.send("deferred")
    case.no_record()
    case.send("deferred")
    assert case.cached()["id"] == "1"
    (line,) = world.daemon.log("policy-record-lost", domain="s07.example")
    assert line["mode"] == "enforce" and "absent" in line["reason"]


def s08(world):
    case = Case(world, "s08.example")
    case.send("deferred")
    case.world.dns.fail("_mta-sts.s08.example", "TXT", "servfail")
    case.send("deferred")
    case.world.dns.fail("_mta-sts.s08.example", "TXT", "timeout")
    case.send("deferred")
    assert case.cached()["id"] == "1"


def s10(world):
    case = Case(world, "s10.example")
    case.send("deferred")
    for texts in (["v=STSv1; id=;"], ["v=STSv1; id=2;", "v=STSv1; id=3;"]):
        case.record(*texts)
        case.send("deferred")
    assert case.cached()["id"] == "1"


def s11(world):
    case = Case(world, "s11.example")
    case.send("deferred")
    world.dns.remove("mta-sts.s11.example", "A")
    case.send("deferred")
    assert case.cached()["mode"] == "enforce"


def s13(world):
    case = Case(world, "s13.example")
    case.send("deferred")
    case.publish("2", "testing")
    case.send("delivered")
    assert case.cached()["mode"] == "testing"


def s14(world):
    case = Case(world, "s14.example", good=True, max_age=31557600)
    case.host.reply.body = case.host.reply.body.replace(b"86400", b"31557600")
    case.send("delivered")
    before = case.cached()["expires_at"]
    case.publish("2", "enforce", 60)
    case.send("delivered")
    assert case.cached()["expires_at"] < before


def s16(world):
    case = Case(world, "s16.example", good=True, max_age=1)
    case.send("delivered")
    wait_until(lambda: case.cached() is None)
    case.send("delivered")
    assert case.gets == 2


def s17(world):
    case = Case(world, "s17.example", max_age=1)
    case.send("deferred")
    wait_until(lambda: case.cached() is None)
    case.no_record()
    case.send("delivered")


def s22(world):
    case = Case(world, "s22.example", max_age=0)
    case.send("deferred")
    assert case.cached() is None


def s26(world):
    case = Case(world, "s26.example", good=True, ttl=300)
    threads = [threading.Thread(target=lambda: [world.send("x@s26.example") for _ in range(10)])
               for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_until(lambda: len(case.mx.messages) == 100, "a hundred messages", 40)
    assert (case.txt_queries, case.gets) == (1, 1)


def s29(world):
    case = Case(world, "s29.example", good=True)
    case.send("delivered")
    case.publish("2", "enforce")
    case.send("delivered")
    assert case.cached()["id"] == "2"


def s31(world):
    case = Case(world, "s31.example")
    for _ in range(4):
        case.send("deferred")
    assert case.gets <= 2


def s37(world):
    case = Case(world, "s37.example", good=True, ttl=30)
    for _ in range(30):
        world.send("x@s37.example")
    wait_until(lambda: len(case.mx.messages) == 30)
    assert case.txt_queries == 1


def _row_id(row) -> str:
    return row["id"].lower()


@pytest.mark.parametrize("row", rows("cache_flow", but=ELSEWHERE))
def test_cache_flow(world, row):
    globals()[_row_id(row)](world)


def test_cache_flow_S23(make_world):
    """A policy is still there after kill -9, and in force without a second GET."""
    world = make_world()
    case = Case(world, "s23.example")
    case.send("deferred")
    wait_until(case.cached)
    world.daemon.kill()
    world.start()
    assert case.cached()["id"] == "1"
    case.send("deferred")
    assert case.gets == 1


def test_cache_flow_S32(make_world):
    """Before the bounce DNS is asked past every cache, and a new policy is obeyed."""
    world = make_world(queue={"retry": ["0s", "30s"], "lifetime": "3s", "jitter_percent": 0})
    case = Case(world, "s32.example", ttl=3600)
    id = world.send("x@s32.example")
    world.wait_for_delivery(id, "deferred")
    case.publish("2", "none")
    world.wait_for_delivery(id, "delivered")
    assert case.mx.messages


def test_policy_with_fewer_hosts_is_obeyed_on_the_next_message(world):
    case = Case(world, "fewer.example", good=True)
    case.send("delivered")
    case.host = world.publish("fewer.example", "enforce", ["mx9.fewer.example"], id="2", ttl=0)
    case.send("deferred")


def test_removal_by_mode_none_ends_enforcement_quietly(world):
    case = Case(world, "removed.example")
    case.send("deferred")
    case.publish("2", "none", 60)
    case.send("delivered")
    case.no_record()
    case.send("delivered")
    assert {c.policy for c in world.counts("removed.example")} == {"sts", "no-policy-found"}
