"""The HCP Packer registry over HTTP: settings as HashiCorp reads them, tokens, calls, errors."""

from __future__ import annotations

from packer_publisher.registry.client import HCPPacker
from packer_publisher.registry.environment import Environment, read_environment
from packer_publisher.registry.records import (
    Assignment,
    Complete,
    RegistryState,
    Relation,
    Restore,
    Revoke,
    VersionChange,
    VersionName,
)

__all__ = [
    "Assignment",
    "Complete",
    "Environment",
    "HCPPacker",
    "RegistryState",
    "Relation",
    "Restore",
    "Revoke",
    "VersionChange",
    "VersionName",
    "read_environment",
]
