"""A deployed function's SQS queue, seen from outside: where a backfill hands its versions over.

Needs sqs:SendMessage on the queue, of whoever runs the backfill. The queue's own delay, in which fresh builds settle,
is left out: what a backfill sends is old.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from packer_publisher.clouds.aws_calls import Clients, within
from packer_publisher.clouds.aws_errors import Denied, Unsupported
from packer_publisher.clouds.aws_queue import BATCH
from packer_publisher.deadline import Deadline
from packer_publisher.errors import CloudTrouble, ConfigurationError, Forbidden
from packer_publisher.wording import shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from boto3 import Session

_URL = re.compile(r"https?://(?P<host>[a-z0-9.:-]{1,253})/[0-9]{12}/[A-Za-z0-9_-]{1,80}")
_REGION = re.compile(r"sqs(?:-fips)?\.(?P<region>[a-z0-9-]{1,32})\.(?:amazonaws\.com(?:\.cn)?|api\.aws)")
_SECONDS = 30.0
_GONE = ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist", "NonExistentQueue")
_LOOK_UP = "`aws sqs get-queue-url --queue-name NAME` tells it; the deployment's output names the queue"


class DeployedQueue:
    """The queue of one function, by its URL; ConfigurationError for what is no URL of a queue."""

    def __init__(self, url: str, session_factory: Callable[[], Session] | None = None) -> None:
        found = _URL.fullmatch(url)
        if found is None:
            raise ConfigurationError(f"{shown(url)} is no URL of an SQS queue", remedy=_LOOK_UP)
        host = _REGION.fullmatch(found["host"])
        self._url = url
        self._clients = Clients(session_factory)
        self._region = host["region"] if host else self._clients.home()

    def put(self, messages: Sequence[str]) -> None:
        """Put messages on the queue; those of a call that fails may be there all the same.

        Raises CredentialsTrouble (Forbidden: no permission), ConfigurationError where there is no such queue, and
        CloudTrouble where SQS does not take them all.
        """
        from botocore.exceptions import ClientError

        deadline = Deadline.after(_SECONDS)
        for first in range(0, len(messages), BATCH):
            entries = enumerate(messages[first : first + BATCH])
            try:
                with within(deadline, self._region):
                    answer = self._clients.service("sqs", self._region, deadline).send_message_batch(
                        QueueUrl=self._url,
                        Entries=[{"Id": str(at), "MessageBody": text, "DelaySeconds": 0} for at, text in entries],
                    )
            except Denied as denied:
                raise Forbidden(
                    f"SQS denied access to {self._url} ({denied.code})",
                    remedy="allow sqs:SendMessage on the queue to whoever runs this",
                ) from denied
            except (CloudTrouble, Unsupported) as trouble:
                cause = trouble.__cause__
                if isinstance(cause, ClientError) and cause.response.get("Error", {}).get("Code") in _GONE:
                    raise ConfigurationError(f"there is no queue {self._url}", remedy=_LOOK_UP) from trouble
                raise
            if refused := [failed["Code"] for failed in answer.get("Failed", ())]:
                raise CloudTrouble(f"SQS did not take a message for {self._url} ({refused[0]})")
