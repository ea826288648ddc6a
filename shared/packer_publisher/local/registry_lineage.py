"""Ancestry of versions, and the search for a version by an image's identifier."""

from __future__ import annotations

from datetime import timedelta

from packer_publisher.local import registry_bodies as read
from packer_publisher.local.registry_bodies import Body
from packer_publisher.local.registry_documents import Document, build_document
from packer_publisher.local.registry_ledger import LATEST, operation
from packer_publisher.local.registry_pages import FIRST_PAGE, PageRequest, page
from packer_publisher.local.registry_records import Bucket, Build, Channel, Version
from packer_publisher.local.registry_refusals import invalid
from packer_publisher.local.registry_revocation import Revocation

ANCESTRY_TYPES = ("ANCESTRY_TYPE_UNSET", "ANCESTRY_TYPE_PARENTS", "ANCESTRY_TYPE_CHILDREN")


class Lineage(Revocation):
    """ListBucketAncestry and SearchExternalArtifact."""

    @operation()
    def list_ancestry(
        self,
        bucket: str,
        kind: str = "",
        channel: str = "",
        fingerprint: str = "",
        request: PageRequest = FIRST_PAGE,
    ) -> Document:
        """ListBucketAncestry: parents of one version (default: the latest), or children of any version."""
        home = self.bucket(bucket)
        if kind not in ("", *ANCESTRY_TYPES):
            raise invalid(f"type: {kind!r} is not known.")
        relations: list[Document] = []
        if kind != "ANCESTRY_TYPE_CHILDREN":
            version = self._asked_version(bucket, channel, fingerprint)
            relations += [] if version is None else self._parents(version)
        if kind != "ANCESTRY_TYPE_PARENTS":
            relations += self._children(home)
        shown, pagination = page(relations, request, self.switches)
        return {"relations": list(shown), "total_count": len(relations), "pagination": pagination}

    @operation()
    def search_external_artifact(self, body: Body, request: PageRequest = FIRST_PAGE) -> Document:
        """SearchExternalArtifact: an exact match in all buckets of the project, newest version first."""
        identifier = read.text(body, "external_identifier")
        platform, region = read.text(body, "platform"), read.text(body, "region")
        if not identifier:
            raise invalid("external_identifier must be set.")
        for bucket in self.store.scan(Bucket, self.project):
            if bucket.due is not None:
                self.bucket(bucket.name)  # what is due has happened, whoever looks first
        horizon = self.clock() - timedelta(seconds=self.switches.search_lag)
        found = [
            (version, build)
            for version in self.store.scan(Version, self.project)
            for build in version.builds
            if any(
                artifact.external_identifier == identifier
                and region in ("", artifact.region)
                and platform in ("", build.platform)
                and artifact.created_at <= horizon
                for artifact in build.artifacts
            )
        ]
        found.sort(key=lambda hit: (hit[0].id, hit[1].id), reverse=True)
        shown, pagination = page(found, request, self.switches)
        return {"artifacts": [self._hit(version, build) for version, build in shown], "pagination": pagination}

    def parents_status(self, version: Version) -> str:
        """Return OUT_OF_DATE where a parent's channel has moved on, UNDETERMINED without parents."""
        statuses = {relation["status"] for relation in self._parents(version)}
        if not statuses:
            return "UNDETERMINED"
        return "OUT_OF_DATE" if "OUT_OF_DATE" in statuses else "UP_TO_DATE"

    def children_status(self, bucket: Bucket) -> str:
        """Return OUT_OF_DATE where at least one child is, UNDETERMINED without children."""
        statuses = {relation["status"] for relation in self._children(bucket)}
        if not statuses:
            return "UNDETERMINED"
        return "OUT_OF_DATE" if "OUT_OF_DATE" in statuses else "UP_TO_DATE"

    def _asked_version(self, bucket: str, channel: str, fingerprint: str) -> Version | None:
        if fingerprint:
            return self.version_for_builds(bucket, fingerprint)
        assigned = self.visible_channel(bucket, channel) if channel else self.channel(bucket, LATEST)
        return self.store.get(Version, self.key(bucket, assigned.fingerprint))

    def _parents(self, version: Version) -> list[Document]:
        pairs = {
            (build.parent_version_id, build.parent_channel_id) for build in version.builds if build.parent_version_id
        }
        relations = []
        for parent_id, channel_id in sorted(pairs):
            parent = self.version_by_id(parent_id)
            if parent is not None:
                relations.append(self._relation(parent, channel_id, version))
        return relations

    def _children(self, bucket: Bucket) -> list[Document]:
        if not bucket.parent:
            return []
        relations = []
        for parent in sorted(self.store.scan(Version, self.project, bucket.name), key=lambda v: v.id):
            for child_id in parent.children:
                child = self.version_by_id(child_id)
                if child is None:
                    continue
                latest = self.store.get(Channel, self.key(child.bucket, LATEST))
                # A bucket's children are told by their latest complete versions.
                if latest is not None and latest.fingerprint == child.fingerprint:
                    relations += [r for r in self._parents(child) if r["parent"]["version_id"] == parent.id]
        return relations

    def _relation(self, parent: Version, channel_id: str, child: Version) -> Document:
        channels = self.store.scan(Channel, self.project, parent.bucket)
        channel = next((c for c in channels if c.id == channel_id), None) or self.channel(parent.bucket, LATEST)
        current = self.store.get(Version, self.key(parent.bucket, channel.fingerprint))
        return {
            "parent": {
                "bucket_name": parent.bucket,
                "channel_name": channel.name if channel_id else "",
                "channel_version": None
                if current is None
                else {"id": current.id, "fingerprint": current.fingerprint, "name": current.name},
                "version_id": parent.id,
                "version_fingerprint": parent.fingerprint,
                "version_name": parent.name,
            },
            "child": {
                "bucket_name": child.bucket,
                "version_id": child.id,
                "version_fingerprint": child.fingerprint,
                "version_name": child.name,
            },
            "status": "UP_TO_DATE" if current is not None and current.id == parent.id else "OUT_OF_DATE",
        }

    def _hit(self, version: Version, build: Build) -> Document:
        bucket = self.bucket(version.bucket)
        whole = self.version_document(version, builds=False)
        shown = (
            "id",
            "name",
            "fingerprint",
            "status",
            "author_id",
            "revoke_at",
            "revocation_message",
            "revocation_author",
            "revocation_type",
        )
        return {
            "bucket": {"id": bucket.id, "name": bucket.name, "labels": dict(bucket.labels)},
            "version": {key: whole[key] for key in shown},
            "build": build_document(build, version.id, metadata=False),
        }
