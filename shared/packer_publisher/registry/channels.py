"""Channels: which version each name of a bucket points to."""

from __future__ import annotations

from typing import Any

from packer_publisher.deadline import Deadline
from packer_publisher.registry import decoding
from packer_publisher.registry.operations import ABSENT, Operations, bucket_place, channel_place, ignored
from packer_publisher.registry.records import Assignment
from packer_publisher.registry.transport import Reply
from packer_publisher.snapshot import Channel


class ChannelOperations(Operations):
    """What concerns the channels of one bucket."""

    def list_channels(self, bucket: str, deadline: Deadline, project: str | None = None) -> tuple[Channel, ...]:
        """Return the channels of a bucket, without restricted ones that the credentials may not see."""
        place = bucket_place(bucket).inside("channels")
        return self._list("ListChannels", place, "channels", decoding.channel, deadline, project)

    def get_channel(self, bucket: str, channel: str, deadline: Deadline, project: str | None = None) -> Channel | None:
        """Return the channel, or None when there is none."""
        return self._read(
            "GetChannel",
            channel_place(bucket, channel),
            lambda reply: None if reply.document is None else _channel(reply),
            deadline,
            project,
            ABSENT,
        )

    def create_channel(
        self,
        bucket: str,
        channel: str,
        deadline: Deadline,
        project: str | None = None,
        *,
        version_fingerprint: str = "",
        restricted: bool = False,
    ) -> Channel:
        """Create and return a channel; RegistryRefused with code 6 when there is one."""
        body: dict[str, Any] = {"name": channel, "restricted": restricted}
        if version_fingerprint:
            body["version_fingerprint"] = version_fingerprint
        place = channel_place(bucket, channel).at(bucket_place(bucket).inside("channels"))
        return self._write("CreateChannel", "POST", place, body, _channel, deadline, project)

    def update_channel(
        self,
        bucket: str,
        channel: str,
        deadline: Deadline,
        project: str | None = None,
        *,
        version_fingerprint: str | None = None,
        restricted: bool | None = None,
    ) -> Channel:
        """Point the channel to a complete version ("" to none) or set its restriction, and return it.

        What is None is left as it is: HCP changes exactly what ``update_mask`` names, and insists on one. Raises
        ValueError when nothing is to be changed.
        """
        changes: dict[str, tuple[str, Any]] = {}
        if version_fingerprint is not None:
            changes["version_fingerprint"] = ("versionFingerprint", version_fingerprint)
        if restricted is not None:
            changes["restricted"] = ("restricted", restricted)
        if not changes:
            raise ValueError("update_channel needs version_fingerprint or restricted")
        body: dict[str, Any] = {key: value for key, (_mask, value) in changes.items()}
        body["update_mask"] = ",".join(mask for mask, _value in changes.values())
        place = channel_place(bucket, channel)
        return self._write("UpdateChannel", "PATCH", place, body, _channel, deadline, project)

    def delete_channel(self, bucket: str, channel: str, deadline: Deadline, project: str | None = None) -> None:
        """Delete the channel; RegistryRefused with code 5 if there is none, with code 3 for a managed one."""
        place = channel_place(bucket, channel)
        self._write("DeleteChannel", "DELETE", place, None, ignored, deadline, project)

    def channel_history(
        self, bucket: str, channel: str, deadline: Deadline, project: str | None = None
    ) -> tuple[Assignment, ...]:
        """Return what the channel pointed to, newest first."""
        place = channel_place(bucket, channel).inside("history")
        return self._list("ListChannelAssignmentHistory", place, "history", decoding.assignment, deadline, project)

    def assign(self, bucket: str, source: str, target: str, deadline: Deadline, project: str | None = None) -> Channel:
        """Point the target channel to what the source channel points to, and return the target."""
        place = bucket_place(bucket).inside("channels", "assign", words=f"channel {source!r} to {target!r}")
        body = {"source_channel": source, "target_channel": target}

        def decode(reply: Reply) -> Channel:
            return decoding.channel(decoding.member(reply.body, "target_channel"))

        return self._write("AssignChannelVersion", "POST", place, body, decode, deadline, project)


def _channel(reply: Reply) -> Channel:
    return decoding.channel(decoding.member(reply.body, "channel"))
