"""Scripted upstreams: submission servers with AUTH, implicit TLS and BDAT, and token endpoints."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import urllib.parse
from dataclasses import dataclass, field, replace

from .ca import Authority, Leaf
from .mx import Dialogue, MxHost, Script
from .policy_host import PolicyHost


@dataclass
class Login:
    """One AUTH exchange: what was asked for and in what kind of session."""

    mechanism: str
    user: str
    secret: str
    tls: str
    session: int


@dataclass
class Accounts:
    """Who may send. mechanisms: as offered; answer: said to every AUTH in place of a verdict."""

    passwords: dict[str, str] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)
    mechanisms: str = "PLAIN LOGIN"
    answer: str = ""
    required: bool = True  # before MAIL


class Upstream(MxHost):
    """implicit: TLS begins with the connection."""

    def __init__(self, authority: Authority, name: str, accounts: Accounts | None = None, *,
                 leaf: Leaf | None = None, script: Script | None = None,
                 implicit: bool = False) -> None:
        super().__init__(authority, name, leaf, script)
        self.accounts = accounts or Accounts()
        self.implicit = implicit
        self.logins: list[Login] = []
        self.clients: list[str] = []  # their addresses, by session

    @property
    def dialogue(self) -> type[Dialogue]:
        return _Submission


class _Submission(Dialogue):
    user = ""

    async def run(self) -> None:
        self._host.clients.append(self._writer.get_extra_info("peername")[0])
        mechanisms = self._host.accounts.mechanisms
        offer = (f"AUTH {mechanisms}",) if mechanisms else ()
        self._script = replace(self._script, extensions=(*self._script.extensions, *offer))
        if self._host.implicit:
            self._script.starttls = "no"
            await self._handshake()
        await super().run()

    async def _on_auth(self, argument: str) -> None:
        mechanism, _, response = argument.partition(" ")
        if mechanism == "LOGIN":
            user = await self._ask("VXNlcm5hbWU6")
            login = self._login(mechanism, user, await self._ask("UGFzc3dvcmQ6"))
        else:
            text = _decoded(response) if response else await self._ask("")
            if mechanism == "PLAIN":
                _, user, secret = text.split("\0")
            else:
                user = re.search("(?:user|a)=([^\1,]*)", text)[1]
                secret = re.search("auth=Bearer ([^\1]*)", text)[1]
            login = self._login(mechanism, user, secret)
        accounts = self._host.accounts
        good = accounts.passwords.get(login.user) == login.secret or login.secret in accounts.tokens
        if accounts.answer:
            await self._send(accounts.answer)
        elif good:
            self.user = login.user
            await self._send("235 2.7.0 welcome")
        else:
            if mechanism not in ("PLAIN", "LOGIN"):
                await self._ask("eyJzdGF0dXMiOiI0MDEifQ==")
            await self._send("535 5.7.8 credentials refused")

    def _login(self, mechanism: str, user: str, secret: str) -> Login:
        self._host.logins.append(Login(mechanism, user, secret, self._session.tls,
                                       self._session.number))
        return self._host.logins[-1]

    async def _ask(self, challenge: str) -> str:
        await self._send(f"334 {challenge}")
        return _decoded(await self._line())

    async def _on_bdat(self, argument: str) -> None:
        size, _, last = argument.partition(" ")
        while len(self._buffer) < int(size):
            await self._fill()
        chunk, self._buffer = self._buffer[:int(size)], self._buffer[int(size):]
        message = self._session.transaction
        if message is None:
            await self._send("503 5.5.1 RSET first")
        elif not await self._act("BDAT", argument, "250 2.0.0 taken"):
            self._session.transaction = None
        else:
            message.content += chunk
            if last:
                message.accepted = True
                self._session.messages.append(message)
                self._session.transaction = None

    async def _on_mail(self, argument: str) -> None:
        if self._host.accounts.required and not self.user:
            await self._send("530 5.7.0 authentication required")
            return
        await super()._on_mail(argument)


def _decoded(text: str) -> str:
    return base64.b64decode(text).decode()


class TokenEndpoint(PolicyHost):
    """Gives out token-1, token-2 … to one client, each good for lifetime seconds."""

    def __init__(self, authority: Authority, name: str, client: str, secret: str) -> None:
        super().__init__(authority, name)
        self.client = (client, secret)
        self.forms: list[dict[str, str]] = []
        self.lifetime = 3600
        self.given: list[str] = []
        self.on_token = lambda token: None

    async def _answer(self, reader, writer) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        length = int(re.search(r"content-length: (\d+)", head, re.I)[1])
        form = urllib.parse.parse_qsl((await reader.readexactly(length)).decode())
        self.forms.append(dict(form))
        basic = re.search(r"authorization: Basic (\S+)", head, re.I)
        client = tuple(urllib.parse.unquote(part)
                       for part in _decoded(basic[1]).split(":")) if basic else ()
        if client == self.client:
            token = f"token-{len(self.forms)}"
            self.given.append(token)
            self.on_token(token)
            self.reply.status = 200
            answer = {"access_token": token, "token_type": "Bearer", "expires_in": self.lifetime}
        else:
            self.reply.status = 401
            answer = {"error": "invalid_client", "error_description": "who is that?"}
        await asyncio.sleep(self.reply.delay)
        self.reply.content_type = "application/json"
        self.reply.body = json.dumps(answer).encode()
        writer.write(self.reply.wire())
        await writer.drain()
