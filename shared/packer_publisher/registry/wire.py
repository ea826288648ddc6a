"""One HTTP exchange: sent within its time, read within its limits, and judged sent or not sent.

The only module that knows httpx, and it imports it when the first request is made: an event that is not ours never
pays for it.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from packer_publisher import __version__
from packer_publisher.deadline import Deadline
from packer_publisher.errors import ConfigurationError

if TYPE_CHECKING:
    import httpx

PRODUCT = f"packer-publisher/{__version__}"
"""What we call ourselves, in ``User-Agent`` and in HCP's own ``X-HCP-Source-Channel``."""

CALL_SECONDS = 10.0
"""The most that one exchange may take."""

BODY_LIMIT = 32 * 1024 * 1024
"""The most that is read of one answer: HCP itself gives up on far smaller documents."""

DIRECT = ("127.0.0.1", "[::1]", "localhost", "169.254.169.254", "metadata", "metadata.google.internal")
"""Hosts that no proxy can reach for us: this machine, and the metadata servers of the clouds."""


FILES = ("SSL_CERT_FILE", "SSLKEYLOGFILE")
"""The variables that name files of TLS, and fail where there is none (a directory of authorities may be missing)."""


class NotSent(Exception):
    """The connection was never established: the other side has seen nothing of the request."""


class Lost(Exception):
    """The request was sent, at least in part, and no usable answer came back."""


