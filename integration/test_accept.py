"""What the listener accepts and refuses (RFC 5321 and its extensions)."""

import re
import time

import pytest

from peers.client import Client
from peers.daemon import wait_until
from peers.network import free_port
from peers.world import submit


@pytest.fixture(scope="module")
def world(shared_world):
    return shared_world


@pytest.fixture
def client(world):
    with Client(world.listener) as connection:
        yield connection


def test_ehlo_announces_the_extensions(client):
    reply = client.command("EHLO client.test")
    assert reply.code == 250
    words = {line.split()[0] for line in reply.lines[1:]}
    assert words >= {"PIPELINING", "SIZE", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES",
                     "CHUNKING", "DSN"}
    assert f"SIZE {50 << 20}" in reply.lines
    assert "LIMITS RCPTMAX=1000" in reply.lines
    assert "STARTTLS" not in words


def test_helo_gets_one_line(client):
    assert client.command("HELO client.test").lines[0].startswith("relay.test")
    assert client.commands("MAIL FROM:<a@b.example>") == [250]


def test_ehlo_accepts_any_sane_name_and_a_literal(world):
    for name in ("[127.0.0.1]", "[IPv6:::1]", "host", "under_score.test"):
        with Client(world.listener) as client:
            assert client.command(f"EHLO {name}").code == 250


@pytest.mark.parametrize("line, code", [
    ("VRFY alice", 252), ("EXPN list", 502), ("ETRN x", 502), ("NOOP", 250), ("RSET", 250),
    ("HELP", 214), ("FROBNICATE", 500), ("MAIL FROM:<a@b.example> FOO=bar", 555),
    ("RCPT TO:<a@b.example>", 503), ("DATA", 503), ("BDAT 3 LAST", 503), ("MAIL a@b", 501),
    ("QUIT", 221)])
def test_command_gets_its_code(client, line, code):
    client.command("EHLO client.test")
    if line.startswith("BDAT"):
        client.send(line.encode() + b"\r\nabc")
        assert client.reply().code == code
    else:
        assert client.command(line).code == code


def test_second_mail_is_out_of_sequence(client):
    assert client.commands("EHLO c", "MAIL FROM:<a@b.example>", "MAIL FROM:<a@b.example>") == [
        250, 250, 503]


def test_replies_carry_enhanced_codes_after_ehlo(client):
    client.command("EHLO client.test")
    for line in ("MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>", "RSET", "NOPE"):
        assert re.match(r"[245]\.\d+\.\d+ ", client.command(line).lines[0]), line


def test_pipelined_transaction_is_answered_in_order(world, client):
    world.add_domain("pipelined.example")
    client.send(b"EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<x@pipelined.example>\r\n"
                b"RCPT TO:<bad\r\nDATA\r\n")
    assert [client.reply().code for _ in range(5)] == [250, 250, 250, 501, 354]
    client.send(b"Subject: x\r\n\r\nbody\r\n.\r\nMAIL FROM:<a@b.example>\r\nQUIT\r\n")
    assert [client.reply().code for _ in range(3)] == [250, 250, 221]


def test_message_is_relayed_unchanged_but_for_received(world):
    mx = world.add_domain("unchanged.example")
    content = (b"From: <alice@sender.example>\r\nDate: now\r\nMessage-ID: <1@c.test>\r\n\r\n"
               b"one\r\n..two\r\n.\tthree\r\n\r\n")
    with world.smtp() as client:
        id = submit(client, "alice@sender.example", ["x@unchanged.example"], content)
    world.wait_for_delivery(id, "delivered")
    assert mx.messages[0].content.endswith(content)
    received = mx.messages[0].content.removesuffix(content)
    assert received.count(b"Received:") == 1


def test_received_header_names_client_relay_id_and_single_recipient(world):
    mx = world.add_domain("trace.example")
    id = world.send("x@trace.example")
    world.wait_for_delivery(id, "delivered")
    header = re.sub(r"\s+", " ", mx.messages[0].content.decode().split("From: <alice")[0])
    assert re.match(r"Received: from client\.test \(.*\[127\.0\.0\.1\]\) by relay\.test .*"
                    rf"with ESMTP id {id} for <x@trace\.example>;? ?.*; "
                    r"\w{3}, \d{1,2} \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}", header), header


