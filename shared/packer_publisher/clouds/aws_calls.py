"""Calls to EC2 and STS through boto3: clients, time-outs, retries.

boto3 is imported with the first call, because most events are not ours and need none.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import count
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from packer_publisher import __version__
from packer_publisher.clouds.aws_errors import Busy, Denied, translated
from packer_publisher.deadline import Deadline
from packer_publisher.errors import CloudTrouble, ConfigurationError
from packer_publisher.wording import shown

if TYPE_CHECKING:
    from boto3 import Session
    from mypy_boto3_ec2 import EC2Client

    from packer_publisher.patience import Patience

T = TypeVar("T")

ATTEMPTS = 3
"""How often botocore tries one call, the first time included (its standard mode waits 0 to 2 s in between)."""


_deadline: ContextVar[Deadline] = ContextVar("deadline")


@dataclass(frozen=True, slots=True)
class Pace:
    """The time-outs of a client, in seconds, and how often it tries by itself."""

    connect: float
    read: float
    attempts: int = ATTEMPTS

    @property
    def whole(self) -> float:
        """Return the longest time that one attempt can take."""
        return self.connect + self.read


USUAL = Pace(2.0, 8.0)
HURRIED = Pace(1.0, 2.0)
SURVEYING = Pace(5.0, 30.0, attempts=1)  # :meth:`Clients.ask` counts; botocore's own pauses end after seconds


class Clients:
    """EC2 clients of one account, one per region and pace, made once and shared by threads (boto3's clients may be).

    The endpoint comes from AWS_ENDPOINT_URL, credentials from where boto3 finds them or from ``session_factory``.
    Every method raises ConfigurationError where boto3 cannot make a client of what the environment says.
    """

    def __init__(self, session_factory: Callable[[], Session] | None = None) -> None:
        self._session_factory = session_factory
        self._session: Session | None = None
        self._clients: dict[tuple[str, str, Pace], Any] = {}
        self._account = ""
        self._lock = Lock()  # a boto3 session must not make two clients at once; a finished client may be shared

    def home(self, default: str = "") -> str:
        """Return the region of the environment (AWS_REGION, as Lambda sets it, or boto3's default), else ``default``.

        Raises ConfigurationError where there is none, CredentialsTrouble where a profile is named that there is not.
        """
        with self._lock, translated("of the environment"):
            region = os.environ.get("AWS_REGION") or self._open().region_name or default
        if not region:
            raise ConfigurationError("no AWS region is set", remedy="set AWS_REGION, or name the regions")
        return region

    def known(self, region: str) -> list[str]:
        """Return the regions that botocore knows beside one in its partition, sorted; AWS is not asked."""
        with self._lock, translated(region):
            session = self._open()
            partition = session.get_partition_for_region(region)
            return sorted(session.get_available_regions("ec2", partition_name=partition))

    def client(self, region: str, deadline: Deadline, pace: Pace | None = None) -> EC2Client:
        """Return a client for EC2 whose attempts fit into what is left of the deadline.

        Raises CloudTrouble where none can.
        """
        client: EC2Client = self._client("ec2", region, deadline, pace)
        return client

    def service(self, name: str, region: str, deadline: Deadline) -> Any:
        """Return a client for another service of AWS, as :meth:`client` does; its calls are made :func:`within`."""
        return self._client(name, region, deadline)

    def account(self, region: str, deadline: Deadline) -> str:
        """Return the account that the credentials belong to, asked once of a region's STS; no permission is needed."""
        if not self._account:
            try:
                with within(deadline, region):
                    self._account = str(self._client("sts", region, deadline).get_caller_identity()["Account"])
            except Denied as denied:
                raise denied.as_trouble() from denied
        return self._account

    def ask(self, region: str, patience: Patience, call: Callable[[EC2Client], T]) -> T:
        """Return the answer of one call to EC2, which is put again with patience where AWS is only busy.

        Raises as :func:`translated`.
        """
        deadline = patience.begin()
        for attempt in count(1):
            try:
                with within(deadline, region):
                    return call(self.client(region, deadline, SURVEYING))
            except Busy as trouble:
                wait = patience.pause(attempt, trouble.retry_after, doubted=trouble.doubted)
                if wait is None or not deadline.pause(wait):
                    text = f"{trouble}, {attempt} tries" if attempt > 1 else str(trouble)
                    raise CloudTrouble(text, remedy=trouble.remedy, retry_after=trouble.retry_after) from trouble
        raise AssertionError("unreachable: the last try returns or raises")

    def _client(self, service: str, region: str, deadline: Deadline, pace: Pace | None = None) -> Any:
        left = deadline.remaining()
        if left < HURRIED.whole:
            raise CloudTrouble(f"not enough time is left to ask AWS region {shown(region)}")
        pace = pace or (USUAL if left >= USUAL.whole else HURRIED)
        with self._lock, translated(region):
            key = (service, region, pace)
            if key not in self._clients:
                self._clients[key] = self._make(service, region, pace)
            return self._clients[key]

    def forget(self, region: str) -> None:
        """Close a region's clients: each takes megabytes, and anybody can make up regions."""
        with self._lock:
            for key in [key for key in self._clients if key[1] == region]:
                self._clients.pop(key).close()

    def _make(self, service: str, region: str, pace: Pace) -> Any:
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        def hold_to_deadline(**_: Any) -> None:
            # Called before every attempt, retries included: one is begun only if it can end in time. botocore has no
            # deadline of its own; an error raised here ends the call (botocore/endpoint.py, _do_get_response).
            if _deadline.get().remaining() < pace.whole:
                raise CloudTrouble(f"AWS region {region} did not answer within the time that was left")

        config = Config(
            connect_timeout=pace.connect,
            read_timeout=pace.read,
            retries={"mode": "standard", "total_max_attempts": pace.attempts},
            user_agent_extra=f"packer-publisher/{__version__}",
        )
        try:
            session: Any = self._open()  # typed for the services that have types installed
            client = session.client(service, region_name=region, config=config)
            endpoint = urlsplit(client.meta.endpoint_url)
            reachable = endpoint.scheme in ("http", "https") and endpoint.port != 0  # botocore looks when it signs
        except BotoCoreError:
            raise  # some of them are a ValueError, too: a region that is none, for one
        except ValueError:
            reachable = False
        if not reachable:
            raise _no_endpoint()
        client.meta.events.register(f"before-send.{service}", hold_to_deadline)
        return client

    def _open(self) -> Session:
        if self._session is None:
            if self._session_factory is None:
                import boto3

                self._session = boto3.Session()
            else:
                self._session = self._session_factory()
        return self._session


@contextmanager
def within(deadline: Deadline, region: str) -> Iterator[None]:
    """Hold the calls made inside to the deadline and translate their errors, as :func:`translated` does."""
    token = _deadline.set(deadline)
    try:
        with translated(region):
            yield
    finally:
        _deadline.reset(token)


def _no_endpoint() -> ConfigurationError:
    """Return the error for an address that boto3 takes for none; it is not quoted, because it may hold a password."""
    named = [name for name in ("AWS_ENDPOINT_URL_EC2", "AWS_ENDPOINT_URL") if os.environ.get(name)]
    return ConfigurationError(
        f"{' or '.join(named) or 'endpoint_url in the AWS configuration file'} is no address of an endpoint",
        remedy="write it as in https://ec2.eu-west-1.amazonaws.com, or leave it unset to talk to AWS itself",
    )
