"""A registry in which there is something of everything, for whoever asks it at random."""

from __future__ import annotations

from packer_publisher.local.registry_switches import Switches
from tests.local.worlds import BUCKET, World

PROVIDER = "iam/project/p/service-principal/sp/workload-identity-provider/github"


class Populated:
    """A registry in which there is something of everything; ``known`` says what, by the path parameter's name."""

    def __init__(self, switches: Switches) -> None:
        self.world = World(**switches.deviations())
        model = self.model = self.world.model
        parent = self._completed("revoked", "ami-0")
        self._completed("heir", "ami-3", parent_version_id=parent)
        model.update_version(BUCKET, "revoked", {"revoke_in": "0s", "revocation_message": "CVE-2026-1"})
        self.sealed = self._completed("sealed", "ami-1")
        open_builds = self.world.version("open", "amazon-ebs", "azure-arm", "googlecompute")
        running, _, done = open_builds
        begun = {"status": "BUILD_RUNNING", "labels": {"a": "b"}, "metadata": {"vcs": {"type": "git"}}}
        self.world.update(running, "open", parent_version_id=self.sealed, **begun)
        model.upload_sbom(BUCKET, "open", running, {"compressed_sbom": "KLUv/SAA", "name": "packages"})
        self._fill(done, "open", "ami-2")
        model.create_channel(BUCKET, {"name": "free"})
        model.create_channel(BUCKET, {"name": "prod", "version_fingerprint": "sealed"})
        operation = model.update_registry({})["operation"]["id"]
        self.known: dict[str, list[str]] = {
            "bucket": [BUCKET],
            "fingerprint": ["open", "sealed"],
            "build": open_builds,
            "channel": ["free", "prod", "latest"],
            "operation": [operation],
            "id": [model.tenancy.organization_id, model.project],
            "provider": [PROVIDER],
        }

    def _completed(self, fingerprint: str, identifier: str, **fields: str) -> str:
        [build] = self.world.version(fingerprint, "amazon-ebs")
        self._fill(build, fingerprint, identifier, **fields)
        self.world.clock.advance(30)  # a completion may lag
        self.world.get(fingerprint)  # and a read be stale
        version: str = self.world.get(fingerprint)["id"]
        return version

    def _fill(self, build: str, fingerprint: str, identifier: str, **fields: str) -> None:
        self.world.update(build, fingerprint, status="BUILD_RUNNING")
        self.world.done(build, fingerprint, identifier, **fields)
