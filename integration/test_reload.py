"""What a reload puts in force, what it leaves to a restart, and what it refuses."""

from peers.client import Client


def test_second_reload_still_names_what_needs_a_restart(make_world):
    world = make_world()
    world.write_config(workers=3, routes=[{"match": "a.example", "mx": "b.example"}],
                       limits={"message_size": "1MiB"})
    for _ in range(2):
        assert world.daemon.ctl("config", "reload")["needs_restart"] == ["workers", "routes"]
    with Client(world.listener) as client:
        assert f"SIZE {1 << 20}" in client.command("EHLO c").lines
    assert "routes: changed, takes effect after a restart" in world.daemon.run(
        "config", "reload").stdout


def test_reloaded_test_world_changes_nothing(make_world):
    world = make_world()
    mx = world.add_domain("same.example", "enforce")
    world.write_config(test_world={"smtp_port": 1, "https_port": 1, "ca_file": "/nonexistent",
                                   "allow_private_addresses": False})
    assert world.daemon.ctl("config", "reload")["needs_restart"] == ["test_world"]
    world.wait_for_delivery(world.send("x@same.example"), "delivered")
    assert mx.sessions[0].tls and len(mx.messages) == 1


def test_reloaded_route_waits_for_the_restart(make_world):
    world = make_world()
    direct, routed = world.add_domain("direct.example"), world.add_domain("routed.example")
    world.write_config(routes=[{"match": "direct.example", "mx": "routed.example"}])
    assert world.daemon.ctl("config", "reload")["needs_restart"] == ["routes"]
    world.wait_for_delivery(world.send("x@direct.example"), "delivered")
    assert len(direct.messages) == 1 and routed.messages == []
    world.daemon.stop()
    world.start()
    world.wait_for_delivery(world.send("x@direct.example"), "delivered")
    assert len(direct.messages) == 1 and len(routed.messages) == 1
