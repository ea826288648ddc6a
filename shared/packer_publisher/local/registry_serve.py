"""The local registry as a program: ``packer-publisher registry serve``.

Plain http on loopback only. Our client accepts that for HCP_AUTH_URL; stock Packer and Terraform insist on
https for the token endpoint (hashicorp/hcp-sdk-go, config/hcp.go) and need a TLS proxy in front of it, which is
not part of this.
"""

from __future__ import annotations

import sqlite3
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from packer_publisher.errors import ConfigurationError
from packer_publisher.local.registry_app import build_app
from packer_publisher.local.registry_faults import Faults
from packer_publisher.local.registry_model import RegistryModel
from packer_publisher.local.registry_requests import RequestLog
from packer_publisher.local.registry_store import SqliteStore
from packer_publisher.local.registry_switches import Switches
from packer_publisher.local.registry_tokens import WRITER, Client, Tokens
from packer_publisher.local.server import serving

LOOPBACK = {"127.0.0.1": "127.0.0.1", "localhost": "127.0.0.1", "::1": "::1"}


@dataclass(frozen=True, slots=True)
class LocalRegistry:
    """A registry that is being served, and everything that a test or the demo wants of it."""

    url: str
    model: RegistryModel
    faults: Faults
    tokens: Tokens
    requests: RequestLog

    def environment(self, client: Client = WRITER) -> dict[str, str]:
        """Return the variables that point a client at it, as HashiCorp's SDK reads them."""
        return {
            "HCP_API_ADDRESS": self.url.removeprefix("http://"),
            "HCP_API_TLS": "disabled",
            "HCP_AUTH_URL": self.url,
            "HCP_CLIENT_ID": client.id,
            "HCP_CLIENT_SECRET": client.secret,
            "HCP_ORGANIZATION_ID": self.model.tenancy.organization_id,
            "HCP_PROJECT_ID": self.model.project,
        }


@contextmanager
def local_registry(
    model: RegistryModel,
    faults: Faults | None = None,
    *,
    tokens: Tokens | None = None,
    latency: float = 0.0,
    host: str = "127.0.0.1",
    port: int = 0,
) -> Iterator[LocalRegistry]:
    """Serve a model over HTTP until the context is left; raises OSError where the port is taken."""
    app = build_app(model, faults, tokens=tokens, latency=latency)
    with serving(app, host=host, port=port) as url:
        yield LocalRegistry(url, model, app.state.faults, app.state.tokens, app.state.requests)


def serve(
    host: str = "127.0.0.1",
    port: int = 8600,
    database: str | Path = ":memory:",
    *,
    switches: Iterable[str] = (),
    latency: float = 0.0,
    echo: Callable[[str], object] | None = None,
    stop: threading.Event | None = None,
) -> None:
    """Serve a registry until interrupted (or ``stop`` is set), after printing the environment for clients.

    ``switches`` are ``name=setting`` words. Raises ConfigurationError for a host that is not loopback, a port
    that is taken, a database that cannot be opened, or an unknown switch.
    """
    if host not in LOOPBACK:
        raise ConfigurationError(
            f"The local registry serves loopback only, not {host}: it has made-up credentials.",
            remedy="Use --host 127.0.0.1.",
        )
    chosen = Switches.parse(switches)
    say = echo or _say
    try:
        store = SqliteStore(database)
    except sqlite3.Error as error:
        raise ConfigurationError(f"The database {database} cannot be opened: {error}.") from error
    with closing(RegistryModel(store=store, switches=chosen)) as model:
        try:
            with local_registry(model, latency=latency, host=LOOPBACK[host], port=port) as registry:
                say(f"# Local HCP Packer registry at {registry.url}, contents in {database}. Ctrl-C ends it.")
                for name, value in registry.environment().items():
                    say(f"export {name}={value}")
                (stop or threading.Event()).wait()
        except OSError as error:
            raise ConfigurationError(
                f"Port {port} of {host} cannot be used: {error.strerror}.", remedy="Choose another --port."
            ) from error
        except KeyboardInterrupt:
            say("# Ended.")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
