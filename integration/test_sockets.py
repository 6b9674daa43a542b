"""Sockets that the service manager holds, so that a restart refuses no connection."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import urllib.request

import pytest

from peers.client import Client
from peers.daemon import binary, wait_until
from peers.network import free_port

FIRST = 3  # SD_LISTEN_FDS_START


class Manager:
    """Holds sockets, and hands them to each daemon that it starts."""

    def __init__(self, world) -> None:
        self.world = world
        self.sockets: dict[str, socket.socket] = {}

    def listen(self, name: str, address: tuple[str, int]) -> None:
        self.sockets[name] = socket.create_server(address)

    def start(self, wait: bool = True) -> subprocess.Popen:
        daemon = self.world.daemon
        held = [each.fileno() for each in self.sockets.values()]
        # The shell's process becomes the daemon, whose number LISTEN_PID must have.
        moves = " ".join(f"{10 + n}<&{fd}" for n, fd in enumerate(held))
        again = " ".join(f"{FIRST + n}<&{10 + n} {10 + n}<&-" for n in range(len(held)))
        script = f'exec {moves}; exec {again}; export LISTEN_PID=$$; exec "$@"'
        environment = daemon.environment | {"LISTEN_FDS": str(len(held)),
                                            "LISTEN_FDNAMES": ":".join(self.sockets)}
        with daemon.log_file.open("ab") as log:
            daemon.process = subprocess.Popen(
                ["bash", "-c", script, "bash", str(binary()), "run", "--config",
                 str(daemon.config_file)], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=environment, pass_fds=held, start_new_session=True)
        if wait:
            wait_until(lambda: daemon.run("health").returncode == 0, "the daemon to be ready")
        return daemon.process

    def close(self) -> None:
        for each in self.sockets.values():
            each.close()


@pytest.fixture
def manager(make_world):
    made = Manager(make_world(start=False))
    yield made
    made.close()


def test_restart_on_held_sockets_refuses_no_connection(manager):
    world = manager.world
    metrics = ("127.0.0.1", free_port("127.0.0.1"))
    world.write_config(metrics={"address": "%s:%d" % metrics})
    manager.listen("smtp", world.listener)
    manager.listen("metrics", metrics)
    mx = world.add_domain("held.example", "enforce")
    manager.start()  # binding a second time would fail
    world.wait_for_delivery(world.send("x@held.example"), "delivered")
    with urllib.request.urlopen("http://%s:%d/live" % metrics) as answer:
        assert answer.status == 200
    world.daemon.stop()
    waiting = [Client(world.listener, greet=False) for _ in range(20)]
    manager.start()
    for client in waiting:
        assert client.reply().code == 220
        client.close()
    world.wait_for_delivery(world.send("y@held.example"), "delivered")
    assert len(mx.messages) == 2
    assert world.daemon.log("socket-unused") == []


def test_held_socket_outlives_a_kill(manager):
    manager.listen("smtp", manager.world.listener)
    manager.start()
    manager.world.daemon.kill()
    with Client(manager.world.listener, greet=False) as client:
        manager.start()
        assert client.reply().code == 220


def test_held_socket_that_no_setting_names_is_told_of(manager):
    other = ("127.0.0.1", free_port("127.0.0.1"))
    manager.listen("submission", other)
    manager.start()
    said, = manager.world.daemon.log("socket-unused")
    assert said["socket"] == "submission (%s:%d)" % other
    with Client(manager.world.listener):
        pass


def test_held_descriptor_that_does_not_listen_stops_the_start(manager):
    manager.sockets["smtp"] = socket.socket()
    process = manager.start(wait=False)
    assert process.wait(20) == 1
    manager.world.daemon.process = None
    assert '"smtp", which is no listening stream socket' in manager.world.daemon.text()


@pytest.mark.skipif(not shutil.which("systemd-socket-activate"), reason="systemd is not installed")
def test_first_connection_starts_the_daemon(make_world):
    world = make_world(start=False)
    world.daemon.start(wait=False, wrapper=(
        "systemd-socket-activate", "--listen=%s:%d" % world.listener, "--fdname=smtp",
        *(f"--setenv={name}" for name in ("ASAN_OPTIONS",) if name in os.environ)))

    def activated():
        try:
            return Client(world.listener)
        except OSError:
            return None

    client = wait_until(activated)
    assert client.command("EHLO c").code == 250
    client.close()
