"""A stand-in for Azure Resource Manager: managed images, galleries and the list of resources, over HTTP.

The real azure-mgmt-compute talks to :attr:`Arm.app`. HTTP only reads; what there is is set from Python, and each
change returns the event that Azure would send (:mod:`packer_publisher.local.arm_events` has the other shapes).

It behaves as Azure where that has hurt somebody: managed images come back with the resource group in upper case
(Azure/azure-rest-api-specs issue 8068), regions of a gallery version with blanks, replication only when asked for
with ``$expand``; a tag filter cannot be combined and drops tags and expanded properties (Azure/azure-powershell issue
293, Azure/azure-cli issue 19138). It is stricter in one point: a query argument that it does not know is refused.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from packer_publisher.local.arm_events import IDENTITY, delete_event, tags_event, write_event
from packer_publisher.local.arm_faults import Failing
from packer_publisher.local.arm_resources import (
    Refusal,
    Resource,
    clauses,
    entry,
    matches,
    replication_status,
    subscription,
)
from packer_publisher.local.server import connection_of

IMAGE = "Microsoft.Compute/images"
GALLERY = "Microsoft.Compute/galleries"
DEFINITION = "Microsoft.Compute/galleries/images"
VERSION = "Microsoft.Compute/galleries/images/versions"

_API_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(-preview)?")
_EXPANDS = {"createdTime", "changedTime", "provisioningState"}


@dataclass(slots=True)
class Arm(Failing):
    """Azure Resource Manager for a few subscriptions, empty at first.

    ``page_size`` entries are on a page of a list. ``states`` are those of subscriptions that are not Enabled.
    ``created_time_in_lists`` is a switch, because it is not certain that a filtered list expands ``createdTime``
    (Azure/azure-powershell issue 5814). ``asked`` keeps the path of every request, ``refused_writes`` those that were
    no GET.
    """

    subscriptions: Sequence[str] = ("11111111-1111-1111-1111-111111111111",)
    page_size: int = 2
    created_time_in_lists: bool = True
    states: Mapping[str, str] = field(default_factory=dict)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    asked: list[str] = field(default_factory=list)
    refused_writes: list[str] = field(default_factory=list)
    _resources: dict[str, Resource] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def app(self) -> Starlette:
        """Return the HTTP face as an ASGI application."""
        every = ["GET", "HEAD", "PUT", "PATCH", "POST", "DELETE"]
        return Starlette(routes=[Route("/{path:path}", self._answer, methods=every)])

    def image_id(self, group: str, name: str, subscription: str = "") -> str:
        """Return the id of a managed image as a template types it."""
        return f"{self._scope(group, subscription)}/{IMAGE}/{name}"

    def version_id(self, group: str, gallery: str, definition: str, version: str, subscription: str = "") -> str:
        """Return the id of a gallery image version as a template types it."""
        return f"{self._scope(group, subscription)}/{GALLERY}/{gallery}/images/{definition}/versions/{version}"

    def put_managed_image(
        self,
        group: str,
        name: str,
        *,
        tags: Mapping[str, str],
        location: str = "eastus",
        os_type: str = "Linux",
        state: str = "Succeeded",
        creating: int = 0,
        created: datetime | None = None,
        system_data: bool = False,
        subscription: str = "",
    ) -> dict[str, Any]:
        """Create or replace a managed image and return its event.

        The first ``creating`` GETs show it as Creating, then ``state`` holds. Real managed images tell no time of
        creation in most API versions: ``system_data`` adds it.
        """
        disk = {"osType": os_type, "osState": "Generalized", "diskSizeGB": 30, "storageAccountType": "Standard_LRS"}
        properties = {
            "provisioningState": state,
            "hyperVGeneration": "V2",
            "sourceVirtualMachine": {
                "id": f"{self._scope('pkr-resource-group-0', subscription)}/Microsoft.Compute/virtualMachines/pkrvm0"
            },
            "storageProfile": {"zoneResilient": False, "dataDisks": [], "osDisk": disk},
        }
        identifier = self.image_id(group, name, subscription)
        resource = self._put(identifier, IMAGE, location, tags, properties, created)
        resource.creating = creating
        if system_data:
            resource.body["systemData"] = {"createdAt": resource.created.isoformat(), "createdByType": "Application"}
        return write_event(identifier, IMAGE, self.now())

    def put_gallery_version(
        self,
        group: str,
        gallery: str,
        definition: str,
        version: str,
        *,
        tags: Mapping[str, str],
        target_regions: Sequence[str] = ("East US",),
        location: str = "eastus",
        source: str = "",
        state: str = "Succeeded",
        creating: int = 0,
        replicating: int = 0,
        replication: Mapping[str, str] | None = None,
        architecture: str = "x64",
        created: datetime | None = None,
        subscription: str = "",
    ) -> dict[str, Any]:
        """Create or replace a gallery image version, with gallery and definition where they are new.

        ``source`` is the id it was made from, default a virtual machine. The first ``creating`` GETs show it as
        Creating, the next ``replicating`` ones as still being replicated; ``replication`` gives single regions
        another final state than Completed (and the whole Failed or InProgress).
        """
        base = f"{self._scope(group, subscription)}/{GALLERY}/{gallery}"
        self._put(base, GALLERY, location, {}, {"provisioningState": "Succeeded"}, created)
        about = {
            "provisioningState": "Succeeded",
            "osType": "Linux",
            "osState": "Generalized",
            "hyperVGeneration": "V2",
        }
        about |= {"architecture": architecture} if architecture else {}
        self._put(f"{base}/images/{definition}", DEFINITION, location, {}, about, created)
        machine = f"{self._scope('pkr-resource-group-0', subscription)}/Microsoft.Compute/virtualMachines/pkrvm0"
        states = {name: (replication or {}).get(name, "Completed") for name in target_regions}
        properties: dict[str, Any] = {
            "provisioningState": state,
            "publishingProfile": {
                "targetRegions": [
                    {"name": name, "regionalReplicaCount": 1, "storageAccountType": "Standard_LRS"}
                    for name in target_regions
                ],
                "replicaCount": 1,
                "excludeFromLatest": False,
                "replicationMode": "Full",
            },
            "storageProfile": {
                "source": {"id": source} if source else {"virtualMachineId": machine},
                "osDiskImage": {"sizeInGB": 30, "hostCaching": "ReadWrite", "source": {}},
            },
            "safetyProfile": {"reportedForPolicyViolation": False, "allowDeletionOfReplicatedLocations": False},
            "replicationStatus": replication_status(states),
        }
        identifier = self.version_id(group, gallery, definition, version, subscription)
        resource = self._put(identifier, VERSION, location, tags, properties, created)
        resource.creating, resource.replicating = creating, replicating
        properties["publishingProfile"]["publishedDate"] = resource.created.isoformat()
        return write_event(identifier, VERSION, self.now())

    def put_other(self, group: str, resource_type: str, name: str, tags: Mapping[str, str]) -> dict[str, Any]:
        """Create a resource that is no image (Packer tags its temporary machines alike) and return its event."""
        identifier = f"{self._scope(group, '')}/{resource_type}/{name}"
        self._put(identifier, resource_type, "eastus", tags, {"provisioningState": "Succeeded"}, None)
        return write_event(identifier, resource_type, self.now())

    def write_tags(self, identifier: str, tags: Mapping[str, str]) -> dict[str, Any]:
        """Replace a resource's tags through the Tags API and return its event."""
        with self._lock:
            self._resources[identifier.lower()].body["tags"] = dict(tags)
        return tags_event(identifier, self.now())

    def set_state(self, identifier: str, state: str) -> None:
        """Set a resource's provisioning state, such as Deleting."""
        with self._lock:
            self._resources[identifier.lower()].body["properties"]["provisioningState"] = state

    def delete(self, identifier: str) -> dict[str, Any]:
        """Delete a resource and return its event."""
        with self._lock:
            resource = self._resources.pop(identifier.lower())
        return delete_event(identifier, resource.type, self.now())

    def resource(self, identifier: str) -> dict[str, Any]:
        """Return a resource as a GET shows it, for :func:`~packer_publisher.local.arm_events.notification`."""
        return self._resources[identifier.lower()].body

    def _scope(self, group: str, subscription: str) -> str:
        return f"/subscriptions/{subscription or self.subscriptions[0]}/resourceGroups/{group}/providers"

    def _put(
        self,
        identifier: str,
        resource_type: str,
        location: str,
        tags: Mapping[str, str],
        properties: dict[str, Any],
        created: datetime | None,
    ) -> Resource:
        head, group, rest = re.split(r"(?<=/resourceGroups/)([^/]+)", identifier, maxsplit=1)
        shown = head + (group.upper() if resource_type == IMAGE else group) + rest
        body = {"id": shown, "name": identifier.rsplit("/", 1)[1], "type": resource_type, "location": location}
        with self._lock:
            known = self._resources.get(identifier.lower())
            resource = Resource(
                identifier,
                {**body, "tags": dict(tags), "properties": properties},
                created or (known.created if known else self.now()),
            )
            self._resources[identifier.lower()] = resource
            return resource

    async def _answer(self, request: Request) -> Response:
        with self._lock:
            self.asked.append(request.url.path)
            try:
                if self.meets_reset(request.url.path):
                    connection_of(request.scope).reset()
                    return Response(status_code=500)  # nobody is there to read it
                self._refuse_writes(request)
                return JSONResponse(self._read(request))
            except Refusal as refusal:
                body = {"error": {"code": refusal.code, "message": str(refusal)}}
                return JSONResponse(body, refusal.status, refusal.headers)

    def _refuse_writes(self, request: Request) -> None:
        if request.method != "GET":
            act = f"{request.method} {request.url.path}"
            self.refused_writes.append(act)
            raise Refusal(403, "AuthorizationFailed", f"The client '{IDENTITY}' may not {act}.")

    def _read(self, request: Request) -> dict[str, Any]:
        query = dict(request.query_params)
        version = query.pop("api-version", "")
        if not version:
            raise Refusal(
                400,
                "MissingApiVersionParameter",
                "The api-version query parameter (?api-version=) is required for all requests.",
            )
        if not _API_VERSION.fullmatch(version):
            raise Refusal(400, "InvalidApiVersionParameter", f"The api-version '{version}' is invalid.")
        segments = request.url.path.strip("/").split("/")
        if [segment.lower() for segment in segments] == ["subscriptions"]:
            return self._page(request, query, [subscription(known, self.states) for known in self.subscriptions])
        if len(segments) < 3 or segments[0].lower() != "subscriptions":
            raise Refusal(404, "InvalidResourceType", "The resource type could not be found.")
        if segments[1].lower() not in [known.lower() for known in self.subscriptions]:
            raise Refusal(404, "SubscriptionNotFound", f"The subscription '{segments[1]}' could not be found.")
        self._check_group(segments)
        if segments[-1].lower() == "resources":
            return self._list(request, query, segments)
        return self._get(query, segments)

    def _check_group(self, segments: Sequence[str]) -> None:
        if segments[2].lower() != "resourcegroups":
            return
        prefix = "/" + "/".join(segments[:4]).lower() + "/"
        if not any(identifier.startswith(prefix) for identifier in self._resources):
            raise Refusal(404, "ResourceGroupNotFound", f"Resource group '{segments[3]}' could not be found.")

    def _get(self, query: dict[str, str], segments: Sequence[str]) -> dict[str, Any]:
        resource = self._resources.get("/" + "/".join(segments).lower())
        if resource is None:
            what = "/".join(segments[5:])
            raise Refusal(404, "ResourceNotFound", f"The Resource '{what}' was not found.")
        expand = query.pop("$expand", "")
        if query or (expand and (resource.type != VERSION or expand != "ReplicationStatus")):
            raise Refusal(400, "InvalidParameter", "A query argument is not known here.")
        properties = dict(resource.body["properties"])
        if resource.creating:
            resource.creating -= 1
            properties["provisioningState"] = "Creating"
        elif resource.replicating:
            resource.replicating -= 1
            states = [entry["region"] for entry in properties["replicationStatus"]["summary"]]
            properties["replicationStatus"] = replication_status(dict.fromkeys(states, "Replicating"))
        if not expand:
            properties.pop("replicationStatus", None)
        return {**resource.body, "properties": properties}

    def _list(self, request: Request, query: dict[str, str], segments: Sequence[str]) -> dict[str, Any]:
        wanted = clauses(query.pop("$filter", ""))
        expand = set(filter(None, query.pop("$expand", "").split(",")))
        if expand - _EXPANDS:
            raise Refusal(400, "InvalidParameter", "A query argument is not known here.")
        if not self.created_time_in_lists:
            expand -= {"createdTime"}
        prefix = "/" + "/".join(segments[:-1]).lower() + "/"
        found = [
            entry(resource, expand, by_tag="tagname" in wanted)
            for identifier, resource in sorted(self._resources.items())
            if identifier.startswith(prefix) and matches(resource, wanted)
        ]
        return self._page(request, query, found)

    def _page(self, request: Request, query: dict[str, str], found: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Return the page that a request asks for; ``query`` holds what nobody has looked at yet."""
        skip = int(query.pop("$skiptoken", "0"))
        if query:
            raise Refusal(400, "InvalidParameter", "A query argument is not known here.")
        page: dict[str, Any] = {"value": list(found[skip : skip + self.page_size])}
        if skip + self.page_size < len(found):
            more = {**request.query_params, "$skiptoken": str(skip + self.page_size)}
            page["nextLink"] = f"{request.url.replace(query='')}?{urlencode(more)}"
        return page
