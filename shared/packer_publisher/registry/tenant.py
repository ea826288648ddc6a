"""The organization and project that all paths begin with, found out once per process where they are not set.

As hashicorp/packer ``internal/hcp/api/client.go`` does it (one organization, its oldest project), except that a known
project tells its organization in one request (terraform-provider-hcp ``internal/provider/provider.go``). Nothing here
raises RegistryRefused: it is not the image's fault, and its event is to be kept until a person has mended the settings.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from packer_publisher.deadline import Deadline
from packer_publisher.errors import CredentialsTrouble, RegistryRefused, RegistryTrouble
from packer_publisher.registry.decoding import WrongShape, items, member, text, timestamp
from packer_publisher.registry.paging import pages
from packer_publisher.registry.transport import NOT_FOUND, Call, Transport

_BASE = "/resource-manager/2019-12-10"
_SET_IDS = (
    "Set HCP_PROJECT_ID to the project whose registry is meant (and HCP_ORGANIZATION_ID to its organization): "
    "a service principal of one project may not look around."
)


class Tenant:
    """Organization and default project: one request each at most (a long list of projects: one per page), kept."""

    def __init__(self, transport: Transport, organization_id: str, project_id: str) -> None:
        self._transport = transport
        self._organization_id = organization_id
        self._project_id = project_id
        self._lock = threading.Lock()

    def ids(self, project: str | None, deadline: Deadline) -> tuple[str, str]:
        """Return organization and project id, for a project or, with None, the default one.

        Raises CredentialsTrouble where the credentials do not lead to exactly one tenant, else RegistryTrouble.
        """
        if not self._lock.acquire(timeout=deadline.remaining()):
            raise RegistryTrouble("Another thread was still looking for the HCP project when the time was over.")
        try:
            if not self._organization_id:
                self._organization_id = self._organization(project or self._project_id, deadline)
            if not project and not self._project_id:
                self._project_id = self._oldest_project(deadline)
            ids = self._organization_id, project or self._project_id
        except (RegistryRefused, WrongShape) as error:
            raise RegistryTrouble(
                f"The HCP organization and project cannot be found out. {error}", remedy=_SET_IDS
            ) from error
        finally:
            self._lock.release()
        return ids

    def _organization(self, project: str, deadline: Deadline) -> str:
        if not project:
            return self._only_organization(deadline)
        call = Call(
            operation="GetProject",
            about=f"project {project!r}",
            method="GET",
            path=f"{_BASE}/projects/{quote(project, safe='')}",
            absent=frozenset({NOT_FOUND}),
            counted=False,
            forbidden=_SET_IDS,
        )
        document = self._transport.send(call, deadline).document
        if document is None:
            raise CredentialsTrouble(
                f"HCP knows no project {project!r}, or these credentials may not see it.",
                remedy="Check HCP_PROJECT_ID, and the project of the bucket in the configuration.",
            )
        organization_id = text(member(member(document, "project"), "parent"), "id")
        if not organization_id:
            raise RegistryTrouble(f"{call.what}: HCP did not say to which organization it belongs.", remedy=_SET_IDS)
        return organization_id

    def _only_organization(self, deadline: Deadline) -> str:
        found = self._list("organizations", "", (), deadline)
        if len(found) != 1:
            raise CredentialsTrouble(
                f"The credentials lead to {len(found)} HCP organizations, and it must be exactly one.", remedy=_SET_IDS
            )
        return text(found[0], "id")

    def _oldest_project(self, deadline: Deadline) -> str:
        organization_id = self._organization_id
        query = (("scope.id", organization_id), ("scope.type", "ORGANIZATION"))
        found = self._list("projects", f"organization {organization_id!r}", query, deadline)
        if not found:
            raise CredentialsTrouble("The credentials lead to no HCP project.", remedy=_SET_IDS)
        undated = datetime.max.replace(tzinfo=UTC)
        return text(min(found, key=lambda project: timestamp(project.get("created_at")) or undated), "id")

    def _list(
        self, key: str, about: str, query: tuple[tuple[str, str], ...], deadline: Deadline
    ) -> list[Mapping[str, Any]]:
        call = Call(
            operation=f"List{key.capitalize()}",
            about=about,
            method="GET",
            path=f"{_BASE}/{key}",
            query=query,
            counted=False,
            forbidden=_SET_IDS,
        )
        return [
            item
            for document in pages(self._transport, call, deadline)
            for item in items(document, key)
            if text(item, "id")
        ]
