"""The rules of channels: ``latest`` is the service's own; all others point at complete versions only."""

from __future__ import annotations

from dataclasses import replace

from packer_publisher.local import registry_bodies as read
from packer_publisher.local.registry_bodies import Body
from packer_publisher.local.registry_builds import Builds
from packer_publisher.local.registry_documents import Document, stamp
from packer_publisher.local.registry_ledger import coded, operation
from packer_publisher.local.registry_pages import FIRST_PAGE, PageRequest, page
from packer_publisher.local.registry_records import Channel, Version
from packer_publisher.local.registry_refusals import exists, invalid, invalid_field, precondition

CHANNEL_MASK = ("versionFingerprint", "restricted")


class Channels(Builds):
    """Operations on channels."""

    @operation(writes=True)
    def create_channel(self, bucket: str, body: Body) -> Document:
        """CreateChannel: 409/6 where it exists, ``latest`` included."""
        self.bucket(bucket)
        name = read.checked_name("channel", read.text(body, "name"))
        restricted = read.flag(body, "restricted")
        fingerprint = read.text(body, "version_fingerprint")
        if self.store.get(Channel, self.key(bucket, name)) is not None:
            raise exists(f"Error: The channel with identifier {name} already exists.")
        if fingerprint:
            self._assignable(bucket, fingerprint)
        now = self.clock()
        channel = Channel(self.new_id(now), bucket, name, self.caller.name, now, now, restricted=restricted)
        channel = self.assign(channel, fingerprint, self.caller.name, now)
        return {"channel": self.channel_document(channel)}

    @operation()
    def get_channel(self, bucket: str, name: str) -> Document:
        """GetChannel: 404/5 where it is missing, 403/7 where it is restricted and the caller may not write."""
        self.bucket(bucket)
        return {"channel": self.channel_document(self.visible_channel(bucket, name))}

    @operation()
    def list_channels(self, bucket: str) -> Document:
        """ListChannels: no pages; restricted ones are left out for those who may not write."""
        self.bucket(bucket)
        channels = sorted(self.store.scan(Channel, self.project, bucket), key=lambda channel: channel.id)
        visible = [channel for channel in channels if self.caller.may_write or not channel.restricted]
        return {"channels": [self.channel_document(channel) for channel in visible]}

    @operation(writes=True)
    def update_channel(self, bucket: str, name: str, body: Body) -> Document:
        """UpdateChannel: the mask is required, and a field that it names but the body lacks is set to zero."""
        self.bucket(bucket)
        mask = read.text(body, "update_mask")
        if not mask:
            raise invalid_field("update_mask", "field mask: must be set")
        channel = self.channel(bucket, name)
        fields = set(mask.split(","))
        unknown = fields - set(CHANNEL_MASK)
        if unknown:
            raise invalid_field("update_mask", f"field mask: {min(unknown)!r} is not known")
        now = self.clock()
        if "versionFingerprint" in fields:
            if channel.managed:
                raise precondition(
                    f'Can\'t update channel assignment on channel "{name}". This channel is managed by HCP Packer'
                )
            fingerprint = read.text(body, "version_fingerprint")
            if fingerprint:
                self._assignable(bucket, fingerprint)
            channel = self.assign(channel, fingerprint, self.caller.name, now)
        if "restricted" in fields:
            channel = replace(channel, restricted=read.flag(body, "restricted"), updated_at=now)
            self.store.put(self.key(bucket, name), channel)
        return {"channel": self.channel_document(channel)}

    @operation(writes=True)
    def delete_channel(self, bucket: str, name: str) -> Document:
        """DeleteChannel: 400/3 for a managed one."""
        self.bucket(bucket)
        channel = self.channel(bucket, name)
        if channel.managed:
            raise invalid(f"Can't delete managed channel {name}, it's controlled by HCP Packer")
        self.store.delete(Channel, self.key(bucket, name))
        return {}

    @operation(writes=True)
    def assign_channel_version(self, bucket: str, body: Body) -> Document:
        """AssignChannelVersion: copy one channel's assignment to another."""
        self.bucket(bucket)
        source = self.channel(bucket, read.text(body, "source_channel"))
        target = self.channel(bucket, read.text(body, "target_channel"))
        if target.managed:
            raise precondition(f"Cannot assign to managed channel '{target.name}'")
        if not source.fingerprint:
            raise precondition(f"Channel {source.name} has no version assigned.")
        version = self._assignable(bucket, source.fingerprint)
        target = self.assign(target, version.fingerprint, self.caller.name, self.clock())
        return {
            "source_channel": self.channel_document(source),
            "target_channel": self.channel_document(target),
            "version": self.version_document(version),
            "fingerprint": version.fingerprint,
        }

    @operation()
    def list_channel_history(self, bucket: str, name: str, request: PageRequest = FIRST_PAGE) -> Document:
        """ListChannelAssignmentHistory, newest first; a version that was deleted since is null."""
        self.bucket(bucket)
        lines = tuple(reversed(self.visible_channel(bucket, name).history))
        shown, pagination = page(lines, request, self.switches)
        history = []
        for line in shown:
            version = self.store.get(Version, self.key(bucket, line.fingerprint))
            history.append(
                {
                    "assigned_at": stamp(line.assigned_at),
                    "author_id": line.author,
                    "version": None if version is None else self.version_document(version),
                }
            )
        return {"history": history, "count": len(lines), "pagination": pagination}

    def _assignable(self, bucket: str, fingerprint: str) -> Version:
        version = self.find_version(bucket, fingerprint)
        if version is None:
            # Terraform's provider tests match this text (hashicorp/terraform-provider-hcp).
            raise coded(
                self.switches.assign_unknown_version,
                f"version with fingerprint (fingerprint: {fingerprint}) does not exist.",
            )
        if not version.complete:
            raise coded(
                self.switches.assign_incomplete_version,
                f"version with fingerprint (fingerprint: {fingerprint}) is not complete.",
            )
        if version.revoked:
            raise precondition(f"version with fingerprint (fingerprint: {fingerprint}) is revoked.")
        return version