def test_received_header_hides_several_recipients(world):
    mx = world.add_domain("several.example")
    id = world.send(["x@several.example", "y@several.example"])
    world.wait_for_delivery(id, "delivered")
    header = mx.messages[0].content.decode().split("From: <alice")[0]
    assert " for <" not in header


def test_51_received_headers_are_a_loop(world):
    content = b"Received: from a by b; now\r\n" * 51 + b"Subject: x\r\n\r\nx\r\n.\r\n"
    with Client(world.listener) as client:
        client.start_data("a@b.example", "x@loop.example")
        client.send(content)
        reply = client.reply()
    assert reply.code == 554 and "5.4.6" in reply.text


@pytest.mark.parametrize("line", [
    "GET / HTTP/1.1", "POST /x HTTP/1.0", "CONNECT a:443 HTTP/1.1", "\x16\x03\x01\x02\x00\x01",
    pytest.param("POST /" + "a" * 5000 + " HTTP/1.1", id="POST-5000-octets"),
    pytest.param("EHLO x\r\nPUT / HTTP/1.1", id="PUT-after-EHLO")])
def test_http_verbs_and_tls_hello_are_cut_off(world, line):
    with Client(world.listener) as client:
        client.send(line.encode("latin-1") + b"\r\nHost: x\r\nMAIL FROM:<a@b.example>\r\n")
        try:
            if line.startswith("EHLO"):
                assert client.reply().code == 250
            assert client.reply().code == 421
            with pytest.raises((EOFError, ConnectionError)):
                client.reply()
        except ConnectionError:
            pass


def test_soft_error_limit_slows_refusals_down(make_world):
    world = make_world(limits={"soft_errors": 2, "hard_errors": 10})
    with Client(world.listener) as client:
        started = time.monotonic()
        assert client.commands("EHLO c", "NONSENSE", "NONSENSE", "NONSENSE") == [
            250, 500, 500, 500]
        assert time.monotonic() - started > 0.5
        assert client.commands("NOOP") == [250]


def test_space_before_the_path_is_tolerated(client):
    assert client.commands("EHLO c", "MAIL FROM: <a@b.example>", "RCPT TO: <c@d.example>") == [
        250, 250, 250]


def test_hard_error_limit_ends_the_session(make_world):
    world = make_world(limits={"soft_errors": 3, "hard_errors": 4})
    with Client(world.listener) as client:
        codes = client.commands("EHLO c", *["NONSENSE"] * 3)
        assert codes == [250, 500, 500, 500]
        last = client.command("NONSENSE")
        assert last.code == 421 or client.reply().code == 421
        assert client.closed()


def test_junk_commands_are_limited(make_world):
    world = make_world(limits={"junk_commands": 10, "hard_errors": 100})
    with Client(world.listener) as client:
        client.command("EHLO c")
        codes = []
        with pytest.raises((EOFError, ConnectionError)):
            for _ in range(100):
                codes.append(client.command("NOOP").code)
        assert codes[:9] == [250] * 9 and codes[-1] == 421


def test_overlong_command_is_refused_and_the_session_stays_in_step(client):
    assert client.command("EHLO " + "x" * 4000).code == 500
    assert client.commands("EHLO c", "MAIL FROM:<a@b.example>") == [250, 250]


def test_three_overlong_commands_end_the_session(client):
    codes = []
    with pytest.raises((EOFError, ConnectionError)):
        for _ in range(5):
            codes.append(client.command("NOOP " + "x" * 4000).code)
    assert len(codes) <= 4 and codes[0] == 500 and codes[-1] in (421, 500)


def test_nul_in_a_command_ends_the_session(client):
    assert client.command(b"NOOP \0x").code == 500
    assert client.closed()


def test_nul_in_data_is_refused(world, client):
    client.start_data("a@b.example", "x@nul.example")
    client.send(b"Subject: x\r\n\r\na\0b\r\n.\r\n")
    reply = client.reply()
    assert reply.code == 550 and "5.6.0" in reply.text


