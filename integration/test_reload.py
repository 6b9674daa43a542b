"""What a reload puts in force, what it leaves to a restart, and what it refuses."""

import signal

from peers.client import Client
from peers.daemon import wait_until


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


def test_refused_reload_logs_one_line_for_each_error(make_world):
    world = make_world()
    good = world.config_file.read_text()
    world.config_file.write_text("workers: x\nbogus: 1\n")

    def failures():
        return [line["detail"] for line in world.daemon.log("reload-failed", level="error")]

    socket = f"{world.config['queue']['path']}/control.sock"
    result = world.daemon.run("config", "reload", "--socket", socket)
    assert result.returncode == 1 and "the old one stays in force" in result.stderr
    file = world.config_file
    told = wait_until(lambda: len(failures()) == 2 and failures())
    assert told[0].startswith(f"{file}:1: workers: ") and told[1].startswith(f"{file}:2: bogus: ")
    world.daemon.signal(signal.SIGHUP)
    wait_until(lambda: failures() == told * 2)
    world.config_file.write_text(good)
    assert world.daemon.ctl("config", "reload")["needs_restart"] == []
