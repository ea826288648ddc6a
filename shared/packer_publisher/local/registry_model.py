"""The local registry's rules as one plain class, without HTTP.

The rules are written in families, each on top of the one before: ledger (time, storage, callers), buckets,
versions, builds, channels, revocation, lineage, and here the project's registry and its neighbours.
"""

from __future__ import annotations

import threading
from dataclasses import replace

from packer_publisher.local import registry_bodies as read
from packer_publisher.local.registry_bodies import Body
from packer_publisher.local.registry_documents import (
    Document,
    operation_document,
    registry_document,
    stamp,
)
from packer_publisher.local.registry_ids import IdSource, id_source
from packer_publisher.local.registry_ledger import Caller, Clock, Project, Tenancy, operation, system_clock
from packer_publisher.local.registry_lineage import Lineage
from packer_publisher.local.registry_pages import FIRST_PAGE, PageRequest, page
from packer_publisher.local.registry_records import Operation, RegistryState
from packer_publisher.local.registry_refusals import Refusal, denied, exists, invalid, invalid_field, not_found
from packer_publisher.local.registry_store import SqliteStore, Store
from packer_publisher.local.registry_switches import Switches

REGISTRY_MASK = ("featureTier", "activated")
TIERS = ("UNSET", "STANDARD", "PLUS")


