"""Putting the parts together: what the functions and the command line hand to the registry client."""

from __future__ import annotations

import json
from pathlib import Path

from packer_publisher.deadline import Deadline
from packer_publisher.image import Platform
from packer_publisher.local.registry_tokens import WRITER
from packer_publisher.runtime import close_publishers, open_publisher
from tests.publishing import service

CONFIG = '{"buckets": {"*": {}}}'


def test_the_default_credential_file_and_any_variable_reach_the_client(tmp_path: Path) -> None:
    """HashiCorp's tools read ~/.config/hcp/cred_file.json; a workload's token may be in any variable."""
    with service() as at:
        at.bucket()
        environ = {**at.registry.environment(), "PUBLISHER_CONFIG": CONFIG, "HOME": str(tmp_path)}
        del environ["HCP_CLIENT_ID"], environ["HCP_CLIENT_SECRET"]
        file = tmp_path / ".config" / "hcp" / "cred_file.json"
        file.parent.mkdir(parents=True)
        oauth = {"client_id": WRITER.id, "client_secret": WRITER.secret}
        file.write_text(json.dumps({"scheme": "service_principal_creds", "oauth": oauth}))
        try:
            registry = open_publisher(Platform.AWS, environ).registry
            assert registry.get_bucket("web", Deadline.after(10)).exists
        finally:
            close_publishers()


def test_one_publisher_per_entry_point_and_environment() -> None:
    """A warm function keeps its connections, its token and what it has learned."""
    environ = {"PUBLISHER_CONFIG": CONFIG}
    try:
        first = open_publisher(Platform.AWS, environ)
        assert first is open_publisher(Platform.AWS, dict(environ))
        assert first is not open_publisher(Platform.AZURE, environ)
        assert first is not open_publisher(Platform.AWS, {**environ, "PUBLISHER_QUIET": "1h"})
    finally:
        close_publishers()
