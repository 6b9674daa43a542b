"""Only CRLF . CRLF ends a message, on the way in and on the way out."""

import pytest

from peers.client import Client
from peers.daemon import wait_until

VARIANTS = {
    "LF.LF": b"\n.\n", "LF.CRLF": b"\n.\r\n", "CRLF.LF": b"\r\n.\n", "CR.CR": b"\r.\r",
    "CR.CRLF": b"\r.\r\n", "CRLF.CR": b"\r\n.\r", "CR.LF": b"\r.\n", "LF.CR": b"\n.\r",
    "CRLF-NUL.CRLF": b"\r\n\0.\r\n", "CRLF.NUL-CRLF": b"\r\n.\0\r\n", "CRLF.CRCRLF": b"\r\n.\r\r\n",
    "CRCRLF.CRLF": b"\r\r\n.\r\n",
}
SMUGGLED = b"MAIL FROM:<evil@b.example>\r\nRCPT TO:<victim@smuggled.example>\r\nDATA\r\n"


@pytest.fixture(scope="module")
def world(shared_world):
    shared_world.add_domain("smuggled.example")
    return shared_world


@pytest.mark.parametrize("variant", VARIANTS)
def test_end_of_data_variant_smuggles_nothing(world, variant):
    ids = {entry["id"] for entry in world.queue()}
    with Client(world.listener) as client:
        client.start_data("a@b.example", "x@smuggled.example")
        client.send(b"Subject: x\r\n\r\nbody" + VARIANTS[variant] + SMUGGLED + b"\r\n.\r\n")
        reply = client.reply()
        assert reply.code == 550, reply
    assert {entry["id"] for entry in world.queue()} == ids
    assert world.mx["mx1.smuggled.example"].messages == []


def test_refusal_comes_only_after_the_true_end(world):
    with Client(world.listener, timeout=1) as client:
        client.start_data("a@b.example", "x@smuggled.example")
        client.send(b"Subject: x\r\n\r\nbare\nlf\r\n")
        with pytest.raises(TimeoutError):
            client.reply()
        client.send(b"more\r\n.\r\n")
        reply = client.reply()
        assert reply.code == 550 and "5.5.2" in reply.text
        assert client.closed()


def test_end_of_data_in_single_octets_is_found(world):
    mx = world.add_domain("octets.example")
    with Client(world.listener) as client:
        client.start_data("a@b.example", "x@octets.example")
        for octet in b"Subject: x\r\n\r\n..dot\r\n.\r\n":
            client.send(bytes([octet]))
        assert client.reply().code == 250
    wait_until(lambda: mx.messages)
    assert mx.messages[0].content.endswith(b"\r\n\r\n.dot\r\n")


def test_bare_lf_in_bdat_is_refused(world):
    with Client(world.listener) as client:
        client.commands("EHLO c", "MAIL FROM:<a@b.example>", "RCPT TO:<x@smuggled.example>")
        content = b"Subject: x\r\n\r\nbody\n.\n" + SMUGGLED
        client.send(b"BDAT %d LAST\r\n%s" % (len(content), content))
        assert client.reply().code == 550
    assert world.mx["mx1.smuggled.example"].messages == []


def test_listed_networks_have_bare_line_ends_mended(make_world):
    world = make_world(start=False)
    world.write_config(listen=[{"address": "%s:%d" % world.listener,
                                "normalize_networks": ["127.0.0.0/8"]}])
    world.start()
    mx = world.add_domain("mended.example")
    with Client(world.listener) as client:
        client.start_data("a@b.example", "x@mended.example")
        client.send(b"Subject: x\n\none\n.\n" + SMUGGLED + b"two\rthree\r\n.\r\n")
        assert client.reply().code == 250
    wait_until(lambda: mx.messages)
    message = mx.messages[0]
    assert message.to == ["x@mended.example"] and len(mx.messages) == 1
    assert b"MAIL FROM:<evil@b.example>" in message.content
    assert message.wire.replace(b"\r\n", b"").find(b"\n") < 0
    assert message.wire.replace(b"\r\n", b"").find(b"\r") < 0


def test_every_leading_dot_is_stuffed_on_the_way_out(world):
    mx = world.add_domain("stuffed.example")
    body = b".\r\n..\r\n.a\r\nb.\r\n" + b"." * 200 + b"\r\n"
    # Fill up so that dots fall on the edges of every slice and write.
    body += b"".join(b"%s\r\n.\r\n" % (b"x" * (n % 60)) for n in range(8000))
    world.wait_for_delivery(world.send("x@stuffed.example", body=body), "delivered")
    message = mx.messages[0]
    assert message.content.endswith(body)
    lines = message.wire.split(b"\r\n")
    assert all(line[:2] == b".." for line in lines[:-2] if line[:1] == b".")
