"""Policy hosts: HTTPS servers that serve mta-sts.txt with any fault, one address per host.

A host shows its certificate only to clients that name it by SNI; others see a stranger's.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from dataclasses import dataclass, field

from . import stapling
from .ca import Authority, Leaf

PATH = "/.well-known/mta-sts.txt"
STRANGER = "stranger.test"
NO_LENGTH = -1


@dataclass
class Reply:
    """How a host answers; the defaults serve body as a policy."""

    body: bytes = b""
    status: int = 200
    content_type: str = "text/plain"
    headers: list[str] = field(default_factory=list)
    content_length: int | None = None  # when it shall differ from the body's; NO_LENGTH: none
    prelude: bytes = b""  # sent before the response, e.g. a 103
    byte_interval: float = 0.0  # seconds between octets
    delay: float = 0.0  # seconds before the response
    # silent-tcp | silent | close | hold (answer, then keep open) | cut (end without close_notify)
    fault: str = ""

    def wire(self) -> bytes:
        length = len(self.body) if self.content_length is None else self.content_length
        head = [f"HTTP/1.1 {self.status} Scripted"]
        if length != NO_LENGTH:
            head.append(f"Content-Length: {length}")
        if self.content_type:
            head.append(f"Content-Type: {self.content_type}")
        head += self.headers + ["Connection: close", "", ""]
        return self.prelude + "\r\n".join(head).encode() + self.body


@dataclass
class Request:
    """A request as it came."""

    line: str
    headers: dict[str, str]
    sni: str | None


def policy_body(mode: str, mx: list[str], max_age: int = 86400) -> bytes:
    lines = ["version: STSv1", f"mode: {mode}", *(f"mx: {name}" for name in mx)]
    return ("\r\n".join(lines + [f"max_age: {max_age}"]) + "\r\n").encode()


class Traffic:
    """Connections that are open at a time, and the most that were."""

    def __init__(self) -> None:
        self.open = 0
        self.peak = 0

    def __enter__(self) -> None:
        self.open += 1
        self.peak = max(self.peak, self.open)

    def __exit__(self, *_) -> None:
        self.open -= 1


class PolicyHost:
    """One address, one certificate, one reply; all may be changed while it runs.

    names: beside its own, those it shows the certificate to. total: counts with others' traffic.
    """

    def __init__(self, authority: Authority, name: str, leaf: Leaf | None = None,
                 names: tuple[str, ...] = (), total: Traffic | None = None) -> None:
        self.name = name
        self.names = {name, *names}
        self.traffic = Traffic()
        self._total = total or Traffic()
        self.reply = Reply()
        self.requests: list[Request] = []
        self.connections = 0
        self._authority = authority
        self._sni: str | None = None
        self._server: asyncio.Server | None = None
        self.maximum: ssl.TLSVersion | None = None
        self.use_certificate(leaf or Leaf.good(name, *names))

    def use_certificate(self, leaf: Leaf) -> None:
        self._context = self._authority.server_context(leaf)
        self._stapled = None
        if leaf.staple:
            pem_file = str(self._authority.pem_file(leaf))
            self._stapled = stapling.context(pem_file, self._authority.staple(leaf))

    async def start(self, ip: str, port: int) -> None:
        self._server = await asyncio.start_server(self._accept, ip, port)

    async def stop(self) -> None:
        if self._server:
            self._server.close()
            self._server = None

    async def _accept(self, reader, writer) -> None:
        self.connections += 1
        with self.traffic, self._total:
            await self._serve(reader, writer)

    async def _serve(self, reader, writer) -> None:
        try:
            if self.reply.fault == "silent-tcp":
                await reader.read()
                return
            if self._stapled:
                stream, self._sni = await stapling.accept(self._stapled, reader, writer)
                await self._answer(stream, stream)
                return
            await writer.start_tls(self._listener_context())
            await self._answer(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # the client hung up, as many of these scripts make it
        finally:
            writer.close()

    def _listener_context(self) -> ssl.SSLContext:
        context = self._authority.server_context(Leaf.good(STRANGER), maximum=self.maximum)
        context.sni_callback = self._on_sni
        return context

    def _on_sni(self, connection, name, _context) -> None:
        self._sni = name
        if name in self.names:
            connection.context = self._context

    async def _answer(self, reader, writer) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        fields = dict(line.split(": ", 1) for line in head[1:] if ": " in line)
        self.requests.append(
            Request(head[0], {key.lower(): value for key, value in fields.items()}, self._sni)
        )
        reply = self.reply
        await asyncio.sleep(reply.delay)
        if reply.fault == "silent":
            await reader.read()
        elif reply.byte_interval:
            for octet in reply.wire():
                writer.write(bytes([octet]))
                await writer.drain()
                await asyncio.sleep(reply.byte_interval)
        elif reply.fault != "close":
            writer.write(reply.wire())
            await writer.drain()
            if reply.fault == "hold":
                await reader.read()
            elif reply.fault == "cut":
                writer.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
