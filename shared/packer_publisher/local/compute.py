"""A stand-in for Compute Engine: the images of a few projects, over HTTP.

The real google-cloud-compute talks to :attr:`ComputeEngine.app`. Images are set from Python or through the SDK, as
Packer does it, and each change returns the audit log entries that Google writes
(:mod:`packer_publisher.local.compute_events` has the envelopes around them).

Known to the face: images get, list, insert, setLabels, deprecate and delete. It behaves as Google where that has hurt
somebody: an operation is logged twice, an image is PENDING before it is READY, a filter is applied after a page was
cut (so a page may be empty and the list go on), and throttling may come as 403. A query parameter or a filter that it
does not know is refused.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from packer_publisher.local.compute_events import CALLER, entries
from packer_publisher.local.compute_filter import BadFilter, matches
from packer_publisher.local.compute_images import (
    ROOT,
    Refusal,
    StoredImage,
    check_labels,
    deprecation,
    fingerprint,
    new_image,
)

Entries = tuple[dict[str, Any], ...]

_STANDARD = {"alt", "$alt", "fields", "key", "prettyPrint", "quotaUser", "requestId"}
_LISTING = {"filter", "maxResults", "orderBy", "pageToken", "returnPartialSuccess"}
_VERBS = {("GET", 0): "list", ("GET", 1): "get", ("POST", 0): "insert", ("DELETE", 1): "delete"}
_MOST_RESULTS = 500
_NOT_FOUND_PAGE = "<!DOCTYPE html>\n<html lang=en>\n<title>Error 404 (Not Found)!!1</title>\n"
_FIRST_ID = 7718790431234560000


@dataclass(slots=True)
class _Fault:
    answer: Refusal | str
    times: int
    path: str
    stall: float
    after: int = 0  # so many such requests are answered before


@dataclass(slots=True)
class ComputeEngine:
    """The images of a few projects (id and number), none at first.

    ``page_size`` images are looked at for a page of a list at most. ``asked`` keeps every request, ``writes`` those
    that were no GET, ``log`` the audit log. A fault that was ordered with :meth:`fail` and never met is in
    :attr:`unmet_faults`.
    """

    projects: Mapping[str, str] = field(default_factory=lambda: {"img-proj": "120000000001"})
    page_size: int = _MOST_RESULTS
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    asked: list[str] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)
    log: list[dict[str, Any]] = field(default_factory=list)
    _images: dict[tuple[str, str], StoredImage] = field(default_factory=dict)
    _faults: list[_Fault] = field(default_factory=list)
    _denied: set[str] = field(default_factory=set)
    _made: int = 0
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def app(self) -> Starlette:
        """Return the HTTP face as an ASGI application."""
        every = ["GET", "HEAD", "PUT", "PATCH", "POST", "DELETE"]
        return Starlette(routes=[Route("/{path:path}", self._answer, methods=every)])

    @property
    def unmet_faults(self) -> int:
        """Return how many ordered failures no request has met."""
        return sum(fault.times for fault in self._faults)

    def fail(
        self,
        status: int,
        reason: str,
        message: str = "made to fail",
        *,
        retry_after: float | None = None,
        times: int = 1,
        path: str = "",
        after: int = 0,
    ) -> None:
        """Let ``times`` requests whose path contains ``path`` fail as Google's do, after ``after`` did not."""
        headers = {} if retry_after is None else {"Retry-After": f"{retry_after:g}"}
        self._faults.append(_Fault(Refusal(status, reason, message, headers), times, path, 0.0, after))

    def stall(self, seconds: float, *, times: int = 1) -> None:
        """Let the next ``times`` requests wait before they are answered with 503."""
        self._faults.append(_Fault(Refusal(503, "backendError", "made to stall"), times, "", seconds))

    def babble(self, text: str = _NOT_FOUND_PAGE, *, times: int = 1) -> None:
        """Let the next ``times`` requests be answered as a proxy would: status 200 and a page that is no JSON."""
        self._faults.append(_Fault(text, times, "", 0.0))

    def deny(self, project: str) -> None:
        """Take the permission to see or change images of a project away."""
        self._denied.add(project)

    def resource(self, name: str, *, project: str = "img-proj") -> Mapping[str, Any]:
        """Return an image as the next read will show it; raises Refusal (404)."""
        with self._lock:
            return self._stored(project, name).seen(advance=False) or {}

    def insert_image(
        self,
        name: str,
        *,
        project: str = "img-proj",
        zone: str = "us-central1-a",
        labels: Mapping[str, str] | None = None,
        created: datetime | None = None,
        pending: int = 0,
        status: str = "READY",
        api_version: str = "v1",
        **body: Any,
    ) -> Entries:
        """Create an image as Packer does, from a disk in ``zone`` unless ``body`` names another source.

        ``pending`` reads show it PENDING, then ``status``. Returns the entries; raises Refusal.
        """
        if not {"sourceImage", "sourceSnapshot", "rawDisk", "sourceDisk"} & set(body):
            body["sourceDisk"] = f"projects/build-proj/zones/{zone}/disks/packer-6700"
        request = {"name": name, "labels": dict(labels or {}), **body}
        return self._insert(project, request, created, pending, status, api_version)

    def set_labels(self, name: str, labels: Mapping[str, str], *, project: str = "img-proj") -> Entries:
        """Replace all labels of an image and return the one entry of that; raises Refusal."""
        with self._lock:
            check_labels(labels)
            resource = self._stored(project, name).resource
            resource |= {"labels": dict(labels), "labelFingerprint": fingerprint(labels)}
            return self._logged("setLabels", project, resource, {"labels": dict(labels)}, single=True)

    def deprecate(self, name: str, *, project: str = "img-proj", **status: str) -> Entries:
        """Set the deprecation status of an image (empty: take it away) and return the entries; raises Refusal."""
        with self._lock:
            resource = self._stored(project, name).resource
            resource.pop("deprecated", None)
            if mark := deprecation(status):
                resource["deprecated"] = mark
            return self._logged("deprecate", project, resource, status)

    def delete(self, name: str, *, project: str = "img-proj", deleting: int = 0) -> Entries:
        """Delete an image and return the entries; ``deleting`` reads still show it DELETING. Raises Refusal."""
        with self._lock:
            stored = self._stored(project, name)
            stored.shows, stored.vanishes = ["DELETING"] * deleting, True
            return self._logged("delete", project, stored.resource, {})

    def _insert(
        self,
        project: str,
        body: Mapping[str, Any],
        created: datetime | None = None,
        pending: int = 0,
        status: str = "READY",
        api_version: str = "v1",
    ) -> Entries:
        with self._lock:
            self._made += 1
            made = created or self.now()
            resource = new_image(self._known(project), _FIRST_ID + 7919 * self._made, body, made, status)
            key = (project, resource["name"])
            stored = self._images.get(key)
            if stored is not None and stored.seen(advance=False) is not None:
                raise Refusal(409, "alreadyExists", f"The resource '{_link(*key)}' already exists")
            self._images[key] = StoredImage(resource, made, ["PENDING"] * pending)
            return self._logged("insert", project, resource, body, api_version=api_version)

    def _logged(
        self,
        verb: str,
        project: str,
        resource: Mapping[str, Any],
        request: Mapping[str, Any],
        *,
        api_version: str = "v1",
        single: bool = False,
    ) -> Entries:
        operation = f"operation-1790848766354-5ac287c395484-fa3923bd-{len(self.log):08x}"
        link = _link(project, resource["name"])
        made = entries(
            verb, link, resource["id"], self.now(), operation, request, api_version=api_version, single=single
        )
        self.log.extend(made)
        return made

    def _known(self, project: str) -> str:
        """Return a project's id, also for its number; raises Refusal where there is none."""
        for known, number in self.projects.items():
            if project in (known, number):
                return known
        raise Refusal(404, "notFound", f"The resource 'projects/{project}' was not found")

    def _stored(self, project: str, image: str) -> StoredImage:
        """Return an image by name or numeric id; raises Refusal (404)."""
        project = self._known(project)
        for (owner, name), stored in self._images.items():
            if owner == project and image in (name, stored.resource["id"]) and stored.seen(advance=False) is not None:
                return stored
        raise Refusal(404, "notFound", f"The resource '{_link(project, image)}' was not found")

    async def _answer(self, request: Request) -> Response:
        body = await request.body()
        return await run_in_threadpool(self._respond, request, body)

    def _respond(self, request: Request, body: bytes) -> Response:
        self.asked.append(f"{request.method} {request.url.path}")
        if request.method != "GET":
            self.writes.append(self.asked[-1])
        try:
            babbled = self._meet_faults(request.url.path)
            if babbled is not None:
                return Response(babbled, media_type="text/html")
            parts = request.url.path.removeprefix("/compute/v1/").split("/")
            if len(parts) not in (4, 5, 6) or (parts[0], parts[2], parts[3]) != ("projects", "global", "images"):
                return Response(_NOT_FOUND_PAGE, 404, media_type="text/html")
            with self._lock:
                return JSONResponse(self._routed(request, parts[1], parts[4:], body))
        except Refusal as refusal:
            return JSONResponse(refusal.body(), refusal.status, refusal.headers)

    def _meet_faults(self, path: str) -> str | None:
        """Return the text to babble, None for nothing; raises Refusal. A stall ends before the lock is taken."""
        for fault in self._faults:
            if fault.times and fault.path in path:
                if fault.after:
                    fault.after -= 1
                    continue
                fault.times -= 1
                time.sleep(fault.stall)
                if isinstance(fault.answer, str):
                    return fault.answer
                raise fault.answer
        return None

    def _routed(self, request: Request, project: str, rest: list[str], body: bytes) -> dict[str, Any]:
        query = dict(request.query_params)
        verb = _VERBS.get((request.method, len(rest))) or (rest[-1] if request.method == "POST" else "")
        if unknown := sorted(set(query) - _STANDARD - (_LISTING if verb == "list" else set())):
            text = f'Invalid JSON payload received. Unknown name "{unknown[0]}": Cannot bind query parameter.'
            raise Refusal(400, "invalid", text)
        if self._known(project) in self._denied:
            where = _link(self._known(project), rest[0]) if rest else f"projects/{project}"
            raise Refusal(403, "forbidden", f"Required 'compute.images.{verb}' permission for '{where}'")
        if verb == "get":
            return self._stored(project, rest[0]).seen() or {}
        if verb == "list":
            return self._page(self._known(project), query)
        return self._written(verb, self._known(project), rest, json.loads(body or b"{}"))

    def _written(self, verb: str, project: str, rest: list[str], body: dict[str, Any]) -> dict[str, Any]:
        image = rest[0] if rest else str(body.get("name", ""))
        if verb == "insert":
            self._insert(project, body)
        resource = self._stored(project, image).resource
        match verb:
            case "insert":
                pass
            case "delete":
                self.delete(image, project=project)
            case "deprecate":
                self.deprecate(image, project=project, **body)
            case "setLabels":
                if body.get("labelFingerprint") != resource["labelFingerprint"]:
                    text = "Labels fingerprint either invalid or resource labels have changed"
                    raise Refusal(412, "conditionNotMet", text)
                self.set_labels(image, body.get("labels", {}), project=project)
            case _:
                raise Refusal(404, "notFound", "The stand-in does not know this method.")
        return self._operation(verb, project, resource)

    def _operation(self, verb: str, project: str, resource: Mapping[str, Any]) -> dict[str, Any]:
        name, at = self.log[-1]["operation"]["id"], self.now().isoformat(timespec="milliseconds")
        return {
            "kind": "compute#operation",
            "id": str(_FIRST_ID - len(self.log)),
            "name": name,
            "operationType": verb,
            "targetLink": resource["selfLink"],
            "targetId": resource["id"],
            "status": "DONE",
            "user": CALLER,
            "progress": 100,
            "insertTime": at,
            "startTime": at,
            "endTime": at,
            "selfLink": f"{ROOT}projects/{project}/global/operations/{name}",
        }

    def _page(self, project: str, query: Mapping[str, str]) -> dict[str, Any]:
        limit = query.get("maxResults", str(_MOST_RESULTS))
        if not limit.isdigit() or int(limit) > _MOST_RESULTS:
            raise Refusal(400, "invalid", f"Invalid value for field 'maxResults': '{limit}'.")
        size = min(int(limit) or _MOST_RESULTS, self.page_size)
        order = query.get("orderBy", "name")
        if order not in ("name", "creationTimestamp desc"):
            raise Refusal(400, "invalid", f"Invalid value for field 'orderBy': '{order}'.")
        found = [image for (owner, _), image in sorted(self._images.items()) if owner == project]
        if order != "name":
            found.sort(key=lambda image: image.created, reverse=True)
        start = _start(query.get("pageToken", ""))
        shown = (image.seen(advance=False) for image in found[start : start + size])
        expression = query.get("filter", "")
        try:
            matches(expression, {})  # a bad one is refused also where there is nothing to filter
            items = [resource for resource in shown if resource is not None and matches(expression, resource)]
        except BadFilter:
            text = f"Invalid value for field 'filter': '{expression}'. Invalid list filter expression."
            raise Refusal(400, "invalid", text) from None
        path = f"projects/{project}/global/images"
        page: dict[str, Any] = {"kind": "compute#imageList", "id": path, "selfLink": ROOT + path}
        if items:
            page["items"] = items
        if start + size < len(found):
            page["nextPageToken"] = base64.urlsafe_b64encode(f"from {start + size}".encode()).decode()
        return page


def _link(project: str, image: str) -> str:
    return f"projects/{project}/global/images/{image}"


def _start(token: str) -> int:
    try:
        return int(base64.urlsafe_b64decode(token).decode().removeprefix("from ")) if token else 0
    except ValueError:
        raise Refusal(400, "invalid", f"Invalid value for field 'pageToken': '{token}'.") from None