@dataclass(frozen=True, slots=True)
class Message:
    """One request. Headers and body may hold secrets and never show in ``repr``."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False, default_factory=dict)
    content: bytes | None = field(repr=False, default=None)
    checked: bool = True  # whether the server's certificate is
    direct: bool = False  # whether no proxy may see it, whatever the environment says


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: header names in lower case, the body as bytes (it may hold a token, so ``repr`` hides it)."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(repr=False)

    @property
    def ok(self) -> bool:
        """Return whether the status is 2xx."""
        return 200 <= self.status < 300

    def document(self) -> dict[str, Any] | None:
        """Return the body as a JSON object, {} for an empty body, None where it is neither."""
        if not self.content.strip():
            return {}
        try:
            value = json.loads(self.content)
        except (ValueError, RecursionError):
            return None
        return value if isinstance(value, dict) else None


class Wire:
    """Connections to HCP and its neighbours, shared by all threads and opened when first needed.

    Proxies come from the process environment as usual (``HTTPS_PROXY``, ``NO_PROXY``), but never for :data:`DIRECT`.
    ``transport`` replaces the network, for tests.
    """

    def __init__(self, transport: httpx.BaseTransport | None = None) -> None:
        self._transport = transport
        self._clients: dict[tuple[bool, bool], httpx.Client] = {}
        self._lock = threading.Lock()

    def send(self, message: Message, deadline: Deadline, limit: float = CALL_SECONDS) -> Answer:
        """Send the request once and return whatever status came back.

        Raises NotSent or Lost, both with a reason fit for a message, and ConfigurationError where no connection can be
        made of what the environment says of proxies and certificates. It takes at most ``limit`` seconds and never
        ends after the deadline, as far as sockets can be told; the caller sees to it that time is left.
        """
        import httpx

        # Python keeps no time for a whole exchange, only for its phases. httpx documents both extensions used here:
        # "timeout" is what each phase looks up, "trace" is called before each phase begins and narrows what is left.
        # TCP and TLS look once, before both, so each gets half.
        budget = min(limit, deadline.remaining())
        end = deadline.clock() + budget
        phases: dict[str, float] = {"connect": budget / 2, "read": budget, "write": budget, "pool": budget}

        def narrow(event: str, _info: object) -> None:
            if event.endswith(".started"):
                left = max(end - deadline.clock(), 0.001)
                phases.update(read=left, write=left)

        try:
            # Loading the authorities costs more than a call on loopback, and plain http has no use for them.
            checked = message.checked and not message.url.startswith("http:")
            with self._client(checked, message.direct).stream(
                message.method,
                message.url,
                headers={"User-Agent": PRODUCT, **message.headers},
                content=message.content,
                extensions={"timeout": phases, "trace": narrow},
            ) as response:
                parts: list[bytes] = []
                size = 0
                for part in response.iter_bytes():
                    parts.append(part)
                    size += len(part)
                    if size > BODY_LIMIT:
                        raise Lost(f"the answer is larger than {BODY_LIMIT // (1024 * 1024)} MiB")
                    if deadline.clock() > end:
                        raise Lost(f"the answer was not complete within {budget:.3g} s")
                return Answer(response.status_code, dict(response.headers.items()), b"".join(parts))
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError) as error:
            # ProxyError is a proxy that refused the tunnel (CONNECT): nothing passed it.
            reason, proxy = _reason(error, "no connection", budget), "" if message.direct else _proxy_for(message.url)
            raise NotSent(f"{reason}, through the proxy in {proxy}" if proxy else reason) from error
        except httpx.RequestError as error:
            raise Lost(_reason(error, "the connection was lost", budget)) from error

    def close(self) -> None:
        """Close all connections; the next request opens new ones."""
        with self._lock:
            clients, self._clients = list(self._clients.values()), {}
        for client in clients:
            client.close()

    def _client(self, checked: bool, direct: bool) -> httpx.Client:
        import httpx

        key = (checked, direct)
        with self._lock:
            if key not in self._clients:
                try:
                    self._clients[key] = httpx.Client(
                        transport=self._transport,
                        verify=checked,
                        trust_env=not direct,
                        mounts={f"all://{host}": None for host in DIRECT},
                        follow_redirects=False,  # a redirect would carry the token to whoever it names
                    )
                except OSError as error:  # ssl.SSLError is one
                    raise _unusable(FILES, f"names a file that cannot be used ({type(error).__name__})") from None
                except ImportError:  # httpx knows SOCKS only with a package that it does not ask for
                    raise _unusable(_proxies("socks"), "names a SOCKS proxy, which is not supported") from None
                except (ValueError, httpx.InvalidURL):
                    raise _unusable(_proxies(), "is no address of an http proxy") from None
            return self._clients[key]


def _proxies(scheme: str = "") -> tuple[str, ...]:
    """Return the variables that name proxies (httpx asks ``urllib.request.getproxies``), of one scheme where given."""
    return tuple(
        name for name in sorted(os.environ) if name.lower().endswith("_proxy") and os.environ[name].startswith(scheme)
    )


def _proxy_for(url: str) -> str:
    """Return the variable that names the proxy by which httpx asks an address, "" where it asks directly."""
    from urllib.request import proxy_bypass

    parts = urlsplit(url)
    host = parts.hostname or ""
    if host in [name.strip("[]") for name in DIRECT] or proxy_bypass(host):
        return ""
    wanted = [f"{scheme}_proxy" for scheme in (parts.scheme, "all")]
    named = {name.lower(): name for name in sorted(os.environ) if name.lower() in wanted and os.environ[name]}
    return next((named[name] for name in wanted if name in named), "")


def _unusable(variables: tuple[str, ...], what: str) -> ConfigurationError:
    """Return the error for a setting of the process; its value is not repeated, because it may hold a password."""
    named = [name for name in variables if os.environ.get(name)]
    return ConfigurationError(
        f"{' or '.join(named) or 'a proxy setting of this system'} {what}, so HCP cannot be asked.",
        remedy="correct it, or leave it unset",
    )


def _reason(error: Exception, otherwise: str, budget: float) -> str:
    """Return the cause in a few words; httpx leaves the text of time-outs empty."""
    import httpx

    if isinstance(error, httpx.TimeoutException):
        return f"no answer within {budget:.3g} s"
    return f"{otherwise}: {error}" if str(error) else otherwise
