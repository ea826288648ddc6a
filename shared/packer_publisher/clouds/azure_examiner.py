"""A deployment in an Azure subscription, examined: the function app, its identity, and what brings it its events."""

from __future__ import annotations

import base64
import fnmatch
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from packer_publisher.clouds.azure_desk import ARM, Desk, looked_at
from packer_publisher.clouds.azure_examined_events import event_findings
from packer_publisher.deadline import Deadline
from packer_publisher.errors import CloudTrouble, ConfigurationError
from packer_publisher.finding import Finding, judged, note, right, wrong
from packer_publisher.policy import Policy

WEB, ROLES, INSIGHTS = "2023-12-01", "2022-04-01", "2020-02-02"
FUNCTIONS = frozenset({"publish_image", "sweep_images", "sweep_weeks"})
ACTIONS = (
    "Microsoft.Compute/galleries/images/read",
    "Microsoft.Compute/galleries/images/versions/read",
    "Microsoft.Compute/images/read",
    "Microsoft.Resources/subscriptions/resources/read",
)
_MESSAGES = "Microsoft.Storage/storageAccounts/queueServices/queues/messages"
DATA_ACTIONS = tuple(f"{_MESSAGES}/{each}" for each in ("add/action", "delete", "process/action", "read", "write"))
"""What working off a queue takes, each time on the queue's own data."""

_REMEDY = "apply infra/azure again"


