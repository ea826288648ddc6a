"""Buckets, their ancestry, the search by image, and the registry itself."""

from __future__ import annotations

from dataclasses import replace

from packer_publisher.deadline import Deadline
from packer_publisher.errors import RegistryRefused
from packer_publisher.registry import decoding
from packer_publisher.registry.operations import ABSENT, BUCKETS, REGISTRY, Operations, bucket_place, ignored, inactive
from packer_publisher.registry.records import RegistryState, Relation
from packer_publisher.registry.transport import FAILED_PRECONDITION, NOT_FOUND
from packer_publisher.snapshot import Bucket, FoundArtifact

Labels = tuple[tuple[str, str], ...]


class BucketOperations(Operations):
    """What concerns one bucket or all of them."""

    def get_registry(self, deadline: Deadline, project: str | None = None) -> RegistryState | None:
        """Return the state of the project's registry, None where HCP says that there is none."""
        return self._read(
            "GetRegistry",
            REGISTRY.inside("registry"),
            lambda reply: (
                None
                if reply.document is None or reply.document.get("registry") is None
                else replace(decoding.registry_state(decoding.member(reply.document, "registry")), at=reply.at)
            ),
            deadline,
            project,
            ABSENT,
        )

    def is_active(self, deadline: Deadline, project: str | None = None) -> bool:
        """Return whether the project has a registry that is active.

        What HCP answers to other calls where it is not is not documented, so whoever must know asks for it.
        """
        state = self.get_registry(deadline, project)
        return state is not None and state.activated

    def get_bucket(self, bucket: str, deadline: Deadline, project: str | None = None) -> Bucket:
        """Return the bucket; 404 with code 5 gives one with ``exists=False``."""
        return self._read(
            "GetBucket",
            bucket_place(bucket),
            lambda reply: (
                Bucket(bucket, exists=False)
                if reply.document is None
                else decoding.bucket(decoding.member(reply.document, "bucket"), bucket)
            ),
            deadline,
            project,
            ABSENT,
        )

    def create_bucket(
        self, bucket: str, description: str, labels: Labels, deadline: Deadline, project: str | None = None
    ) -> Bucket:
        """Create and return the bucket.

        Raises RegistryRefused with code 6 when there is one. "Not found" and "failed precondition" can only mean the
        project's registry here; people activate registries, so they are RegistryTrouble.
        """
        try:
            return self._write(
                "CreateBucket",
                "PUT",
                bucket_place(bucket).at(BUCKETS),
                {"name": bucket, "description": description, "labels": dict(labels)},
                lambda reply: decoding.bucket(decoding.member(reply.body, "bucket"), bucket),
                deadline,
                project,
            )
        except RegistryRefused as error:
            if error.code not in (NOT_FOUND, FAILED_PRECONDITION):
                raise
            raise inactive(error) from error

    def update_bucket(
        self, bucket: str, description: str, labels: Labels, deadline: Deadline, project: str | None = None
    ) -> Bucket:
        """Write description and labels and return the bucket; both always, because no update mask exists."""
        return self._write(
            "UpdateBucket",
            "PATCH",
            bucket_place(bucket),
            {"description": description, "labels": dict(labels)},
            lambda reply: decoding.bucket(decoding.member(reply.body, "bucket"), bucket),
            deadline,
            project,
        )

    def delete_bucket(self, bucket: str, deadline: Deadline, project: str | None = None) -> None:
        """Delete the bucket with its versions, builds and channels; RegistryRefused with code 5 if there is none."""
        self._write("DeleteBucket", "DELETE", bucket_place(bucket), None, ignored, deadline, project)

    def list_buckets(self, deadline: Deadline, project: str | None = None) -> tuple[Bucket, ...]:
        """Return all buckets of the project."""
        return self._list("ListBuckets", BUCKETS, "buckets", decoding.bucket, deadline, project)

    def bucket_ancestry(
        self,
        bucket: str,
        deadline: Deadline,
        project: str | None = None,
        *,
        children: bool = False,
        channel: str = "",
        fingerprint: str = "",
    ) -> tuple[Relation, ...]:
        """Return what the bucket's versions were built from or, with ``children``, what was built from them."""
        query = (
            ("type", "ANCESTRY_TYPE_CHILDREN" if children else "ANCESTRY_TYPE_PARENTS"),
            ("channel_name", channel),
            ("version_fingerprint", fingerprint),
        )
        return self._list(
            "ListBucketAncestry",
            bucket_place(bucket).inside("ancestry"),
            "relations",
            decoding.relation,
            deadline,
            project,
            query=[(key, value) for key, value in query if value],
        )

    def search_artifact(
        self,
        external_identifier: str,
        platform: str,
        deadline: Deadline,
        project: str | None = None,
        *,
        limit: int | None = None,
    ) -> tuple[FoundArtifact, ...]:
        """Return where an image is registered in the project, at most ``limit`` places.

        How soon after a write, and whether HCP compares identifiers without case, is not documented.
        """
        wanted = {"external_identifier": external_identifier, "platform": platform}
        return self._list(
            "SearchExternalArtifact",
            REGISTRY.inside("_search", "external_artifact", words=f"image {external_identifier!r}"),
            "artifacts",
            decoding.found_artifact,
            deadline,
            project,
            method="POST",  # a read all the same: it is repeated like one
            body={key: value for key, value in wanted.items() if value},
            limit=limit,
        )
