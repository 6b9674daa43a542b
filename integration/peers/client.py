"""A bare SMTP client: sends exactly the octets it is given and reads replies one by one."""

from __future__ import annotations

import socket
from dataclasses import dataclass


@dataclass
class Reply:
    code: int
    lines: list[str]

    @property
    def text(self) -> str:
        return " ".join(self.lines)


class Client:
    """One connection; the greeting is read by the constructor unless told otherwise."""

    def __init__(self, address: tuple[str, int], timeout: float = 20, greet: bool = True) -> None:
        self._socket = socket.create_connection(address, timeout)
        self._buffer = b""
        if greet:
            assert self.reply().code == 220

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def reply(self) -> Reply:
        """The next reply; EOFError when the server closed instead."""
        lines = []
        while True:
            line = self._line().decode("utf-8", "replace")
            lines.append(line[4:])
            if line[3:4] != "-":
                return Reply(int(line[:3]), lines)

    def command(self, line: str | bytes) -> Reply:
        self.send((line.encode() if isinstance(line, str) else line) + b"\r\n")
        return self.reply()

    def commands(self, *lines: str) -> list[int]:
        """Sends each line and waits for its reply; the codes."""
        return [self.command(line).code for line in lines]

    def start_data(self, sender: str, *recipients: str) -> None:
        """EHLO, MAIL, RCPT and DATA, all of which must be accepted."""
        codes = self.commands("EHLO client.test", f"MAIL FROM:<{sender}>",
                              *(f"RCPT TO:<{address}>" for address in recipients), "DATA")
        assert codes == [250, 250] + [250] * len(recipients) + [354], codes

    def closed(self) -> bool:
        """Reads to the end of the connection; false when the server keeps it open."""
        try:
            while self._socket.recv(65536):
                pass
            return True
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False

    def _line(self) -> bytes:
        while b"\r\n" not in self._buffer:
            data = self._socket.recv(65536)
            if not data:
                raise EOFError("the server closed the connection")
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\r\n", 1)
        return line
