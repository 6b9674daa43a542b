"""The UNIX socket, and the sendmail command that speaks to it."""

import os
import signal
import socket
import stat
import subprocess

import pytest

from peers.client import Client
from peers.daemon import binary, wait_until

MESSAGE = b"From: alice@sender.example\nTo: x@example.org\nSubject: test\n\nbody\n"


@pytest.fixture
def make(make_world):
    """Makes a world that listens on a UNIX socket, too, with these settings of that listener."""

    def make(start: bool = True, listener: dict = {}, **config):
        world = make_world(start=False, **config)
        world.unix = world.folder / "smtp.sock"
        world.write_config(listen=[{"address": "%s:%d" % world.listener},
                                   {"address": f"unix:{world.unix}", **listener}])
        return world.start() if start else world

    return make


@pytest.fixture
def local(make):
    world = make()
    world.inbox = world.add_domain("example.org")
    return world


def sendmail(world, *arguments: str, text: bytes = MESSAGE, name: str = "",
             **options) -> subprocess.CompletedProcess:
    """name: that of a link to the program; else it is called as a command of stsrelay."""
    command = [name] if name else [str(binary()), "sendmail"]
    return subprocess.run([*command, "--config", str(world.config_file), *arguments], input=text,
                          capture_output=True, timeout=60, **options)


def sent(result: subprocess.CompletedProcess) -> None:
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b""), result


def received(world):
    wait_until(lambda: world.inbox.messages, "delivery")
    return world.inbox.messages[0]


class UnixClient(Client):
    def __init__(self, path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(20)
        self._socket.connect(str(path))
        self._buffer = b""
        assert self.reply().code == 220


# --- the socket -----------------------------------------------------------------------------------
def test_a_client_of_the_socket_may_relay_and_is_known_by_its_user_id(local):
    with UnixClient(local.unix) as client:
        client.start_data("alice@sender.example", "x@example.org")
        client.send(b"Subject: test\r\n\r\nbody\r\n.\r\n")
        assert client.reply().code == 250
    content = received(local).content.decode()
    assert f"from client.test (uid {os.getuid()})" in content
    (line,) = local.daemon.log("accepted")
    assert line["client"] == f"uid:{os.getuid()}"


def test_the_socket_has_its_mode_is_listed_and_goes_with_the_daemon(make):
    world = make(listener={"socket": {"mode": "0640"}})
    assert stat.S_IMODE(world.unix.stat().st_mode) == 0o640
    assert f"unix:{world.unix}" in world.daemon.ctl("status")["listeners"]
    assert world.daemon.log("listening", address=f"unix:{world.unix}")
    world.daemon.stop()
    assert not world.unix.exists()


def test_a_socket_left_behind_is_replaced_and_one_in_use_is_not(make):
    world = make()
    world.daemon.kill()
    assert world.unix.exists()
    world.daemon.start()
    with UnixClient(world.unix) as client:
        assert client.command("NOOP").code == 250
    world.daemon.stop()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(world.unix))
        other.listen()
        with pytest.raises(AssertionError, match="another process is listening there"):
            world.daemon.start()
        world.daemon.kill()
    world.unix.unlink()


def test_a_folder_that_does_not_exist_is_said_at_the_start(make):
    world = make(start=False)
    world.write_config(listen=[{"address": "unix:/nonexistent/smtp.sock"}])
    with pytest.raises(AssertionError, match="its folder must exist and be writable"):
        world.daemon.start()
    world.daemon.kill()


def test_rules_of_the_socket_follow_a_reload(make):
    world = make()
    world.write_config(listen=[{"address": "%s:%d" % world.listener},
                               {"address": f"unix:{world.unix}",
                                "recipients": {"allow": ["example.org"]}}])
    world.daemon.signal(signal.SIGHUP)
    (line,) = wait_until(lambda: world.daemon.log("reloaded"), "the reload")
    assert "needs_restart" not in line
    with UnixClient(world.unix) as client:
        assert client.commands("EHLO a.test", "MAIL FROM:<a@b.example>", "RCPT TO:<x@example.net>",
                               "RCPT TO:<x@example.org>") == [250, 250, 550, 250]


