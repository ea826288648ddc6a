"""The peak memory of a backfill's process for a number of images: ``python -m tests.bench.backfill_memory IMAGES``.

The registry is a model that knows no version, so that the time goes into what is measured: listing, spooling, looking,
planning, and printing the plan as JSON.
"""

from __future__ import annotations

import resource
import sys
import tempfile
from pathlib import Path

from packer_publisher.backfill.asked import Asked
from packer_publisher.backfill.beginning import claim
from packer_publisher.backfill.journal import Journal
from packer_publisher.backfill.run import Backfill
from packer_publisher.backfill.sums import sums
from packer_publisher.cli.backfill_view import json_pieces
from packer_publisher.deadline import Deadline
from packer_publisher.image import Platform
from packer_publisher.placement import place
from packer_publisher.publish import Publisher
from packer_publisher.snapshot import Bucket, Channel, Version
from tests.bench.backfill import BUCKETS, POLICY, clouds


class Empty:
    """A registry in which nothing is."""

    def list_buckets(self, deadline: Deadline, project: str | None = None) -> tuple[Bucket, ...]:
        return ()

    def get_version(self, bucket: str, fingerprint: str, deadline: Deadline, project: str | None = None) -> Version:
        return Version(bucket, fingerprint)

    def get_channel(self, bucket: str, channel: str, deadline: Deadline, project: str | None = None) -> Channel | None:
        return None


def main() -> None:
    """Plan a backfill and print the peak memory of this process in bytes."""
    images = int(sys.argv[1])
    found = clouds("web", BUCKETS, -(-images // (3 * BUCKETS)))
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder) / "journal.sqlite")
        asked = Asked(tuple(str(platform) for platform in Platform))
        run = Backfill(
            journal, asked, POLICY, lambda image: place(image, POLICY), found, Empty(), lambda: _no_publisher(), 16
        )
        claim(journal, (scope for cloud in found.values() for scope in cloud.scopes(Deadline.after(1))))
        run.list_clouds(lambda *_: None)
        run.look()
        left_out = run.left_out()
        planned = sums(journal, left_out)
        pieces = sum(len(piece) for piece in json_pieces(journal, planned, left_out, dry_run=True, problem=""))
    if planned.images < images or not pieces:
        raise SystemExit(f"only {planned.images} images were planned")
    unit = 1 if sys.platform == "darwin" else 1024
    sys.stdout.write(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit}\n")


def _no_publisher() -> Publisher:
    raise RuntimeError("nothing is written")


if __name__ == "__main__":
    main()