class RegistryModel(Lineage):
    """The registry of one HCP project as one caller sees it.

    Every operation takes plain values and JSON bodies, returns the response's JSON document, or raises
    :class:`~packer_publisher.local.registry_refusals.Refusal` and has then changed nothing. ``seed`` makes the
    ids repeat. ``store`` defaults to SQLite in memory; a simulation passes a ``MemoryStore`` and forks.
    """

    def __init__(
        self,
        *,
        store: Store | None = None,
        clock: Clock = system_clock,
        switches: Switches | None = None,
        seed: int | None = None,
        tenancy: Tenancy | None = None,
    ) -> None:
        tenancy = tenancy or Tenancy()
        self._ids: IdSource = id_source(seed)
        super().__init__(
            store=SqliteStore() if store is None else store,
            clock=clock,
            switches=switches or Switches(),
            tenancy=tenancy,
            project=tenancy.projects[0].id,
            caller=Caller(),
            new_id=self._ids,
            lock=threading.RLock(),
        )

    def seen_by(self, caller: Caller, project: str | None = None) -> RegistryModel:
        """Return the same registry for another caller or project; raises 403/7 for an unknown project."""
        project = project or self.project
        if all(known.id != project for known in self.tenancy.projects):
            raise denied(f"The project {project} is not known or not accessible.")
        return self._twin(self.store, self.clock, project, caller, self.lock)

    def fork(self, clock: Clock | None = None) -> RegistryModel:
        """Return an independent registry with the same contents, in memory; what follows differs."""
        with self.lock:
            return self._twin(self.store.copy(), clock or self.clock, self.project, self.caller, threading.RLock())

    def _twin(self, store: Store, clock: Clock, project: str, caller: Caller, lock: threading.RLock) -> RegistryModel:
        twin = RegistryModel.__new__(RegistryModel)
        twin._ids = self._ids
        Lineage.__init__(
            twin,
            store=store,
            clock=clock,
            switches=self.switches,
            tenancy=self.tenancy,
            project=project,
            caller=caller,
            new_id=self._ids,
            lock=lock,
        )
        return twin

    def close(self) -> None:
        """Release the store."""
        self.store.close()

    # The registry of the project

    @operation(inactive=True)
    def get_registry(self) -> Document:
        """GetRegistry; one that nobody has created is there and active."""
        return {"registry": self._registry_document(self._state())}

    @operation(writes=True, inactive=True)
    def create_registry(self, body: Body) -> Document:
        """CreateRegistry: 409/6 while one is active; it activates an inactive one."""
        state = self._state()
        if state.activated:
            raise exists("Error: The registry already exists.")
        return self._changed_registry(replace(state, activated=True, feature_tier=self._tier(body, state)))

    @operation(writes=True, inactive=True)
    def update_registry(self, body: Body) -> Document:
        """UpdateRegistry: the mask names ``featureTier`` and ``activated``."""
        state = self._state()
        mask = set(filter(None, read.text(body, "update_mask").split(",")))
        unknown = mask - set(REGISTRY_MASK)
        if unknown:
            raise invalid_field("update_mask", f"field mask: {min(unknown)!r} is not known")
        if "featureTier" in mask:
            state = replace(state, feature_tier=self._tier(body, state))
        if "activated" in mask:
            state = replace(state, activated=read.flag(body, "activated"))
        return self._changed_registry(state)

    @operation(writes=True, inactive=True)
    def delete_registry(self) -> Document:
        """DeleteRegistry: deactivates; buckets stay for the next activation."""
        return self._changed_registry(replace(self._state(), activated=False))

    def _tier(self, body: Body, state: RegistryState) -> str:
        tier = read.word(body, "feature_tier", TIERS, self.switches)
        return state.feature_tier if tier == TIERS[0] else tier

    def _state(self) -> RegistryState:
        state = self.store.get(RegistryState, self.key())
        if state is None:
            now = self.clock()
            state = RegistryState(self.new_id(now), now, now)
            self.store.put(self.key(), state)
        return state

    def _changed_registry(self, state: RegistryState) -> Document:
        now = self.clock()
        self.store.put(self.key(), replace(state, updated_at=now))
        done = Operation(self.new_id(now), now)
        self.store.put(self.key(name=done.id), done)
        return {
            "registry": self._registry_document(replace(state, updated_at=now)),
            "operation": operation_document(done.id, self.location(), now),
        }

    def _registry_document(self, state: RegistryState) -> Document:
        return registry_document(state, self.location())

    # Neighbours: enforced blocks, operations, organizations and projects

    @operation()
    def get_enforced_blocks_by_bucket(self, bucket: str) -> Document:
        """GetEnforcedBlocksByBucket: there are none here; Packer asks once per run."""
        self.bucket(bucket)
        return {"enforced_block_detail": []}

    @operation(inactive=True)
    def get_operation(self, operation_id: str) -> Document:
        """Get and Wait of the operation service: each operation is done."""
        done = self.store.get(Operation, self.key(name=operation_id))
        if done is None:
            raise not_found(f"operation {operation_id} does not exist.")
        return {"operation": operation_document(done.id, self.location(), done.created_at)}

    def list_organizations(self, request: PageRequest = FIRST_PAGE) -> Document:
        """OrganizationService_List: the one organization."""
        shown, pagination = page([self._organization()], request, self.switches)
        return {"organizations": list(shown), "pagination": pagination}

    def get_organization(self, organization_id: str) -> Document:
        """OrganizationService_Get."""
        if organization_id != self.tenancy.organization_id:
            raise not_found(f"organization {organization_id} does not exist.")
        return {"organization": self._organization()}

    def list_projects(self, scope_id: str, scope_type: str, request: PageRequest = FIRST_PAGE) -> Document:
        """ProjectService_List: the projects of an organization."""
        if scope_type != "ORGANIZATION":
            raise invalid("scope.type must be ORGANIZATION.")
        if scope_id != self.tenancy.organization_id:
            raise denied(f"The organization {scope_id} is not known or not accessible.")
        shown, pagination = page(self.tenancy.projects, request, self.switches)
        return {"projects": [self._project(project) for project in shown], "pagination": pagination}

    def get_project(self, project_id: str) -> Document:
        """ProjectService_Get: ``parent.id`` is the organization."""
        for project in self.tenancy.projects:
            if project.id == project_id:
                return {"project": self._project(project)}
        raise not_found(f"project {project_id} does not exist.")

    def _organization(self) -> Document:
        return {
            "id": self.tenancy.organization_id,
            "name": self.tenancy.organization_name,
            "created_at": stamp(min(project.created_at for project in self.tenancy.projects), 3),
            "owner": {"user": "local-owner"},
            "state": "ACTIVE",
        }

    def _project(self, project: Project) -> Document:
        return {
            "id": project.id,
            "name": project.name,
            "description": "",
            "created_at": stamp(project.created_at, 3),
            "parent": {"id": self.tenancy.organization_id, "type": "ORGANIZATION"},
            "state": "ACTIVE",
        }


__all__ = ["Caller", "Project", "Refusal", "RegistryModel", "Tenancy"]
