"""A DNS server over UDP and TCP whose every answer is scripted, and which counts its questions."""

from __future__ import annotations

import asyncio
import struct
from collections import Counter
from dataclasses import dataclass, field

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

FAULTS = (
    "servfail",
    "refused",
    "timeout",  # no answer at all, neither UDP nor TCP
    "truncate",  # TC over UDP, the whole answer over TCP
    "garbage",  # bytes that are no DNS packet
    "wrong-id",
    "wrong-question",
)


@dataclass
class Answer:
    """What a (name, type) is answered with."""

    records: list[str] = field(default_factory=list)  # presentation format
    ttl: int = 300
    fault: str = ""  # one of FAULTS; records go with "truncate"
    authentic: bool = False  # the AD bit


class DnsServer:
    """Serves the answers in its table; names without any are NXDOMAIN, types without NODATA."""

    def __init__(self, soa_minimum: int = 300) -> None:
        self._answers: dict[tuple[str, str], Answer] = {}
        self._soa_minimum = soa_minimum
        self._count: Counter[tuple[str, str]] = Counter()
        self._transport: asyncio.DatagramTransport | None = None
        self._server: asyncio.Server | None = None

    # --- the script; may be changed at any time ------------------------------------------------
    def set(self, name: str, kind: str, records: list[str] | str, **options) -> None:
        """Answers questions for name and kind ("MX", "TXT" …) with records."""
        texts = [records] if isinstance(records, str) else list(records)
        if kind == "TXT":
            texts = [text if text.startswith('"') else f'"{text}"' for text in texts]
        self._answers[_key(name, kind)] = Answer(texts, **options)

    def fail(self, name: str, kind: str, fault: str) -> None:
        """Answers with a fault; kind "*" stands for every type."""
        if fault not in FAULTS:
            raise ValueError(fault)
        records = self._answers.get(_key(name, kind), Answer()).records
        self._answers[_key(name, kind)] = Answer(records, fault=fault)

    def records(self, name: str, kind: str) -> list[str]:
        return self._answers[_key(name, kind)].records

    def all_records(self) -> list[tuple[str, str, str]]:
        """Owner, type and text of every record, for a server that is not scripted."""
        return [(name, kind, record) for (name, kind), answer in self._answers.items()
                for record in answer.records]

    def remove(self, name: str, kind: str) -> None:
        self._answers.pop(_key(name, kind), None)

    def count(self, name: str, kind: str) -> int:
        """How often this question came, over UDP or TCP."""
        return self._count[_key(name, kind)]

    # --- the server ----------------------------------------------------------------------------
    async def start(self, ip: str, port: int) -> int:
        """Listens on UDP and TCP; returns the port."""
        loop = asyncio.get_running_loop()
        self._server = await asyncio.start_server(self._serve_tcp, ip, port)
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(self), local_addr=(ip, port))
        return port

    async def stop(self) -> None:
        self._transport.close()
        self._server.close()

    def respond(self, packet: bytes, *, tcp: bool) -> bytes | None:
        """The packet to answer with; None for silence."""
        query = dns.message.from_wire(packet)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        self._count[(name, kind)] += 1
        answer = self._lookup(name, kind)
        fault = answer.fault if answer else ""
        if fault == "timeout":
            return None
        if fault == "garbage":
            return packet[:2] + b"\xff" * 30
        response = dns.message.make_response(query, recursion_available=True)
        if fault in ("servfail", "refused"):
            response.set_rcode(dns.rcode.from_text(fault))
            return response.to_wire()
        if fault == "wrong-id":
            response.id = (query.id + 1) % 65536
        if fault == "truncate" and not tcp:
            response.flags |= dns.flags.TC
            return response.to_wire()
        self._fill(response, question.name, name, kind)
        if fault == "wrong-question":
            response.question[0].name = dns.name.from_text("elsewhere.example")
        return response.to_wire(max_size=65535)

    def _fill(self, response, qname, name: str, kind: str) -> None:
        """Adds the CNAME chain and the records, or the SOA of a negative answer."""
        owner = qname
        for _ in range(10):
            answer = self._lookup(name, kind)
            alias = self._lookup(name, "CNAME") if kind != "CNAME" else None
            if answer and answer.authentic:
                response.flags |= dns.flags.AD
            if answer and answer.records:
                response.answer.append(_rrset(owner, kind, answer))
                return
            if not alias:
                break
            response.answer.append(_rrset(owner, "CNAME", alias))
            owner = dns.name.from_text(alias.records[0])
            name = owner.to_text(omit_final_dot=True).lower()
        if not self._exists(name):
            response.set_rcode(dns.rcode.NXDOMAIN)
        soa = f"ns.test. hostmaster.test. 1 3600 600 86400 {self._soa_minimum}"
        response.authority.append(
            dns.rrset.from_text(dns.name.from_text("test"), self._soa_minimum, "IN", "SOA", soa)
        )

    def _lookup(self, name: str, kind: str) -> Answer | None:
        return self._answers.get((name, kind)) or self._answers.get((name, "*"))

    def _exists(self, name: str) -> bool:
        return any(known == name or known.endswith("." + name) for known, _ in self._answers)

    async def _serve_tcp(self, reader, writer) -> None:
        try:
            while True:
                (length,) = struct.unpack("!H", await reader.readexactly(2))
                wire = self.respond(await reader.readexactly(length), tcp=True)
                if wire is None:
                    break
                writer.write(struct.pack("!H", len(wire)) + wire)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self._server = server
        self._transport = None

    def connection_made(self, transport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, address) -> None:
        wire = self._server.respond(data, tcp=False)
        if wire is not None:
            self._transport.sendto(wire, address)


def _key(name: str, kind: str) -> tuple[str, str]:
    return name.rstrip(".").lower(), kind


def _rrset(owner, kind: str, answer: Answer):
    return dns.rrset.from_text(owner, answer.ttl, "IN", kind, *answer.records)
