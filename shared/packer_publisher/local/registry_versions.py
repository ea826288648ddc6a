"""The rules of versions: ``v0`` until complete, unknown ones are 409 with code 10, deletion moves ``latest``."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from packer_publisher.local import registry_bodies as read
from packer_publisher.local.registry_bodies import Body
from packer_publisher.local.registry_buckets import Buckets
from packer_publisher.local.registry_documents import Document
from packer_publisher.local.registry_ledger import coded, operation
from packer_publisher.local.registry_pages import FIRST_PAGE, VERSION_ORDER, PageRequest, ordered, page
from packer_publisher.local.registry_records import Bucket, Channel, Earlier, Version, VersionPlace
from packer_publisher.local.registry_refusals import Refusal, aborted, exists, not_found, precondition

TEMPLATE_TYPES = ("TEMPLATE_TYPE_UNSET", "HCL2", "JSON")


def unknown_version(fingerprint: str) -> Refusal:
    """Return what GetVersion says of an unknown fingerprint: Packer creates a version on code 10 only.

    hashicorp/packer, internal/hcp/registry/types.bucket.go.
    """
    return aborted(f"Version with fingerprint {fingerprint} not found")


class Versions(Buckets):
    """Operations on versions, but for revocation."""

    @operation(writes=True)
    def create_version(self, bucket: str, body: Body) -> Document:
        """CreateVersion: 404/5 without the bucket, 409/6 where the bucket has the fingerprint already."""
        fingerprint = read.checked_fingerprint(read.text(body, "fingerprint"))
        template = read.word(body, "template_type", TEMPLATE_TYPES, self.switches)
        home = self.bucket(bucket)
        if self.store.get(Version, self.key(bucket, fingerprint)) is not None:
            raise exists(f"Error: The version with identifier {fingerprint} already exists.")
        now = self.clock()
        version = Version(self.new_id(now), bucket, fingerprint, self.caller.name, template, now, now)
        self.save_version(version, None)
        self.store.put(self.key(name=version.id), VersionPlace(bucket, fingerprint))
        self.put_bucket(replace(home, versions=home.versions + 1))
        return {"version": self.version_document(version, metadata=True)}

    def get_version(self, bucket: str, fingerprint: str) -> Document:
        """GetVersion: 409/10 for an unknown fingerprint; once behind the latest write where reads are stale."""
        document = self._read_version(bucket, fingerprint)
        if document is None:
            # Outside of the operation: a stale read is used up although it ends in a refusal.
            raise unknown_version(fingerprint)
        return {"version": document}

    @operation()
    def _read_version(self, bucket: str, fingerprint: str) -> Document | None:
        missing = self.store.get(Bucket, self.key(bucket)) is None
        if missing and self.switches.get_version_in_missing_bucket == "409/10":
            return None
        self.bucket(bucket)
        version = self.find_version(bucket, fingerprint)
        if self.switches.read_after_write == "stale":
            earlier = self.store.get(Earlier, self.key(bucket, fingerprint))
            if earlier is not None:
                self.store.delete(Earlier, self.key(bucket, fingerprint))
                version = earlier.version
        return None if version is None else self.version_document(version, metadata=True)

    @operation()
    def list_versions(self, bucket: str, request: PageRequest = FIRST_PAGE) -> Document:
        """ListVersions, newest first unless ``order_by`` says otherwise."""
        self.bucket(bucket)
        found = self.store.scan(Version, self.project, bucket)
        found.sort(key=lambda version: version.id, reverse=True)
        versions = [self.find_version(bucket, version.fingerprint) or version for version in found]
        shown, pagination = page(ordered(versions, request, VERSION_ORDER), request, self.switches)
        carry = self.switches.list_versions_carry_builds
        return {
            "versions": [self.version_document(version, builds=carry) for version in shown],
            "pagination": pagination,
        }

    @operation(writes=True)
    def delete_version(self, bucket: str, fingerprint: str, *, rollback_channels: bool = False) -> Document:
        """DeleteVersion: 404/5 (not 409/10) where unknown, 400/9 while a user's channel points to it."""
        home = self.bucket(bucket)
        version = self.find_version(bucket, fingerprint)
        if version is None:
            raise not_found(f"Error: The version with identifier {fingerprint} does not exist.")
        channels = [
            channel for channel in self.store.scan(Channel, self.project, bucket) if channel.fingerprint == fingerprint
        ]
        assigned = sorted(channel.name for channel in channels if not channel.managed)
        if assigned and not rollback_channels:
            raise precondition(
                f"Version is assigned by channels: {', '.join(assigned)}. "
                "Please, remove the channels assignment before deleting the version."
            )
        self.save_version(None, version)
        self.forget_version(version)
        now = self.clock()
        self.put_bucket(replace(home, versions=home.versions - 1))
        for channel in channels:
            self.roll_back(channel, now)
        return {}

    def roll_back(self, channel: Channel, at: datetime) -> None:
        """Point a channel at its last valid version; provided with revocation."""
        raise NotImplementedError

    def version_for_builds(self, bucket: str, fingerprint: str) -> Version:
        """Return the version whose builds are asked for; what an unknown one gives is a switch."""
        self.bucket(bucket)
        version = self.find_version(bucket, fingerprint)
        if version is None:
            raise coded(self.switches.builds_of_unknown_version, f"Version with fingerprint {fingerprint} not found")
        return version

    def newest_valid(self, bucket: str) -> Version | None:
        """Return the valid complete version with the highest number: where ``latest`` belongs."""
        versions = self.store.scan(Version, self.project, bucket)
        valid = [version for version in versions if version.complete and not version.revoked]
        return max(valid, key=lambda version: version.number, default=None)
