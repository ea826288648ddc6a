"""A deployment in Google Cloud, examined: the function, its service account, and what brings it its events."""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from packer_publisher.clouds.gcp_desk import WITH_CONDITIONS, Desk, looked_at
from packer_publisher.clouds.gcp_examined_events import (
    members_of,
    policy_of,
    schedule_findings,
    sink_findings,
    subscription_findings,
)
from packer_publisher.deadline import Deadline
from packer_publisher.errors import ConfigurationError
from packer_publisher.finding import Finding, judged, right, wrong
from packer_publisher.policy import Policy

FUNCTION, RUNTIME = "packer-publisher", "python313"
PERMISSIONS = ("compute.images.get", "compute.images.list")
_REMEDY = "apply infra/gcp again"


class GoogleExaminer:
    """The examiner of one function of a project; ``sink`` is its full name, "" for the project's own."""

    platform = "gcp"

    def __init__(
        self, function: str, project: str, region: str, sink: str, environ: Mapping[str, str], deadline: Deadline
    ) -> None:
        self.name = function or FUNCTION
        self.desk = Desk(environ, deadline)
        self.function: Mapping[str, Any] = {}
        self._project = project or environ.get("GOOGLE_CLOUD_PROJECT", "")
        self._invokers: Collection[str] | None = None
        self._region = region or "-"
        self._sink = sink

    @property
    def project(self) -> str:
        """Return the function's project; ConfigurationError where nothing names one."""
        found = self._project or self.desk.default_project
        if not found:
            raise ConfigurationError(
                "No project is named.", remedy="name it with --project, or set GOOGLE_CLOUD_PROJECT"
            )
        return found

    @property
    def where(self) -> str:
        """Return the deployment in words."""
        return f"function {self.name} of {self._project or 'the default project'}"

    @property
    def variables(self) -> Mapping[str, str]:
        """Return the environment of the deployed function, {} where it is not known."""
        found: Mapping[str, str] = self._service.get("environmentVariables", {})
        return {"K_SERVICE": self.name, **found} if self.function else {}

    @property
    def queue(self) -> str:
        """Return the function's topic, "" where it is not known."""
        return self.variables.get("PUBLISHER_QUEUE", "")

    @property
    def log(self) -> str:
        """Return where the function's log is."""
        return f"the log of Cloud Run service {self._run}"

    @property
    def _service(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.function.get("serviceConfig", {})
        return found

    @property
    def _run(self) -> str:
        return str(self._service.get("service", "")).rpartition("/")[2] or self.name

    def account(self) -> Iterator[Finding]:
        """Yield whose project this is."""
        yield from looked_at("Google credentials", "", self._account)

    def functions(self) -> Iterator[Finding]:
        """Yield how the function is; afterwards its environment is known."""
        yield from looked_at("function", "roles/cloudfunctions.viewer", self._function)

    def examine(self, policy: Policy | None) -> Iterator[Finding]:  # noqa: ARG002 - the protocol's; keys are no matter here
        """Yield everything else, as far as the function leads to it."""
        if not self.function:
            return
        sink = self._sink or f"projects/{self.project}/sinks/{self.name}"
        parent = sink.partition("/sinks/")[0]
        yield from looked_at("role", "resourcemanager.*.getIamPolicy and iam.roles.get", lambda: self._role(parent))
        yield from looked_at("invoker", "run.services.getIamPolicy", self._invoker)
        if not self.queue:
            yield wrong("topic", "PUBLISHER_QUEUE is not set, so sweeps hand nothing over", _REMEDY)
            return
        yield from sink_findings(self.desk, sink, self.queue)
        poison = self.variables.get("PUBLISHER_POISON_TOPIC", "")
        yield from subscription_findings(self.desk, self.queue, poison, self.project, self._invokers)
        yield from schedule_findings(self.desk, str(self.function["name"]).partition("/functions/")[0], self.queue)

    def send_probe(self, text: str) -> None:
        """Publish a probe to the function's topic; raises Trouble."""
        data = base64.b64encode(text.encode()).decode()
        self.desk.post("pubsub.googleapis.com", f"v1/{self.queue}:publish", {"messages": [{"data": data}]})

    def probe_answer(self, identifier: str, since: datetime) -> Mapping[str, Any] | None:
        """Return what the function's log has of a probe, None while that is nothing; raises Trouble."""
        wanted = (
            f'resource.type="cloud_run_revision" AND resource.labels.service_name="{self._run}" '
            f'AND jsonPayload.probe="{identifier}" AND timestamp>="{since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"'
        )
        body = {"resourceNames": [f"projects/{self.project}"], "filter": wanted, "pageSize": 1}
        for entry in self.desk.post("logging.googleapis.com", "v2/entries:list", body).get("entries", ()):
            line = entry.get("jsonPayload")
            if isinstance(line, Mapping):
                return line
        return None

    def _account(self) -> Iterator[Finding]:
        self.desk.open()
        yield right("Google credentials", f"found; project {self.project}")

    def _function(self) -> Iterator[Finding]:
        place = f"v2/projects/{self.project}/locations/{self._region}/functions"
        found = [
            each
            for each in self.desk.pages("cloudfunctions.googleapis.com", place, "functions")
            if str(each.get("name", "")).rpartition("/")[2] == self.name
        ]
        if len(found) != 1:
            how = f"there is no function {self.name} in project {self.project}"
            if found:
                how = f"{self.name} is in several regions: {', '.join(each['name'].split('/')[3] for each in found)}"
            yield wrong("function", how, "name it with --function, --project and --region, or apply infra/gcp")
            return
        self.function = found[0]
        problems = []
        if self.function.get("state") != "ACTIVE":
            said = "; ".join(str(each.get("message", "")) for each in self.function.get("stateMessages", ()))
            problems.append(f"it is {self.function.get('state')}: {said or 'no reason given'}")
        runtime = self.function.get("buildConfig", {}).get("runtime")
        if runtime != RUNTIME:
            problems.append(f"it runs on {runtime}, and its archive is for {RUNTIME}")
        revision = str(self._service.get("revision", "?"))
        yield judged("function", f"{self.name}, {RUNTIME}, revision {revision}", problems, _REMEDY)

    def _role(self, parent: str) -> Iterator[Finding]:
        member = f"serviceAccount:{self._service.get('serviceAccountEmail', '')}"
        asked = {"options": {"requestedPolicyVersion": WITH_CONDITIONS}}
        policy = self.desk.post("cloudresourcemanager.googleapis.com", f"v3/{parent}:getIamPolicy", asked)
        roles = [str(each["role"]) for each in policy.get("bindings", ()) if member in each.get("members", ())]
        held: set[str] = set()
        for role in roles:
            found = self.desk.get("iam.googleapis.com", f"v1/{role}") or {}
            held.update(found.get("includedPermissions", ()))
        missing = [f"{permission} is not granted in {parent}" for permission in PERMISSIONS if permission not in held]
        yield judged("role", f"{member.partition(':')[2]} may read images in {parent}", missing, _REMEDY)

    def _invoker(self) -> Iterator[Finding]:
        policy = policy_of(self.desk, "run.googleapis.com", f"v2/{self._service.get('service', '')}")
        if policy is None:
            return
        self._invokers = invokers = members_of(policy, "roles/run.invoker")
        problems = []
        if "allUsers" in invokers:
            problems.append("anybody may call the function")
        if not invokers:
            problems.append("nobody may call the function: no event arrives")
        yield judged("invoker", f"{', '.join(sorted(invokers))} may call the function", problems, _REMEDY)