@pytest.mark.parametrize("address, code", [
    ("a" * 64 + "@b.example", 250), ("a" * 65 + "@b.example", 501),
    ("x@" + ".".join(["d" * 60] * 4), 250), ("x@" + ".".join(["d" * 60] * 5), 501)])
def test_size_limits_of_addresses(client, address, code):
    assert client.commands("EHLO c", f"MAIL FROM:<{address}>")[1] == code


@pytest.mark.parametrize("address", ["x@192.0.2.1", "x@1.2.3", "x@", "@", "x", "x@a..b"])
def test_recipients_that_are_no_addresses_are_refused(client, address):
    codes = client.commands("EHLO c", "MAIL FROM:<a@b.example>", f"RCPT TO:<{address}>")
    assert codes[2] // 100 == 5


def test_source_route_is_stripped(world, client):
    mx = world.add_domain("source.example")
    client.start_data("a@b.example", "@one.example,@two.example:x@source.example")
    client.send(b"Subject: x\r\n\r\nx\r\n.\r\n")
    assert client.reply().code == 250
    wait_until(lambda: mx.messages)
    assert mx.messages[0].to == ["x@source.example"]


def test_duplicate_recipients_collapse_and_domains_lose_their_case(world):
    mx = world.add_domain("twice.example")
    world.wait_for_delivery(world.send(["Xx@TWICE.example", "Xx@twice.Example"]), "delivered")
    assert mx.messages[0].to == ["Xx@twice.example"]


def test_a_hundred_recipients_are_accepted_and_the_limit_is_temporary(make_world):
    world = make_world(limits={"recipients": 100})
    with Client(world.listener) as client:
        client.commands("EHLO c", "MAIL FROM:<a@b.example>")
        codes = client.commands(*[f"RCPT TO:<u{n}@many.example>" for n in range(100)])
        assert codes == [250] * 100
        reply = client.command("RCPT TO:<last@many.example>")
        assert reply.code == 452 and "4.5.3" in reply.text


def test_declared_size_over_the_limit_is_refused_at_mail(client):
    client.command("EHLO c")
    reply = client.command(f"MAIL FROM:<a@b.example> SIZE={(50 << 20) + 1}")
    assert reply.code == 552 and "5.3.4" in reply.text


def test_undeclared_size_over_the_limit_is_refused_after_the_end(make_world):
    world = make_world(limits={"message_size": "64KiB"})
    with Client(world.listener) as client:
        client.start_data("a@b.example", "x@big.example")
        client.send(b"Subject: x\r\n\r\n" + b"0123456789abcdef\r\n" * 8000 + b".\r\n")
        reply = client.reply()
        assert reply.code == 552 and "5.3.4" in reply.text
        assert client.commands("NOOP") == [250]
    assert world.queue() == []


def test_oversized_header_is_refused(make_world):
    world = make_world(limits={"header_size": "16KiB"})
    with Client(world.listener) as client:
        client.start_data("a@b.example", "x@header.example")
        client.send(b"X-Long: y\r\n" * 3000 + b"\r\nbody\r\n.\r\n")
        assert client.reply().code // 100 == 5
    assert world.queue() == []


def test_998_octets_in_a_line_pass_and_more_are_refused(world):
    mx = world.add_domain("line.example")
    line = b"x" * 998 + b"\r\n"
    world.wait_for_delivery(world.send("x@line.example", body=line), "delivered")
    assert mx.messages[0].content.endswith(line)
    with Client(world.listener) as client:
        client.start_data("a@b.example", "x@line.example")
        client.send(b"Subject: x\r\n\r\n" + b"y" * 999 + b"\r\n.\r\n")
        assert client.reply().code // 100 == 5
        assert client.commands("NOOP") == [250]


