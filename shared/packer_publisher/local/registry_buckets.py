"""The rules of buckets: a bucket is born with its managed channel ``latest``."""

from __future__ import annotations

from dataclasses import replace

from packer_publisher.local import registry_bodies as read
from packer_publisher.local.registry_bodies import Body
from packer_publisher.local.registry_documents import Document, bucket_document
from packer_publisher.local.registry_ledger import LATEST, SERVICE, Ledger, operation
from packer_publisher.local.registry_pages import BUCKET_ORDER, FIRST_PAGE, PageRequest, ordered, page
from packer_publisher.local.registry_records import Bucket, Channel, Earlier, Version, VersionPlace
from packer_publisher.local.registry_refusals import exists


class Buckets(Ledger):
    """Operations on buckets."""

    @operation(writes=True)
    def create_bucket(self, body: Body) -> Document:
        """CreateBucket: 409/6 where it exists."""
        name = read.checked_name("bucket", read.text(body, "name"))
        description = read.text(body, "description")
        labels = read.labels(body, "labels", self.switches)
        if self.store.get(Bucket, self.key(name)) is not None:
            raise exists(f"Error: The bucket with identifier {name} already exists.")
        now = self.clock()
        bucket = Bucket(self.new_id(now), name, description, labels, now, now)
        self.put_bucket(bucket)
        latest = Channel(self.new_id(now), name, LATEST, SERVICE, now, now, managed=True, restricted=True)
        self.store.put(self.key(name, LATEST), latest)
        return {"bucket": self._document(bucket)}

    @operation()
    def get_bucket(self, name: str) -> Document:
        """GetBucket: 404/5 where it is missing."""
        return {"bucket": self._document(self.bucket(name))}

    @operation()
    def list_buckets(self, request: PageRequest = FIRST_PAGE) -> Document:
        """ListBuckets, by name unless ``order_by`` says otherwise."""
        names = [bucket.name for bucket in self.store.scan(Bucket, self.project)]
        buckets = ordered([self.bucket(name) for name in sorted(names)], request, BUCKET_ORDER)
        shown, pagination = page(buckets, request, self.switches)
        return {"buckets": [self._document(bucket) for bucket in shown], "pagination": pagination}

    @operation(writes=True)
    def update_bucket(self, name: str, body: Body) -> Document:
        """UpdateBucket: there is no update mask; ``platforms`` follow the latest version whatever is sent."""
        bucket = self.bucket(name)
        description = read.text(body, "description")
        labels = read.labels(body, "labels", self.switches)
        if labels and self.switches.bucket_labels_on_update == "merge":
            labels = {**bucket.labels, **labels}
        if self.switches.bucket_patch_omitted == "keep":
            description = description or bucket.description
            labels = labels or dict(bucket.labels)
        if (description, labels) != (bucket.description, bucket.labels):
            bucket = replace(bucket, description=description, labels=labels, updated_at=self.clock())
            self.put_bucket(bucket)
        return {"bucket": self._document(bucket)}

    @operation(writes=True)
    def delete_bucket(self, name: str) -> Document:
        """DeleteBucket: its versions, builds and channels go with it."""
        bucket = self.bucket(name)
        for version in self.store.scan(Version, self.project, name):
            self.forget_version(version)
            self.store.delete(Earlier, self.key(name, version.fingerprint))
        for channel in self.store.scan(Channel, self.project, name):
            self.store.delete(Channel, self.key(name, channel.name))
        self.store.delete(Bucket, self.key(bucket.name))
        return {}

    def forget_version(self, version: Version) -> None:
        """Remove a version's record and what points to it from its parents."""
        for build in version.builds:
            parent = self.version_by_id(build.parent_version_id) if build.parent_version_id else None
            if parent is not None:
                children = tuple(child for child in parent.children if child != version.id)
                self.put_version(replace(parent, children=children))
        self.store.delete(VersionPlace, self.key(name=version.id))
        self.store.delete(Version, self.key(version.bucket, version.fingerprint))

    def _document(self, bucket: Bucket) -> Document:
        channel = self.channel(bucket.name, LATEST)
        latest = None
        if channel.fingerprint:
            latest = self.store.get(Version, self.key(bucket.name, channel.fingerprint))
        document = bucket_document(
            bucket,
            self.location(),
            None
            if latest is None
            else self.version_document(latest, builds=self.switches.latest_version_carries_builds),
            [] if latest is None else sorted({build.platform for build in latest.builds if build.platform}),
        )
        document["parents"] = {
            "href": self.href(f"buckets/{bucket.name}/ancestry?type=ANCESTRY_TYPE_PARENTS"),
            "status": "UNDETERMINED" if latest is None else self.parents_status(latest),
        }
        document["children"] = {
            "href": self.href(f"buckets/{bucket.name}/ancestry?type=ANCESTRY_TYPE_CHILDREN"),
            "status": self.children_status(bucket),
        }
        return document

    def children_status(self, bucket: Bucket) -> str:
        """Return how current a bucket's children are; the model provides it."""
        raise NotImplementedError