def test_connections_of_a_user_are_limited_by_user_id(make):
    world = make(limits={"connections_per_client": 1})
    with UnixClient(world.unix), pytest.raises(AssertionError):
        UnixClient(world.unix)
    assert world.daemon.log("refused", client=f"uid:{os.getuid()}")


# --- sendmail -------------------------------------------------------------------------------------
def test_a_message_gets_crlf_date_and_message_id_and_goes_to_those_named(local):
    sent(sendmail(local, "-f", "bounces@sender.example", "x@example.org"))
    message = received(local)
    assert message.sender == "bounces@sender.example"
    header, _, body = message.content.partition(b"\r\n\r\n")
    assert b"\r\nDate: " in header and b"\r\nMessage-ID: <" in header
    assert body == b"body\r\n" and b"\n" not in message.content.replace(b"\r\n", b"")


@pytest.mark.parametrize("path", ["", "/"])
def test_the_same_by_the_name_sendmail(local, path, tmp_path):
    os.symlink(binary(), tmp_path / "sendmail")
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    name = str(tmp_path / "sendmail") if path else "sendmail"
    sent(sendmail(local, "-i", "x@example.org", env=environment, name=name))
    assert received(local).content.endswith(b"body\r\n")


def test_t_reads_the_header_and_removes_bcc(local):
    text = (b"From: root (Cron Daemon)\nTo: X <x@example.org>, y@example.org\n"
            b"Bcc: z@example.org\nSubject: s\n\nbody\n")
    sent(sendmail(local, "-ti", "-oem", "-odb", text=text))
    message = received(local)
    assert sorted(message.to) == ["x@example.org", "y@example.org", "z@example.org"]
    assert b"Bcc" not in message.content and b"z@example.org" not in message.content
    assert b"\r\nFrom: root@relay.test (Cron Daemon)\r\n" in message.content


def test_missing_from_is_the_caller_and_the_name_of_F(local):
    sent(sendmail(local, "-F", "Night Job", "x@example.org", text=b"Subject: s\n\nbody\n"))
    message = received(local)
    assert message.sender.endswith("@relay.test")
    assert f"\r\nFrom: Night Job <{message.sender}>\r\n".encode() in message.content


def test_text_without_a_header_is_a_body(local):
    sent(sendmail(local, "x@example.org", text=b"disk is full\nreally\n"))
    assert received(local).content.endswith(b"\r\n\r\ndisk is full\r\nreally\r\n")


@pytest.mark.parametrize("options, body", [([], b"one\r\n"), (["-i"], b"one\r\n.\r\ntwo\r\n"),
                                           (["-oi"], b"one\r\n.\r\ntwo\r\n")])
def test_a_lone_dot_ends_the_message_unless_i_is_given(local, options, body):
    sent(sendmail(local, *options, "x@example.org", text=b"Subject: s\n\none\n.\ntwo\n"))
    assert received(local).content.endswith(b"\r\n\r\n" + body)


def test_nothing_in_a_message_can_end_it_early(local):
    body = b"a\r\n.\r\nMAIL FROM:<evil@sender.example>\r\nb\n..c\rd\r\n.\n\xff\xfe\n"
    sent(sendmail(local, "-i", "x@example.org", text=b"Subject: s\n\n" + body))
    message = received(local)
    assert message.content.endswith(
        b"\r\n\r\na\r\n.\r\nMAIL FROM:<evil@sender.example>\r\nb\r\n..c\r\nd\r\n.\r\n\xff\xfe\r\n")
    assert len(local.daemon.log("accepted")) == 1


