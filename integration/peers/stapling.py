"""TLS servers that staple an OCSP response, which Python's ssl module cannot do."""

from __future__ import annotations

from OpenSSL import SSL

CHUNK = 65536


def context(pem_file: str, staple: bytes) -> SSL.Context:
    """For servers that show the certificate of pem_file and staple that response."""
    made = SSL.Context(SSL.TLS_SERVER_METHOD)
    made.use_certificate_chain_file(pem_file)
    made.use_privatekey_file(pem_file)
    made.set_ocsp_server_callback(lambda connection, data: staple)
    return made


class Stream:
    """The server's end of a TLS connection, with the methods of asyncio's streams."""

    def __init__(self, made: SSL.Context, reader, writer) -> None:
        self._tls = SSL.Connection(made, None)
        self._tls.set_accept_state()
        self._reader, self._writer = reader, writer

    async def accept(self) -> str | None:
        """Shakes hands; answers the name that the client gave."""
        await self._do(self._tls.do_handshake)
        name = self._tls.get_servername()
        return name.decode() if name else None

    def version(self) -> str:
        return self._tls.get_protocol_version_name()

    def cipher(self) -> str:
        return self._tls.get_cipher_name()

    async def readuntil(self, end: bytes) -> bytes:
        data = b""
        while end not in data:
            data += await self._do(lambda: self._tls.recv(CHUNK))
        return data

    async def read(self, size: int = CHUNK) -> bytes:
        """At least one octet; the client's end is an error."""
        return await self._do(lambda: self._tls.recv(size))

    def write(self, data: bytes) -> None:
        self._tls.sendall(data)

    async def drain(self) -> None:
        await self._flush()

    async def _do(self, act):
        while True:
            try:
                done = act()
                await self._flush()
                return done
            except SSL.WantReadError:
                await self._flush()
                data = await self._reader.read(CHUNK)
                if not data:
                    raise ConnectionResetError("the client went") from None
                self._tls.bio_write(data)
            except SSL.Error as error:
                raise ConnectionAbortedError(str(error)) from error

    async def _flush(self) -> None:
        try:
            self._writer.write(self._tls.bio_read(CHUNK))
        except SSL.WantReadError:
            pass  # nothing to send
        await self._writer.drain()


async def accept(made: SSL.Context, reader, writer) -> tuple[Stream, str | None]:
    """A stream over the connection, and the name that the client gave."""
    stream = Stream(made, reader, writer)
    return stream, await stream.accept()