class AzureExaminer:
    """The examiner of one function app of a subscription."""

    platform = "azure"

    def __init__(self, function: str, environ: Mapping[str, str], deadline: Deadline) -> None:
        """Raise ConfigurationError where the function app or the subscription is not named."""
        self.name, self.subscription = function, environ.get("AZURE_SUBSCRIPTION_ID", "")
        if not function:
            raise ConfigurationError(
                "No function app is named.", remedy="name it with --function; its name is yours alone"
            )
        if not self.subscription:
            raise ConfigurationError("No subscription is named.", remedy="set AZURE_SUBSCRIPTION_ID")
        self.desk = Desk(environ, deadline)
        self.site: Mapping[str, Any] = {}
        self._settings: Mapping[str, str] = {}

    @property
    def where(self) -> str:
        """Return the deployment in words."""
        return f"function app {self.name} of subscription {self.subscription}"

    @property
    def variables(self) -> Mapping[str, str]:
        """Return the app's settings, {} where they are not known."""
        return {"FUNCTIONS_WORKER_RUNTIME": "python", **self._settings} if self._settings else {}

    @property
    def queue(self) -> str:
        """Return the name of the queue, "" where it is not known."""
        return self._settings.get("PUBLISHER_QUEUE", "") if self._queue_host else ""

    @property
    def log(self) -> str:
        """Return where the function's log is."""
        return f"the traces of Application Insights of {self.name}"

    @property
    def _queue_host(self) -> str:
        return urlsplit(self._settings.get("PUBLISHER_STORAGE__queueServiceUri", "")).netloc

    def account(self) -> Iterator[Finding]:
        """Yield whose subscription this is."""
        yield from looked_at("Azure credentials", "the role Reader on the subscription", self._account)

    def functions(self) -> Iterator[Finding]:
        """Yield how the function app is; afterwards its settings are known."""
        yield from looked_at("function app", "the role Reader on the subscription", self._app)
        if self.site:
            needed = "Microsoft.Web/sites/config/list/action (the role Website Contributor)"
            yield from looked_at("settings", needed, self._read_settings)

    def examine(self, policy: Policy | None) -> Iterator[Finding]:  # noqa: ARG002 - the protocol's; keys are no matter here
        """Yield everything else, as far as the app leads to it."""
        if not self.site:
            return
        yield from looked_at("functions", "the role Reader on the function app", self._functions)
        if self._principals():
            yield from looked_at("role", "the role Reader on the subscription", self._roles)
        if not self._settings:
            return
        if not self.queue:
            missing = "PUBLISHER_QUEUE or PUBLISHER_STORAGE__queueServiceUri is not set: no event is seen"
            yield wrong("queue", missing, _REMEDY)
            return
        yield from event_findings(self.desk, self.subscription, self.queue, self._queue_host.partition(".")[0])

    def send_probe(self, text: str) -> None:
        """Put a probe on the app's queue; raises Trouble. The role Storage Queue Data Message Sender suffices."""
        body = base64.b64encode(text.encode()).decode()
        content = f"<QueueMessage><MessageText>{body}</MessageText></QueueMessage>".encode()
        headers = {"x-ms-version": "2021-12-02", "Content-Type": "application/xml"}
        path = f"/{self.queue}/messages"
        if self.desk.ask("POST", self._queue_host, path, headers=headers, content=content) is None:
            raise CloudTrouble(f"There is no queue {self.queue}.", remedy=_REMEDY)

    def probe_answer(self, identifier: str, since: datetime) -> Mapping[str, Any] | None:
        """Return what Application Insights has of a probe, None while that is nothing; raises Trouble."""
        query = f"traces | where timestamp > datetime({since.isoformat()}) | where message has '{identifier}'"
        found = self.desk.ask(
            "POST",
            "api.applicationinsights.io",
            f"/v1/apps/{self._insights()}/query",
            json={"query": f"{query} | project message"},
        )
        for table in (found or {}).get("tables", ()):
            for row in table.get("rows", ()):
                text = str(row[0])
                try:
                    line = json.loads(text[text.index("{") :])
                except ValueError:
                    continue
                if isinstance(line, Mapping) and line.get("probe") == identifier:
                    return line
        return None

    def _insights(self) -> str:
        """Return the application id of the app's Application Insights."""
        settings = self._settings.get("APPLICATIONINSIGHTS_CONNECTION_STRING", "")
        key = dict(part.partition("=")[::2] for part in settings.split(";")).get("InstrumentationKey", "")
        path = f"/subscriptions/{self.subscription}/providers/Microsoft.Insights/components"
        for component in self.desk.entries(path, INSIGHTS):
            about = component.get("properties", {})
            if key and about.get("InstrumentationKey") == key:
                return str(about["AppId"])
        raise CloudTrouble("The app's Application Insights is not found.", remedy="look into its log yourself")

    def _account(self) -> Iterator[Finding]:
        found = self.desk.get(f"/subscriptions/{self.subscription}", "2022-12-01")
        if found is None:
            yield wrong(
                "Azure credentials", f"Azure shows no subscription {self.subscription}", "set AZURE_SUBSCRIPTION_ID"
            )
        elif found.get("state") != "Enabled":
            yield wrong("Azure credentials", f"the subscription is {found.get('state')}", "have it enabled")
        else:
            yield right("Azure credentials", f"subscription {found.get('displayName') or self.subscription}")

    def _app(self) -> Iterator[Finding]:
        sites = self.desk.entries(f"/subscriptions/{self.subscription}/providers/Microsoft.Web/sites", WEB)
        self.site = next((site for site in sites if str(site.get("name", "")).lower() == self.name.lower()), {})
        if not self.site:
            remedy = "name it with --function, and its subscription in AZURE_SUBSCRIPTION_ID; or apply infra/azure"
            yield wrong("function app", f"there is no function app {self.name} in the subscription", remedy)
            return
        self.site = self.desk.get(str(self.site["id"]), WEB) or self.site
        about = self.site.get("properties", {})
        runtime = (about.get("functionAppConfig") or {}).get("runtime") or {}
        problems = []
        if about.get("state") != "Running" or about.get("enabled") is False:
            problems.append(f"it is {about.get('state')}: events stay in the queue, for 7 days at most")
        if runtime and (runtime.get("name"), runtime.get("version")) != ("python", "3.13"):
            problems.append(
                f"it runs on {runtime.get('name')} {runtime.get('version')}, and its archive is for python 3.13"
            )
        if not self._principals():
            problems.append("it has no identity")
        yield judged("function app", f"{self.name} runs", problems, _REMEDY)

    def _read_settings(self) -> Iterator[Finding]:
        path = f"{self.site['id']}/config/appsettings/list"
        found = self.desk.ask("POST", ARM, path, params={"api-version": WEB}) or {}
        self._settings = {str(name): str(value) for name, value in (found.get("properties") or {}).items()}
        off = sorted(
            name.split(".")[1]
            for name, value in self._settings.items()
            if name.startswith("AzureWebJobs.") and name.endswith(".Disabled") and value.lower() in ("1", "true")
        )
        if off:
            yield wrong("functions", f"{', '.join(off)} is disabled by a setting", "remove AzureWebJobs.*.Disabled")

    def _functions(self) -> Iterator[Finding]:
        found = {
            str(each.get("properties", {}).get("name") or str(each.get("name", "")).rpartition("/")[2])
            for each in self.desk.entries(f"{self.site['id']}/functions", WEB)
        }
        missing = sorted(FUNCTIONS - found)
        problems = [f"{', '.join(missing)} is missing"] if missing else []
        yield judged("functions", ", ".join(sorted(FUNCTIONS)), problems, "deploy the archive again")

    def _principals(self) -> list[str]:
        identity = self.site.get("identity") or {}
        assigned = [each.get("principalId") for each in (identity.get("userAssignedIdentities") or {}).values()]
        return [str(each) for each in (*assigned, identity.get("principalId")) if each]

    def _roles(self) -> Iterator[Finding]:
        held: list[Mapping[str, Any]] = []
        for principal in self._principals():
            path = f"/subscriptions/{self.subscription}/providers/Microsoft.Authorization/roleAssignments"
            for each in self.desk.entries(path, ROLES, **{"$filter": f"assignedTo('{principal}')"}):
                role = self.desk.get(str(each["properties"]["roleDefinitionId"]), ROLES) or {}
                held.extend(role.get("properties", {}).get("permissions", ()))
        missing = [f"{action} is not granted" for action in ACTIONS if not _granted(held, action, "actions")]
        missing += [f"{action} is not granted" for action in DATA_ACTIONS if not _granted(held, action, "dataActions")]
        yield judged("role", "the identity may read images and galleries, and work off its queue", missing, _REMEDY)
        if any("*" in (each.get("actions") or ()) for each in held):
            yield note("role", "the identity may do everything in a scope", "infra/azure has the few actions it needs")


def _granted(permissions: list[Mapping[str, Any]], action: str, key: str) -> bool:
    """Return whether roles grant an action: one of them lists it under ``key``, and does not take it out again."""
    opposite = f"not{key[0].upper()}{key[1:]}"

    def listed(patterns: Any) -> bool:
        return any(fnmatch.fnmatchcase(action.lower(), str(each).lower()) for each in patterns or ())

    return any(listed(each.get(key)) and not listed(each.get(opposite)) for each in permissions)
