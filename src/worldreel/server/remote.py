"""Requests that the server itself makes: webhooks, and references where the operator allows them.

An address is looked up once, every answer must be public, and the connection goes to that very
answer: a name that points elsewhere a moment later gains nothing. Redirects are not followed.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

from worldreel.errors import message, shown

__all__ = ["RefusedError", "get", "post"]

_TIMEOUT = 15.0


class RefusedError(Exception):
    """The address is none that the server may talk to."""


def _addresses(host: str, port: int, *, private: bool) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise RefusedError(
            message(f"nobody knows {shown(host)}", "give another address")
        ) from error
    addresses = [str(entry[4][0]).split("%")[0] for entry in found]
    for address in addresses:
        number = ipaddress.ip_address(address)
        inner = getattr(number, "ipv4_mapped", None) or number
        if not private and (not inner.is_global or inner.is_multicast):
            came = f"{shown(host)} is an address of a private network"
            raise RefusedError(message(came, "give a public one"))
    return addresses


def _connect(url: str, *, private: bool) -> tuple[http.client.HTTPConnection, str, str]:
    """A connection to a checked address, the path to ask for, and the host's name."""
    parts = urlsplit(url)
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        raise RefusedError(
            message(f"the address is {shown(url)}", "its port is no number")
        ) from error
    host = parts.hostname
    if parts.scheme not in ("http", "https") or not host or parts.username:
        raise RefusedError(message(f"the address is {shown(url)}", "give https://HOST/…"))
    if not private and port not in (80, 443):
        raise RefusedError(message(f"the port is {port}", "it must be 80 or 443"))
    address = _addresses(host, port, private=private)[0]
    plain = socket.create_connection((address, port), timeout=_TIMEOUT)
    connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT)
    connection.sock = plain
    if parts.scheme == "https":
        connection.sock = ssl.create_default_context().wrap_socket(plain, server_hostname=host)
    path = parts.path or "/"
    return connection, f"{path}?{parts.query}" if parts.query else path, parts.netloc


def post(url: str, body: bytes, headers: Mapping[str, str], *, private: bool) -> int:
    """The status that an address answers to `body`; raises `RefusedError` or `OSError`."""
    connection, path, host = _connect(url, private=private)
    try:
        connection.request("POST", path, body, {**headers, "Host": host})
        return connection.getresponse().status
    except http.client.HTTPException as error:
        raise OSError(str(error)) from error
    finally:
        connection.close()


def get(url: str, *, limit: int, private: bool = False) -> bytes:
    """What lies at an address, at most `limit` bytes; raises `RefusedError` or `OSError`."""
    connection, path, host = _connect(url, private=private)
    try:
        connection.request("GET", path, headers={"Host": host, "User-Agent": "worldreel"})
        answer = connection.getresponse()
        if answer.status != 200:
            came = f"{shown(url)} answers {answer.status}"
            raise RefusedError(message(came, "give the picture's own address"))
        found = answer.read(limit + 1)
    except http.client.HTTPException as error:
        raise OSError(str(error)) from error
    finally:
        connection.close()
    if len(found) > limit:
        raise RefusedError(message(f"{shown(url)} is too large", f"it may have {limit:,} bytes"))
    return found
