"""The stream of events for programs: to a UNIX socket and by HTTPS, in order, never delaying mail."""

import json
import socket
import threading

import pytest

from peers.daemon import wait_until
from peers.report_host import ReportHost


class Listener:
    """A program that listens on a UNIX socket."""

    def __init__(self, path) -> None:
        path.unlink(missing_ok=True)
        self.lines: list[dict] = []
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        path.chmod(0o666)
        self._server.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        try:
            while True:
                connection, _ = self._server.accept()
                with connection.makefile("rb") as lines:
                    for line in lines:
                        self.lines.append(json.loads(line))
        except OSError:
            pass

    def close(self) -> None:
        self._server.close()

    def of(self, id: str) -> list[dict]:
        return [line for line in self.lines if line["id"] == id]


def _outcomes(world):
    world.add_domain("good.example")
    world.add_domain("later.example", rules={"RCPT": "451 4.7.1 later"})
    world.add_domain("never.example", rules={"RCPT": "550 5.1.1 unknown"})
    return {word: world.send(f"x@{domain}.example", sender="")
            for word, domain in (("delivered", "good"), ("deferred", "later"),
                                 ("bounced", "never"))}


def test_a_program_on_a_socket_hears_of_every_outcome(make_world, tmp_path):
    world = make_world(start=False, events={"to": str(tmp_path / "events.sock")})
    listener = Listener(tmp_path / "events.sock")
    world.start()
    for word, id in _outcomes(world).items():
        wait_until(lambda: len(listener.of(id)) == 2, f"both events of {word}")
        events = {line["event"]: line for line in listener.of(id)}
        assert set(events) == {"accepted", word}
        assert all(events[word][key] for key in ("to", "time", "dsn", "delay"))
    listener.close()


def test_events_wait_for_a_program_that_is_not_there_yet_and_mail_does_not(make_world, tmp_path):
    path = tmp_path / "events.sock"
    world = make_world(events={"to": str(path)})
    mx = world.add_domain("good.example")
    ids = [world.send("x@good.example") for _ in range(5)]
    wait_until(lambda: len(mx.messages) == 5)
    wait_until(lambda: world.daemon.log("events-failing"))
    listener = Listener(path)
    wait_until(lambda: all(len(listener.of(id)) == 2 for id in ids), "all events")
    assert [line["id"] for line in listener.lines if line["event"] == "accepted"] == ids
    wait_until(lambda: world.daemon.log("events-recovered"))
    listener.close()


@pytest.fixture
def hooked(make_world, tmp_path):
    """A world whose events go to a web server by POST."""
    world = make_world(start=False)
    token = tmp_path / "token"
    token.write_text("s3cret-token\n")
    world.hook = ReportHost(world.authority, "hooks.example")
    ip = world.address()
    world.call(world.hook.start(ip, world.https_port))
    world._servers.append(world.hook)
    world.dns.set("hooks.example", "A", ip)
    world.write_config(events={"to": f"https://hooks.example:{world.https_port}/mail",
                               "token_file": str(token)})
    return world.start()


def test_a_web_hook_gets_batches_with_the_token(hooked):
    ids = _outcomes(hooked)

    def lines():
        return [json.loads(line) for post in list(hooked.hook.posted)
                for line in post.body.splitlines()]

    wait_until(lambda: len(lines()) == 6, "six events")
    post = hooked.hook.posted[0]
    assert post.line.startswith("POST /mail ")
    assert post.headers["authorization"] == "Bearer s3cret-token"
    assert post.headers["content-type"] == "application/x-ndjson"
    assert {(line["event"], line["id"]) for line in lines()} == (
        {("accepted", id) for id in ids.values()} | set(ids.items()))
    assert "s3cret" not in hooked.daemon.text()


def test_a_refused_batch_is_posted_again(hooked):
    hooked.hook.reply.status = 503
    mx = hooked.add_domain("good.example")
    id = hooked.send("x@good.example")
    wait_until(lambda: mx.messages and len(hooked.hook.posted) >= 2)
    hooked.hook.reply.status = 204
    wait_until(lambda: hooked.daemon.log("events-recovered"))
    last = [json.loads(line) for line in hooked.hook.posted[-1].body.splitlines()]
    assert {line["id"] for line in last} == {id}
