"""Servers that take TLS reports by POST (RFC 8460 §5.4), one address per host."""

from __future__ import annotations

from dataclasses import dataclass

from .policy_host import PolicyHost


@dataclass
class Posted:
    """A report as it came, whatever was answered."""

    line: str
    headers: dict[str, str]
    body: bytes


class ReportHost(PolicyHost):
    """Answers reply.status to everything; fault "silent" keeps the client waiting."""

    posted: list[Posted]

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self.posted = []
        self.reply.status = 201

    async def _answer(self, reader, writer) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value
                   for name, value in (line.split(": ", 1) for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.posted.append(Posted(head[0], headers, body))
        if self.reply.fault == "silent":
            await reader.read()
            return
        writer.write(self.reply.wire())
        await writer.drain()
