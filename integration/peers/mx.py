"""Scripted MX hosts: one address each, all on one port; every fault a server can show."""

from __future__ import annotations

import asyncio
import itertools
import re
import socket
import ssl
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from . import stapling
from .ca import Authority, Leaf

EXTENSIONS = ("PIPELINING", "SIZE 52428800", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "DSN")


# --- what a server may do instead of answering with a line ---
class Drop:
    """Close the connection."""


class Reset:
    """Close it with a TCP reset."""


class Silence:
    """Answer nothing, keep the connection open."""


@dataclass
class Deaf:
    """Read nothing for a while, then only wait for the close."""

    seconds: float


@dataclass
class Slow:
    """Send text octet by octet."""

    text: str
    interval: float = 1.0


@dataclass
class Endless:
    """Send line again and again until the client hangs up."""

    line: bytes
    limit: int = 1 << 35  # octets


@dataclass
class ThenDrop:
    """Send text, then close."""

    text: str


Action = str | bytes | Drop | Reset | Silence | Deaf | Slow | Endless | ThenDrop
Rule = Action | Callable[["Session", str], "Action | None"]


@dataclass
class Script:
    """How a host behaves. rules: by "GREETING", a verb, "BODY" or "DOT"; None means default."""

    extensions: tuple[str, ...] = EXTENSIONS
    starttls: str = "yes"  # yes | no | a reply line | inject | stall | close | alert | garbage
    rules: dict[str, Rule] = field(default_factory=dict)
    maximum: ssl.TLSVersion | None = None
    ciphers: str = ""
    name: str = ""  # in greeting and EHLO reply; default: the host's


@dataclass
class Message:
    """A message that the host answered 250 for, or "DOT" rules spoke about."""

    sender: str
    parameters: str  # of MAIL
    recipients: list[tuple[str, str]]  # address, parameters of RCPT
    content: bytes  # dots removed
    wire: bytes  # as sent, with the final dot
    session: "Session"
    accepted: bool = False

    @property
    def to(self) -> list[str]:
        return [address for address, _ in self.recipients]


@dataclass
class Session:
    """One connection and all that was seen on it."""

    host: str
    ip: str
    number: int
    started: float = field(default_factory=time.monotonic)
    ended: float | None = None
    commands: list[str] = field(default_factory=list)
    reads: list[bytes] = field(default_factory=list)  # as they came from the socket, body excluded
    tls: str = ""  # "TLSv1.3"; empty: plaintext
    cipher: str = ""
    sni: str | None = None
    resumed: bool = False
    messages: list[Message] = field(default_factory=list)
    plaintext_mail: bool = False  # MAIL came without TLS
    transaction: Message | None = None

    def verbs(self) -> list[str]:
        return [command.split(" ")[0].upper() for command in self.commands]


class MxHost:
    """A host name with an address, a certificate and a script."""

    @property
    def dialogue(self) -> type["Dialogue"]:
        """Who speaks on its connections."""
        return Dialogue

    def __init__(self, authority: Authority, name: str, leaf: Leaf | None = None,
                 script: Script | None = None) -> None:
        self.name = name
        self.ip = ""
        self.script = script or Script()
        self.sessions: list[Session] = []
        self.peak = 0  # connections at the same time
        self._open = 0
        self._authority = authority
        self._leaf = leaf or Leaf.good(name)
        self._context: ssl.SSLContext | None = None
        self._server: asyncio.Server | None = None
        self._snis: dict[int, str | None] = {}

    @property
    def messages(self) -> list[Message]:
        """All accepted messages, in order."""
        return [m for session in self.sessions for m in session.messages if m.accepted]

    @property
    def open_connections(self) -> int:
        return self._open

    def use_certificate(self, leaf: Leaf) -> None:
        self._leaf = leaf
        self._context = None

    async def start(self, ip: str, port: int) -> None:
        self.ip = ip
        self._server = await asyncio.start_server(self._accept, ip, port, backlog=512)

    async def stop(self) -> None:
        if self._server:
            self._server.close()
            self._server = None

    async def _accept(self, reader, writer) -> None:
        session = Session(self.name, self.ip, len(self.sessions) + 1)
        self.sessions.append(session)
        self._open += 1
        self.peak = max(self.peak, self._open)
        try:
            await self.dialogue(self, session, reader, writer).run()
        except (OSError, asyncio.IncompleteReadError, Over):
            pass  # an end that the script or the client wanted
        finally:
            session.ended = time.monotonic()
            self._open -= 1
            writer.close()

    def context(self) -> ssl.SSLContext:
        """One for all connections, so that sessions can be resumed."""
        if self._context is None:
            script = self.script
            self._context = self._authority.server_context(
                self._leaf, maximum=script.maximum, ciphers=script.ciphers)
            self._context.sni_callback = self._on_sni
        return self._context

    async def stapling_stream(self, reader, writer) -> tuple[stapling.Stream, str | None] | None:
        """TLS for a certificate that comes with a staple, and the client's SNI; else None."""
        if not self._leaf.staple:
            return None
        context = stapling.context(str(self._authority.pem_file(self._leaf)),
                                   self._authority.staple(self._leaf))
        return await stapling.accept(context, reader, writer)

    def _on_sni(self, connection, name, _context) -> None:
        self._snis[id(connection)] = name

    def sni_of(self, connection) -> str | None:
        return self._snis.pop(id(connection), None)