def test_bdat_chunks_make_one_message(world, client):
    mx = world.add_domain("bdat.example")
    client.commands("EHLO c", "MAIL FROM:<a@b.example> BODY=8BITMIME",
                    "RCPT TO:<x@bdat.example>")
    header = b"Date: now\r\nMessage-ID: <1@c.test>\r\n\r\n"
    first, second = header + b".\r\n", b"..\r\nend\xe9\r\n"
    client.send(b"BDAT %d\r\n%sBDAT %d LAST\r\n%s" % (len(first), first, len(second), second))
    assert [client.reply().code, client.reply().code] == [250, 250]
    wait_until(lambda: mx.messages)
    assert mx.messages[0].content.endswith(first + second)


def test_bdat_and_data_do_not_mix(client):
    client.commands("EHLO c", "MAIL FROM:<a@b.example>", "RCPT TO:<x@mix.example>")
    client.send(b"BDAT 5\r\nabcde")
    assert client.reply().code == 250
    assert client.commands("DATA") == [503]


def test_refused_bdat_is_drained(client):
    client.command("EHLO c")
    client.send(b"BDAT 20 LAST\r\nMAIL FROM:<a@b.ex>\r\nNOOP\r\n")
    assert [client.reply().code, client.reply().code] == [503, 250]


def test_eight_bit_and_utf8_mail_is_carried(world):
    mx = world.add_domain("utf8.example")
    body = "Grüße\r\n".encode()
    id = world.send("x@utf8.example", body=body, options=["BODY=8BITMIME", "SMTPUTF8"])
    world.wait_for_delivery(id, "delivered")
    assert mx.messages[0].content.endswith(body)
    assert "BODY=8BITMIME" in mx.messages[0].parameters


def test_null_sender_is_accepted_and_relayed(world):
    mx = world.add_domain("null.example")
    world.wait_for_delivery(world.send("x@null.example", sender=""), "delivered")
    assert mx.messages[0].sender == ""


def test_clients_outside_allow_networks_may_not_relay(make_world):
    world = make_world(start=False)
    world.write_config(listen=[{"address": "%s:%d" % world.listener,
                                "allow_networks": ["192.0.2.0/24"]}])
    world.start()
    with Client(world.listener, greet=False) as client:
        codes = [client.reply().code]
        if codes[0] == 220:
            codes += client.commands("EHLO c", "MAIL FROM:<a@b.example>",
                                     "RCPT TO:<x@d.example>")
    assert codes[-1] // 100 == 5
    assert world.queue() == []


@pytest.mark.parametrize("network", ["0.0.0.0/0", "::/0"])
def test_an_open_relay_does_not_start(make_world, network):
    world = make_world(start=False)
    world.write_config(listen=[{"address": "%s:%d" % world.listener,
                                "allow_networks": [network]}])
    result = world.daemon.run("run")
    assert result.returncode != 0
    assert "allow_networks" in result.stderr and network in result.stderr


def test_several_listeners_on_both_families(make_world):
    world = make_world(start=False)
    six = ("::1", free_port("::1"))
    world.write_config(listen=[{"address": "%s:%d" % world.listener},
                               {"address": "[%s]:%d" % six}])
    world.start()
    mx = world.add_domain("both.example")
    for address in (world.listener, six):
        with Client(address) as client:
            client.start_data("a@b.example", "x@both.example")
            client.send(b"Subject: x\r\n\r\nx\r\n.\r\n")
            assert client.reply().code == 250
    wait_until(lambda: len(mx.messages) == 2)
    assert any(b"[IPv6:::1]" in message.content for message in mx.messages)


def test_silent_client_is_told_and_closed(make_world):
    world = make_world(limits={"command_timeout": "500ms"})
    with Client(world.listener) as client:
        assert client.reply().code == 421
        assert client.closed()


def test_connections_are_limited_per_client_and_in_total(make_world):
    world = make_world(limits={"connections_per_client": 3, "connections": 100})
    clients = [Client(world.listener) for _ in range(3)]
    with Client(world.listener, greet=False) as one_more:
        assert one_more.reply().code == 421
    for client in clients:
        client.close()

    def accepted():
        with Client(world.listener, greet=False) as client:
            return client.reply().code == 220

    wait_until(accepted, "the slots to come back")
