"""The rules of revocation: descendants inherit it, channels roll back, restoring does not move them forward."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from packer_publisher.local import registry_bodies as read
from packer_publisher.local.registry_bodies import Body
from packer_publisher.local.registry_channels import Channels
from packer_publisher.local.registry_documents import Document, operation_document
from packer_publisher.local.registry_ledger import LATEST, SERVICE, operation
from packer_publisher.local.registry_records import Channel, Operation, Version
from packer_publisher.local.registry_refusals import invalid, precondition


class Revocation(Channels):
    """UpdateVersion, and what follows from it."""

    @operation(writes=True)
    def update_version(self, bucket: str, fingerprint: str, body: Body) -> Document:
        """UpdateVersion: revoke (now or later), restore, or complete a version."""
        version = self.version_for_builds(bucket, fingerprint)
        at = read.moment(body, "revoke_at")
        delay = read.duration(body, "revoke_in")
        if at is not None and delay is not None:
            raise invalid("revoke_at and revoke_in exclude each other.")
        now = self.clock()
        if read.flag(body, "restore"):
            return self._answer(self._restored(version))
        if read.flag(body, "complete"):
            return self._answer(self._completed(version, now))
        if delay is not None:
            try:
                at = now + delay
            except OverflowError:
                raise invalid("revoke_in is too long.") from None
        if at is None:
            return self._answer(version)
        if not version.complete:
            raise precondition("This version is not complete and can not be revoked.")
        if version.revoked:
            raise precondition("This version is revoked and can only be restored.")
        after = replace(
            version,
            revoke_at=max(at, now),
            revocation_message=read.text(body, "revocation_message"),
            revocation_author=self.caller.name,
            skip_descendants=read.flag(body, "skip_descendants_revocation"),
            keep_channels=read.flag(body, "disable_rollback_channels"),
            updated_at=now,
        )
        self.save_version(after, version)
        if at > now:
            self.wake(bucket, at)
            return self._answer(after)
        self.revoke_now(after, now)
        done = Operation(self.new_id(now), now)
        self.store.put(self.key(name=done.id), done)
        return self._answer(self.stored_version(bucket, fingerprint), done)

    def _answer(self, version: Version, done: Operation | None = None) -> Document:
        running = None
        if done is not None:
            running = operation_document(done.id, self.location(), done.created_at)
        return {"version": self.version_document(version, metadata=True), "operation": running}

    def revoke_now(self, version: Version, at: datetime) -> None:
        """Revoke a version, its descendants unless told otherwise, and roll the channels back."""
        version = replace(version, revoked=True)
        self.put_version(version)
        revoked = [version]
        queue = [] if version.skip_descendants else list(version.children)
        while queue:
            child = self.version_by_id(queue.pop())
            if child is None or child.revoked:
                continue
            child = replace(
                child,
                revoked=True,
                revoke_at=at,
                revocation_message=version.revocation_message,
                revocation_author=version.revocation_author,
                revoked_with=version.id,
            )
            self.put_version(child)
            revoked.append(child)
            queue.extend(child.children)
        for gone in revoked:
            for channel in self.store.scan(Channel, self.project, gone.bucket):
                if channel.fingerprint == gone.fingerprint and (channel.managed or not version.keep_channels):
                    self.roll_back(channel, at)

    def roll_back(self, channel: Channel, at: datetime) -> None:
        """Point a channel at the last valid version that it had; ``latest`` at the newest valid one."""
        target: Version | None = None
        if channel.name == LATEST:
            target = self.newest_valid(channel.bucket)
        else:
            for line in reversed(channel.history):
                candidate = self.store.get(Version, self.key(channel.bucket, line.fingerprint))
                if candidate is not None and candidate.complete and not candidate.revoked:
                    target = candidate
                    break
        if target is not None:
            self.assign(channel, target.fingerprint, SERVICE, at)
            return
        gone = self.store.get(Version, self.key(channel.bucket, channel.fingerprint)) is None
        if gone or self.switches.revocation_without_target == "unassign":
            self.assign(channel, "", SERVICE, at)

    def _restored(self, version: Version) -> Version:
        if version.revoke_at is None:
            # The blank at the end is the live service's own.
            raise precondition(
                "Restoring does not apply. This version is valid and it is not scheduled to be revoked. "
            )
        if version.revoked_with:
            raise precondition("This version inherited its revocation. Please, restore the ancestor instead.")
        after = self._cleared(version)
        self.save_version(after, version)
        queue = list(version.children)
        while queue:
            child = self.version_by_id(queue.pop())
            if child is not None and child.revoked_with == version.id:
                self.put_version(self._cleared(child))
                queue.extend(child.children)
        return after

    def _cleared(self, version: Version) -> Version:
        return replace(
            version,
            revoked=False,
            revoke_at=None,
            revocation_message="",
            revocation_author="",
            revoked_with="",
            skip_descendants=False,
            keep_channels=False,
            updated_at=self.clock(),
        )

    def _completed(self, version: Version, now: datetime) -> Version:
        if self.switches.update_complete_flag == "refuse":
            raise invalid("complete can not be set.")
        if self.switches.update_complete_flag == "ignore" or version.complete:
            return version
        if not version.builds or any(build.status != "BUILD_DONE" for build in version.builds):
            raise precondition("This version has builds that are not done.")
        after = self.complete(version, now)
        self.save_version(after, version)
        return after
