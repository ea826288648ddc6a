"""The calls of stock clients as tables: what is sent, what must come back, and what the client reads in the answer.

The tables are in replays_packer.py and replays_terraform.py. Each row names the file that says so, of hashicorp/packer
1.16 (revision 856572ec) or of hashicorp/terraform-provider-hcp (revision 47cda409). Names, ids and images are made up.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.local.http_registry import RegistryClient

Document = dict[str, Any]

BUCKET = "golden-ubuntu"
FINGERPRINT = "3f2a9c1b7d04-412"
AWS, AZURE = "amazon-ebs.ubuntu", "azure-arm.ubuntu"
IMAGES: Mapping[str, tuple[str, Sequence[tuple[str, str]]]] = {
    AWS: ("aws", (("ami-ubuntu-eu-west-1", "eu-west-1"), ("ami-ubuntu-us-east-1", "us-east-1"))),
    AZURE: (
        "azure",
        (("/subscriptions/sub-1/resourceGroups/rg/providers/Microsoft.Compute/images/ubuntu", "westeurope"),),
    ),
}
"""Platform and artifacts of the two sources."""

ID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{3,9}Z")
SOME = re.compile(r".+")

OK = (200, 0)
BASE = "/packer/2023-01-01/organizations/{organization}/projects/{project}"
BUCKET_PATH = f"{BASE}/buckets/{BUCKET}"
VERSION_PATH = f"{BUCKET_PATH}/versions/{FINGERPRINT}"
RESOURCES = "/resource-manager/2019-12-10"


@dataclass(frozen=True, slots=True)
class Row:
    """One call: ``answer`` is HTTP status and gRPC code (0: none), ``reads`` what the client relies on by its place.

    Places are like ``version.builds[platform=aws].artifacts[region=eu-west-1].id``. ``keeps`` names places whose values
    later rows put into their path and body, as ``{name}``; before the call ``after`` seconds pass.
    """

    method: str
    path: str
    source: str
    body: Document | None = None
    answer: tuple[int, int] = OK
    reads: Mapping[str, object] = field(default_factory=dict)
    keeps: Mapping[str, str] = field(default_factory=dict)
    after: float = 0.0


@dataclass(frozen=True, slots=True)
class Replay:
    """What a client does from its start to its end; ``name`` says what happens."""

    name: str
    rows: tuple[Row, ...]

    def __str__(self) -> str:
        return self.name


def at(document: Any, place: str) -> Any:
    """Return what stands at a place; raises AssertionError where there is no such member, or not one such item."""
    for step in re.findall(r"[^.\[\]]+=[^\]]*|[^.\[\]]+", place):
        name, equals, value = step.partition("=")
        if equals:
            found = [item for item in document if item[name] == value]
            assert 1 == len(found), f"{step} of {place}: {len(found)} are there"
            document = found[0]
        elif name.isdigit():
            document = document[int(name)]
        else:
            assert name in document, f"{name} of {place}: there are {', '.join(document)}"
            document = document[name]
    return document


def play(replay: Replay, client: RegistryClient, wait: Callable[[float], object]) -> None:
    """Make the calls of a table; raises AssertionError at the first answer that is not what the client relies on."""
    kept = {"organization": client.model.tenancy.organization_id, "project": client.model.project}
    for number, row in enumerate(replay.rows, 1):
        if row.after:
            wait(row.after)
        answer = client.http.request(row.method, _filled(row.path, kept), json=_filled(row.body, kept))
        document = answer.json()
        call = f"{replay}: call {number}, {row.method} {row.path} ({row.source})"
        assert row.answer == (answer.status_code, document.get("code", 0)), (
            f"{call}: {answer.status_code} {answer.text}"
        )
        for place, expected in row.reads.items():
            found = at(document, place)
            if isinstance(expected, re.Pattern):
                assert isinstance(found, str), f"{call}: {place} is {found!r}"
                assert expected.fullmatch(found), f"{call}: {place} is {found!r}"
            else:
                assert _filled(expected, kept) == found, f"{call}: {place}"
        kept |= {name: at(document, place) for name, place in row.keeps.items()}


def _filled(value: Any, kept: Mapping[str, str]) -> Any:
    """Return a value with what earlier rows kept in the place of its ``{name}``."""
    if isinstance(value, str):
        return re.sub(r"{([^{}]+)}", lambda match: kept[match[1]], value)
    if isinstance(value, dict):
        return {name: _filled(item, kept) for name, item in value.items()}
    return [_filled(item, kept) for item in value] if isinstance(value, list) else value
