"""Routes by the listener that mail came in by."""

from __future__ import annotations

import smtplib

from peers.daemon import wait_until
from peers.network import free_port
from peers.world import World, submit


def addresses(world: World, count: int) -> list[tuple[str, int]]:
    """The world's listener, and more on the same address."""
    ip = world.listener[0]
    return [world.listener, *((ip, free_port(ip)) for _ in range(count - 1))]


def text(address: tuple[str, int]) -> str:
    return "%s:%d" % address


def upstream(world: World, name: str, address: tuple[str, int], **match: str) -> dict:
    """A route for a listener's mail to a host of its own."""
    world.add_mx(name)
    return {"listener": text(address), "host": name, "port": world.smtp_port, **match}


def send(address: tuple[str, int], to: str, sender: str = "alice@sender.example") -> str:
    with smtplib.SMTP(*address, local_hostname="client.test", timeout=30) as client:
        client.ehlo()
        return submit(client, sender, [to], b"Subject: test\r\n\r\nHello.\r\n")


def why(world: World, id: str) -> str:
    """What is told of a message, and where it goes next."""
    told = world.daemon.ctl("queue", "why", id)
    [recipient] = told["recipients"]
    return told["summary"] + " " + recipient["next"]


def test_mail_goes_the_way_of_its_listener_also_after_a_restart(make_world):
    world = make_world(start=False, workers=2)
    one, two, plain = addresses(world, 3)
    world.write_config(listen=[{"address": text(each)} for each in (one, two, plain)],
                       routes=[upstream(world, "one.provider.test", one),
                               upstream(world, "two.provider.test", two)])
    hosts = {one: world.mx["one.provider.test"], two: world.mx["two.provider.test"],
             plain: world.add_domain("elsewhere.test")}
    world.start()

    def received() -> dict[tuple[str, int], int]:
        return {address: len(host.messages) for address, host in hosts.items()}

    for address in hosts:
        world.wait_for_delivery(send(address, "bob@elsewhere.test"), "delivered")
    assert received() == {one: 1, two: 1, plain: 1}

    for host in hosts.values():
        host.script.rules["MAIL"] = "451 4.3.0 later"
    waiting = {address: send(address, "bob@elsewhere.test") for address in hosts}
    for address, id in waiting.items():
        world.wait_for_delivery(id, "deferred")
        assert world.daemon.ctl("queue", "show", id)["listener"] == text(address)
        assert f" by {text(address)}, " in why(world, id)
        place = "elsewhere.test" if address == plain else hosts[address].name
        assert f"{place}:{world.smtp_port}" in why(world, id)
    assert text(two) in world.daemon.run("queue", "show", waiting[two]).stdout
    world.daemon.stop()
    for host in hosts.values():
        del host.script.rules["MAIL"]
    world.daemon.start()
    for id in waiting.values():
        world.daemon.ctl("queue", "retry", id)
        world.wait_for_delivery(id, "delivered")
    assert received() == {one: 2, two: 2, plain: 2}


def test_a_notice_takes_no_route_by_a_listener(make_world):
    world = make_world(start=False)
    [one] = addresses(world, 1)
    world.write_config(routes=[upstream(world, "one.provider.test", one)])
    world.mx["one.provider.test"].script.rules["RCPT"] = "550 5.1.1 nobody"
    home = world.add_domain("sender.example")
    world.start()
    world.wait_for_delivery(send(one, "bob@elsewhere.test"), "failed")
    wait_until(lambda: home.messages, "the notice")
    assert not world.mx["one.provider.test"].messages


def test_mail_of_a_listener_that_was_removed_takes_the_other_routes(make_world):
    world = make_world(start=False)
    one, two = addresses(world, 2)
    world.write_config(listen=[{"address": text(one)}, {"address": text(two)}],
                       routes=[upstream(world, "two.provider.test", two)])
    rest = world.add_mx("rest.provider.test")
    world.mx["two.provider.test"].script.rules["MAIL"] = "451 4.3.0 later"
    world.start()
    id = send(two, "bob@elsewhere.test")
    world.wait_for_delivery(id, "deferred")
    world.write_config(listen=[{"address": text(one)}],
                       routes=[{"match": "*", "host": rest.name, "port": world.smtp_port}])
    assert world.daemon.ctl("config", "reload")["needs_restart"] == ["listen", "routes"]
    assert "two.provider.test" in why(world, id)
    world.daemon.stop()
    world.daemon.start()
    world.daemon.ctl("queue", "retry", id)
    world.wait_for_delivery(id, "delivered")
    assert len(rest.messages) == 1


def test_a_route_for_a_listener_that_is_not_there_is_refused(make_world):
    world = make_world(start=False)
    one, other = addresses(world, 2)
    world.write_config(routes=[{"listener": text(other), "host": "one.provider.test"}])
    result = world.daemon.run("config", "check")
    assert result.returncode == 1
    assert (f'routes[0].listener: "{text(other)}" is no listener of this file; write one of those '
            f"in listen: {text(one)}") in result.stderr
    assert ":0:" not in result.stderr
