"""What test_namespace.py runs inside a network namespace: no test_world but the CA."""

import os
import pwd

import pytest

from peers.daemon import wait_until
from peers.network import Ports, PublicNetwork
from peers.world import World


@pytest.fixture
def world(authority):
    world = World(authority, network=PublicNetwork(), ports=Ports(25, 443, 53))
    world.config["test_world"] = {"ca_file": str(authority.ca_file)}
    world.write_config(dns={"resolvers": [world.resolver]}, user="nobody")
    nobody = pwd.getpwnam("nobody")
    spool = world.folder / "spool"
    spool.mkdir()
    os.chown(spool, nobody.pw_uid, nobody.pw_gid)
    world.folder.chmod(0o755)
    for folder in authority.ca_file.parents:
        folder.chmod(folder.stat().st_mode | 0o011)
    world.start()
    yield world
    world.close()


def test_mail_flows_on_the_real_ports_as_an_unprivileged_user(world):
    good = world.add_domain("good.example", "enforce")
    bad = world.add_domain("bad.example", "enforce", starttls="no")
    world.wait_for_delivery(world.send("x@good.example"), "delivered")
    world.wait_for_delivery(world.send("x@bad.example"), "deferred")
    assert good.messages[0].session.tls and not bad.messages
    assert world.listener[1] == world.smtp_port == 25


def test_https_fetch_F25(world):
    """A private address beside a public one is dropped alone."""
    mx = world.add_domain("f25.example", "enforce", starttls="no")
    host = world.policy_hosts["mta-sts.f25.example"]
    world.dns.set(host.name, "A", [world.dns.records(host.name, "A")[0], "10.0.0.1"])
    world.wait_for_delivery(world.send("x@f25.example"), "deferred")
    assert "f25.example" in world.policies() and not mx.messages


def test_private_addresses_are_refused_beside_public_ones(world):
    mx = world.add_mx("mx1.f25.example")
    world.dns.set(mx.name, "A", ["127.0.0.1", mx.ip, "10.0.0.1"])
    world.set_mx("f25.example", mx)
    for _ in range(3):
        world.wait_for_delivery(world.send("x@f25.example"), "delivered")
    assert wait_until(lambda: len(mx.messages) == 3)