def test_large_messages_pass(local):
    line = b"x" * 76 + b"\n"
    text = b"Subject: s\n\n" + line * (20 * 1024 * 1024 // len(line))
    sent(sendmail(local, "-i", "x@example.org", text=text))
    assert len(received(local).content) > 20 * 1024 * 1024


def test_dsn_options_reach_the_envelope(local):
    sent(sendmail(local, "-N", "never", "-R", "hdrs", "-V", "id 1", "x@example.org"))
    message = received(local)
    assert "RET=HDRS" in message.parameters and "ENVID=id+201" in message.parameters
    assert "NOTIFY=NEVER" in message.recipients[0][1]


def test_bs_speaks_smtp_on_standard_input_and_output(local):
    dialogue = (b"EHLO client.test\r\nMAIL FROM:<alice@sender.example>\r\n"
                b"RCPT TO:<x@example.org>\r\nDATA\r\nSubject: s\r\n\r\nbody\r\n.\r\nQUIT\r\n")
    result = sendmail(local, "-bs", text=dialogue)
    assert result.returncode == 0 and not result.stderr
    answers = result.stdout.decode().split("\r\n")
    assert answers[0].startswith("220 ") and answers[-2].startswith("221 ")
    assert any(line.startswith("250 2.0.0 Ok: queued as ") for line in answers)
    assert received(local).content.endswith(b"body\r\n")


# --- sendmail that fails does so loudly -------------------------------------------------------------
def failed(result: subprocess.CompletedProcess, status: int, *words: str) -> None:
    text = result.stderr.decode()
    assert result.returncode == status, result
    assert text.startswith("sendmail: ") and all(word in text for word in words), text


def test_75_when_the_daemon_does_not_run(make):
    world = make(start=False)
    failed(sendmail(world, "x@example.org"), 75, "NOT queued", str(world.unix), "is the daemon")


def test_75_when_the_daemon_cannot_take_it_now(make):
    world = make(queue={"min_free": "1024GiB"})
    failed(sendmail(world, "x@example.org"), 75, "NOT queued", "452 4.3.1")


def test_64_for_wrong_usage_and_for_what_another_command_does(local):
    failed(sendmail(local, "-N", "sometimes", "x@example.org"), 64, "-N: write never")
    failed(sendmail(local, "-bp"), 64, "stsrelay queue list")


def test_65_without_recipients_and_for_refused_content(local):
    failed(sendmail(local), 65, "NOT queued", "use -t")
    failed(sendmail(local, "-t", text=b"Subject: s\n\nb\n"), 65, "name nobody")
    failed(sendmail(local, "x@example.org", text=b"Subject: s\n\n" + b"y" * 2000 + b"\n"), 65,
           "NOT queued", "Line longer than 998")
    failed(sendmail(local, "x@[192.0.2.1]"), 65, "x@[192.0.2.1]: 550 5.1.2")
    assert local.queue() == []


def test_77_for_senders_that_are_not_allowed(make):
    world = make(listener={"senders": {"allow": ["sender.example"]}})
    failed(sendmail(world, "-f", "a@other.example", "x@example.org"), 77, "NOT queued",
           "You may not send as a@other.example")


@pytest.mark.skipif(os.geteuid() != 0, reason="another account needs root")
def test_77_for_who_may_not_use_the_socket(make):
    world = make(listener={"socket": {"mode": "0600"}})
    world.folder.chmod(0o755)
    world.config_file.chmod(0o644)
    result = sendmail(world, "x@example.org", user=65534, group=65534, extra_groups=[])
    failed(result, 77, "you may not use", "listen.socket.mode")


def test_78_without_a_socket_in_the_configuration_or_with_a_broken_one(make_world):
    world = make_world(start=False)
    failed(sendmail(world, "x@example.org"), 78, "listen: has no UNIX socket", "NOT queued")
    world.config_file.write_text("listen: 5\n")
    failed(sendmail(world, "x@example.org"), 78, "relay.yaml:1: listen", "NOT queued")


def test_a_refused_recipient_keeps_the_message_from_all(make):
    world = make(listener={"recipients": {"deny": ["secret.example"]}})
    failed(sendmail(world, "x@example.org", "y@secret.example"), 77, "y@secret.example: 550 5.7.1")
    assert world.queue() == []


def test_a_caller_that_dies_halfway_queues_nothing(local):
    process = subprocess.Popen([str(binary()), "sendmail", "--config", str(local.config_file),
                                "x@example.org"], stdin=subprocess.PIPE)
    process.stdin.write(MESSAGE + b"more\n" * 100_000)
    process.stdin.flush()
    wait_until(lambda: local.daemon.ctl("status")["inbound_connections"] == 1, "the connection")
    process.kill()
    process.wait()
    process.stdin.close()
    wait_until(lambda: local.daemon.log("closed", reason="lost"), "the end of the session")
    assert not local.daemon.log("accepted")
