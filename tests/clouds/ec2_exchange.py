"""The EC2 stand-in behind one server for all tests of a process: boto3 takes longer to make a client than to use it."""

from __future__ import annotations

from typing import Any

import boto3
from starlette.types import Receive, Scope, Send
from tests.clouds.aws_stand_in import policy
from tests.clouds.surveying import Waits

from packer_publisher.clouds.aws import AWS
from packer_publisher.local.ec2 import EC2


class Exchange:
    """An ASGI application that puts through to the EC2 of the test that runs."""

    def __init__(self) -> None:
        self.ec2 = EC2()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.ec2.app(scope, receive, send)


class KeptClients(boto3.Session):
    """A session with made-up credentials that makes each client once."""

    def __init__(self) -> None:
        super().__init__(aws_access_key_id="AKIAFAKE", aws_secret_access_key="fake-secret")
        self._kept: dict[tuple[Any, ...], Any] = {}

    def client(self, service_name: Any, region_name: Any = None, config: Any = None, **options: Any) -> Any:  # type: ignore[override]
        """Return the one client of that service, region and pace."""
        pace = (config.connect_timeout, config.read_timeout, config.retries["total_max_attempts"]) if config else ()
        key = (service_name, region_name, pace, *sorted(options.items()))
        if key not in self._kept:
            self._kept[key] = super().client(service_name, region_name=region_name, config=config, **options)
        return self._kept[key]


def aws_on(session: boto3.Session, waits: Waits, *regions: str) -> AWS:
    """Return the cloud as a backfill would have it; the address is AWS_ENDPOINT_URL."""
    return AWS(policy(*regions), session_factory=lambda: session, patience=waits.patience())
