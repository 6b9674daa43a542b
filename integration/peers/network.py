"""Addresses and ports of a world of its own, on loopback or in a network namespace."""

from __future__ import annotations

import random
import socket
import subprocess
from dataclasses import dataclass


class Network:
    """Addresses of a loopback /16 that no other world on this machine uses."""

    def __init__(self) -> None:
        self._claim = socket.socket(socket.AF_UNIX)
        for second in range(16, 250):
            try:  # an abstract name: freed by the kernel whatever happens to this process
                self._claim.bind(f"\0stsrelay-world-{second}")
            except OSError:
                continue
            self._prefix = f"127.{second}"
            self._next = 0
            return
        raise OSError("more than 230 worlds at once")

    def address(self) -> str:
        self._next += 1
        return f"{self._prefix}.{self._next // 250}.{self._next % 250 + 1}"

    def listener_address(self) -> str:
        return self.address()

    def close(self) -> None:
        self._claim.close()


class PublicNetwork:
    """Public addresses on the loopback device of a network namespace of one's own."""

    def __init__(self) -> None:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        self._next = 0

    def address(self) -> str:
        self._next += 1
        address = f"84.61.0.{self._next}"
        subprocess.run(["ip", "address", "add", f"{address}/32", "dev", "lo"], check=True)
        return address

    def listener_address(self) -> str:
        return "127.0.0.1"  # so that clients are on an allowed network

    def close(self) -> None:
        pass  # it goes with the namespace


@dataclass(frozen=True)
class Ports:
    """0: any that is free."""

    smtp: int = 0
    https: int = 0
    dns: int = 0


def free_port(ip: str) -> int:
    """A port that is free, below those that the kernel gives to clients."""
    for _ in range(100):
        port = random.randrange(10000, 32000)
        with socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET) as probe:
            try:
                probe.bind((ip, port))
                return port
            except OSError:
                continue
    raise OSError(f"no free port on {ip}")