class Over(Exception):
    """The connection is to be closed."""


class Dialogue:
    """The server side of one connection."""

    def __init__(self, host: MxHost, session: Session, reader, writer) -> None:
        self._host = host
        self._script = host.script
        self._session = session
        self._reader = reader
        self._writer = writer
        self._buffer = b""

    async def run(self) -> None:
        name = self._script.name or self._host.name
        await self._act("GREETING", "", f"220 {name} ESMTP scripted")
        while True:
            line = await self._line()
            self._session.commands.append(line)
            verb, _, argument = line.partition(" ")
            method = getattr(self, "_on_" + verb.lower(), None)
            if method is None:
                await self._act(verb.upper(), argument, "500 5.5.1 what?")
            else:
                await method(argument)

    # --- verbs ---------------------------------------------------------------------------------
    async def _on_ehlo(self, argument: str) -> None:
        offered = list(self._script.extensions)
        if self._script.starttls != "no" and not self._session.tls:
            offered.append("STARTTLS")
        lines = [self._script.name or self._host.name, *offered]
        text = [f"250-{line}" for line in lines[:-1]] + [f"250 {lines[-1]}"]
        await self._act("EHLO", argument, "\r\n".join(text))

    async def _on_helo(self, argument: str) -> None:
        await self._act("HELO", argument, f"250 {self._host.name}")

    async def _on_starttls(self, _argument: str) -> None:
        kind = self._script.starttls
        if re.match(r"[245]\d\d", kind):
            await self._send(kind)
            return
        if kind == "inject":
            self._writer.write(b"220 2.0.0 go ahead\r\n250 2.0.0 injected\r\n")
        else:
            self._writer.write(b"220 2.0.0 go ahead\r\n")
        if kind == "stall":
            await self._wait_for_close()
        if kind == "close":
            raise Over
        if kind == "reset":
            await self._reader.read(65536)
            self._reset()
        if kind in ("alert", "garbage"):
            await self._reader.read(65536)  # the ClientHello
            alert = b"\x15\x03\x03\x00\x02\x02\x28"  # fatal handshake_failure
            self._writer.write(alert if kind == "alert" else b"554 I do not speak TLS\r\n")
            await self._writer.drain()
            raise Over
        await self._handshake()

    async def _handshake(self) -> None:
        self._buffer = b""
        if stapled := await self._host.stapling_stream(self._reader, self._writer):
            stream, self._session.sni = stapled
            self._session.tls, self._session.cipher = stream.version(), stream.cipher()
            self._reader = self._writer = stream
            return
        await self._writer.start_tls(self._host.context(), ssl_handshake_timeout=30)
        tls = self._writer.get_extra_info("ssl_object")
        self._session.tls = tls.version()
        self._session.cipher = tls.cipher()[0]
        self._session.resumed = tls.session_reused
        self._session.sni = self._host.sni_of(tls)

    async def _on_mail(self, argument: str) -> None:
        address, parameters = _path(argument)
        self._session.plaintext_mail |= not self._session.tls
        if await self._act("MAIL", argument, "250 2.1.0 sender ok"):
            self._session.transaction = Message(address, parameters, [], b"", b"", self._session)

    async def _on_rcpt(self, argument: str) -> None:
        if self._session.transaction is None:
            await self._send("503 5.5.1 MAIL first")
        elif await self._act("RCPT", argument, "250 2.1.5 recipient ok"):
            self._session.transaction.recipients.append(_path(argument))

    async def _on_data(self, argument: str) -> None:
        message = self._session.transaction
        if message is None or not message.recipients:
            await self._act("DATA", argument, "554 5.5.1 no valid recipients")
            return
        if not await self._act("DATA", argument, "354 go ahead"):
            return
        message.wire = await self._body()
        message.content = re.sub(rb"^\.", b"", message.wire[:-3], flags=re.MULTILINE)
        self._session.messages.append(message)
        self._session.transaction = None
        number = len(self._session.messages)
        await self._act("DOT", "", f"250 2.0.0 taken as {number}", message)

    async def _on_rset(self, argument: str) -> None:
        self._session.transaction = None
        await self._act("RSET", argument, "250 2.0.0 reset")

    async def _on_noop(self, argument: str) -> None:
        await self._act("NOOP", argument, "250 2.0.0 ok")

    async def _on_quit(self, argument: str) -> None:
        await self._act("QUIT", argument, "221 2.0.0 bye")
        raise Over

    # --- bytes ---------------------------------------------------------------------------------
    async def _act(self, key: str, argument: str, default: str,
                   message: Message | None = None) -> bool:
        """Does what the rule for key says; true when that was a positive reply, which message is
        marked with before it goes out."""
        rule = self._script.rules.get(key)
        action = rule(self._session, argument) if callable(rule) else rule
        action = default if action is None else action
        if message and isinstance(action, (str, ThenDrop)):
            message.accepted = str(getattr(action, "text", action))[0] == "2"
        if isinstance(action, bytes):
            self._writer.write(action)
            await self._writer.drain()
            return action[:1] in b"23"
        if isinstance(action, str):
            await self._send(action)
            return action[0] in "23"
        await self._misbehave(action)
        return False

    async def _misbehave(self, action) -> None:
        if isinstance(action, Silence):
            await self._wait_for_close()
        elif isinstance(action, Reset):
            self._reset()
        elif isinstance(action, Deaf):
            await asyncio.sleep(action.seconds)
            await self._wait_for_close()
        elif isinstance(action, (Slow, Endless)):
            # A write to a TLS transport whose peer has gone does not fail, so reading has to tell.
            closed = asyncio.create_task(self._read_on())
            try:
                await self._pour(action, closed)
            finally:
                closed.cancel()
                await asyncio.wait([closed])  # two may not read at once
            return
        elif isinstance(action, ThenDrop):
            await self._send(action.text)
        raise Over

    async def _pour(self, action: Slow | Endless, closed: asyncio.Task) -> None:
        if isinstance(action, Slow):
            pieces, pause = [bytes([o]) for o in action.text.encode() + b"\r\n"], action.interval
        else:
            block = action.line * (65536 // len(action.line))
            pieces, pause = itertools.repeat(block, action.limit // len(block)), 0
        for piece in pieces:
            if closed.done():
                raise Over
            self._writer.write(piece)
            await self._writer.drain()
            await asyncio.sleep(pause)

    def _reset(self) -> None:
        sock = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()
        raise Over

    async def _wait_for_close(self) -> None:
        while await self._reader.read(65536):
            pass
        raise Over

    async def _read_on(self) -> None:
        while data := await self._reader.read(65536):
            self._buffer += data

    async def _send(self, line: str) -> None:
        self._writer.write(line.encode() + b"\r\n")
        await self._writer.drain()

    async def _fill(self) -> bytes:
        data = await self._reader.read(65536)
        if not data:
            raise Over
        self._buffer += data
        return data

    async def _line(self) -> str:
        while b"\n" not in self._buffer:
            self._session.reads.append(await self._fill())
        line, self._buffer = self._buffer.split(b"\n", 1)
        return line.rstrip(b"\r").decode("utf-8", "surrogateescape")

    async def _body(self) -> bytes:
        """Reads up to CRLF.CRLF; nothing else ends a message."""
        body = bytearray(b"\r\n")  # so that a lone dot as first line is found too
        seen = 0
        while True:
            body += self._buffer
            self._buffer = b""
            at = body.find(b"\r\n.\r\n", max(0, seen - 4))
            if at >= 0:
                self._buffer = bytes(body[at + 5:])
                return bytes(body[2:at + 5])
            seen = len(body)
            await self._fill()
            if "BODY" in self._script.rules:
                await self._act("BODY", "", "")


def _path(argument: str) -> tuple[str, str]:
    """"FROM:<a@b> X=1" -> ("a@b", "X=1")."""
    match = re.match(r"(?:FROM|TO):<([^>]*)>\s*(.*)", argument, re.IGNORECASE)
    return (match.group(1), match.group(2)) if match else (argument, "")
