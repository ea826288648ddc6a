"""A deployment in an AWS account, examined: the function, its role, and what brings it its events."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from packer_publisher.clouds.aws_calls import Clients
from packer_publisher.clouds.aws_desk import Desk, as_trouble, looked_at
from packer_publisher.clouds.aws_examined_events import events_findings, forwarder_findings
from packer_publisher.clouds.aws_examined_queues import queue_findings
from packer_publisher.clouds.aws_policies import allowed, policy_document, role_documents, sweeping
from packer_publisher.clouds.aws_probe import probe_answer, send_probe
from packer_publisher.deadline import Deadline
from packer_publisher.finding import Finding, judged, note, right, wrong
from packer_publisher.policy import Policy
from packer_publisher.secret_reference import SecretsManagerSecret, SystemsManagerParameter, parse_secret_reference

if TYPE_CHECKING:
    from boto3 import Session

FUNCTION = "packer-publisher"
RUNTIME = "python3.13"
_DEPLOY = "deploy serverless.yml again"
ROLE_READS = (
    "iam:GetRole, iam:ListRolePolicies, iam:GetRolePolicy, iam:ListAttachedRolePolicies, iam:GetPolicy and "
    "iam:GetPolicyVersion"
)


class AWSExaminer:
    """The examiner of one account and home region; :meth:`environment` comes first."""

    platform = "aws"

    def __init__(
        self,
        function: str,
        region: str,
        deadline: Deadline,
        *,
        expected: str = "",
        session_factory: Callable[[], Session] | None = None,
    ) -> None:
        """``expected`` is the SHA-256 of the archive that should be deployed, in hex, "" where nobody says.

        Raises ConfigurationError where no region is known.
        """
        clients = Clients(session_factory)
        self.desk = Desk(clients, region or clients.home(), deadline)
        self.name = function or FUNCTION
        self.expected = expected
        self.function: Mapping[str, Any] = {}

    @property
    def where(self) -> str:
        """Return the deployment in words."""
        return f"function {self.name} in {self.desk.home}"

    @property
    def variables(self) -> Mapping[str, str]:
        """Return the environment of the deployed function, {} where it is not known."""
        found: Mapping[str, str] = self.function.get("Environment", {}).get("Variables", {})
        region = {"AWS_REGION": self.desk.home, "AWS_LAMBDA_FUNCTION_NAME": self.name}
        return {**region, **found} if self.function else {}

    @property
    def queue(self) -> str:
        """Return the URL of the function's queue, "" where it is not known."""
        return self.variables.get("PUBLISHER_QUEUE", "")

    def account(self) -> Iterator[Finding]:
        """Yield whose account this is."""
        yield from looked_at("AWS credentials", "sts:GetCallerIdentity", self._account)

    def functions(self) -> Iterator[Finding]:
        """Yield how the function is; afterwards its environment is known."""
        yield from looked_at("function", "lambda:GetFunctionConfiguration", self._function)

    def examine(self, policy: Policy | None) -> Iterator[Finding]:
        """Yield everything else, as far as the function leads to it; ``policy`` is what its configuration says."""
        if not self.function:
            return
        yield from looked_at("concurrency", "lambda:GetFunctionConcurrency", self._concurrency)
        yield from looked_at("role", ROLE_READS, self._role)
        yield from looked_at("event source", "lambda:ListEventSourceMappings", self._mapping)
        if not self.queue:
            yield wrong(
                "queue", "PUBLISHER_QUEUE is not set, so events cannot rest and sweeps hand nothing over", _DEPLOY
            )
            return
        timeout = int(self.function.get("Timeout", 0))
        yield from queue_findings(self.desk, self.queue, timeout)
        keys = {key for keys in (policy.contract.keys.values() if policy else ()) for key in keys}
        yield from events_findings(self.desk, self._queue_arn(), keys)
        yield from forwarder_findings(self.desk, keys, policy.regions if policy else ())

    def send_probe(self, text: str) -> None:
        """Put a probe on the function's queue; raises Trouble."""
        with as_trouble():
            send_probe(self.desk, self.queue, text)

    def probe_answer(self, identifier: str, since: datetime) -> Mapping[str, Any] | None:
        """Return what the function's log has of a probe, None while that is nothing; raises Trouble."""
        with as_trouble():
            return probe_answer(self.desk, self.log, identifier, since)

    @property
    def log(self) -> str:
        """Return where the function's log is."""
        return str(self.function.get("LoggingConfig", {}).get("LogGroup") or f"/aws/lambda/{self.name}")

    def _account(self) -> Iterator[Finding]:
        yield right("AWS credentials", f"account {self.desk.account()}, region {self.desk.home}")

    def _function(self) -> Iterator[Finding]:
        found = self.desk.ask(
            "lambda", "get_function_configuration", absent={"ResourceNotFoundException"}, FunctionName=self.name
        )
        if found is None:
            yield wrong(
                "function",
                f"there is no function {self.name} in {self.desk.home}",
                "name it with --function and its region with --region, or deploy serverless.yml",
            )
            return
        self.function = found
        problems = []
        if found.get("State", "Active") not in ("Active", "Inactive"):  # Inactive: idle for long, wakes up by itself
            problems.append(f"it is {found['State']}: {found.get('StateReason', 'no reason given')}")
        if found.get("LastUpdateStatus", "Successful") == "Failed":
            problems.append(f"its last update failed: {found.get('LastUpdateStatusReason', 'no reason given')}")
        if found.get("Runtime") != RUNTIME:
            problems.append(f"it runs on {found.get('Runtime')}, and its archive holds bytecode for {RUNTIME}")
        yield judged(
            "function", f"{self.name}, {RUNTIME}, changed {found.get('LastModified', '?')[:19]}", problems, _DEPLOY
        )
        yield self._archive(str(found.get("CodeSha256", "")))

    def _archive(self, deployed: str) -> Finding:
        digest = base64.b64decode(deployed).hex() if deployed else ""
        if not self.expected:
            return note("archive", f"sha256 {digest[:16]}", "--manifest build/manifest.json compares it with a build")
        if digest == self.expected:
            return right("archive", f"sha256 {digest[:16]}, as in the manifest")
        return wrong("archive", f"sha256 {digest[:16]}, the manifest has {self.expected[:16]}", "deploy this release")

    def _concurrency(self) -> Iterator[Finding]:
        found = self.desk.ask("lambda", "get_function_concurrency", FunctionName=self.name)
        reserved = found.get("ReservedConcurrentExecutions")
        if reserved == 0:
            remedy = "aws lambda delete-function-concurrency --function-name " + self.name
            yield wrong("concurrency", "it is throttled to 0: nothing is worked on", remedy)
        elif reserved == 1:
            yield wrong(
                "concurrency",
                "1 is reserved, less than the 2 of the event source: throttled messages use up their tries",
                "reserve 2 or more, or nothing",
            )

    def _role(self) -> Iterator[Finding]:
        arn = str(self.function.get("Role", ""))
        name = arn.rpartition("/")[2]
        role = self.desk.ask("iam", "get_role", absent={"NoSuchEntity"}, RoleName=name)
        if role is None:
            yield wrong("role", f"there is no role {name}", _DEPLOY)
            return
        documents = list(role_documents(self.desk, name))
        boundary = role["Role"].get("PermissionsBoundary", {}).get("PermissionsBoundaryArn", "")
        bounds = [policy_document(self.desk, boundary)] if boundary else []
        missing = [
            f"{action} is not allowed{'' if allowed(documents, action, resource) is bounded else by}"
            for action, resource in self._needed()
            for bounded in (not bounds or allowed(bounds, action, resource),)
            for by in (f" by the boundary {boundary}" if not bounded else "",)
            if not (bounded and allowed(documents, action, resource))
        ]
        yield judged("role", f"{name} allows what the function does", missing, "allow it, as infra/aws/role.yml does")
        if broad := sweeping(documents):
            yield note(
                "role", f"{name} allows far more than is needed: {', '.join(broad)}", "infra/aws/role.yml has all"
            )

    def _needed(self) -> list[tuple[str, str]]:
        needed = [(f"ec2:{name}", "*") for name in ("DescribeImages", "DescribeRegions", "GetImageAncestry")]
        if self.queue:
            actions = (
                "ReceiveMessage",
                "DeleteMessage",
                "GetQueueAttributes",
                "ChangeMessageVisibility",
                "SendMessage",
            )
            needed += [(f"sqs:{name}", self._queue_arn()) for name in actions]
        reference = parse_secret_reference(self.variables.get("PUBLISHER_CLIENT_SECRET", "").strip())
        if isinstance(reference, SecretsManagerSecret):
            needed.append(("secretsmanager:GetSecretValue", reference.arn))
        elif isinstance(reference, SystemsManagerParameter):
            needed.append(("ssm:GetParameter", reference.arn))
        return needed

    def _mapping(self) -> Iterator[Finding]:
        about = {"EventSourceArn": self._queue_arn()} if self.queue else {"FunctionName": self.name}
        found = self.desk.pages("lambda", "list_event_source_mappings", "EventSourceMappings", **about)
        # An alias or a version follows the function's name, if at all.
        ours = [each for each in found if f":function:{self.name}:" in f"{each.get('FunctionArn')}:"]
        if not ours:
            yield wrong("event source", "no queue is connected to the function", _DEPLOY)
            return
        problems = []
        if ours[0].get("State") not in ("Enabled", "Enabling", "Updating", "Creating"):
            problems.append(f"it is {ours[0].get('State')}: events stay in the queue, for 14 days at most")
        if "ReportBatchItemFailures" not in (ours[0].get("FunctionResponseTypes") or ()):
            problems.append("it does not report single failures: one message in trouble repeats its whole batch")
        yield judged("event source", "the queue wakes the function", problems, "deploy it with Paused=false, unchanged")

    def _queue_arn(self) -> str:
        partition = str(self.function.get("FunctionArn", "arn:aws:")).split(":")[1]
        account, _, name = self.queue.rstrip("/").rpartition("/")
        return f"arn:{partition}:sqs:{self.desk.home}:{account.rpartition('/')[2]}:{name}"
