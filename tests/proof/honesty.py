"""Schemathesis plays the local registry against its own description: right, wrong and random requests, in-process.

``python -m tests.proof.honesty`` plays and prints the figures; with ``PROOF=long`` it plays many more requests, and the
edges under every single deviation of a switch; with ``PROOF_SEED=n`` those of another seed.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from time import monotonic
from typing import Any

import schemathesis
from schemathesis import BaseSchema, GenerationMode
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import Status, events, from_schema
from schemathesis.engine.recorder import ScenarioRecorder
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from packer_publisher.local.registry_app import build_app
from packer_publisher.local.registry_ledger import Tenancy
from packer_publisher.local.registry_openapi import DESCRIPTION_PATH, describe
from packer_publisher.local.registry_routes import ROUTES
from packer_publisher.local.registry_switches import Switches
from packer_publisher.local.registry_tokens import WRITER
from tests.local.populated import PROVIDER, Populated
from tests.local.worlds import BUCKET

LONG = os.environ.get("PROOF") == "long"
SEED = int(os.environ.get("PROOF_SEED", "1"))

PROOF = "header.payload.signature"

# How the refusal begins of a field that is not what it should be.
SHAPE = ("proto: ", "query: ")


class Play(Enum):
    """What is played, and in which phase of Schemathesis."""

    EDGES = "coverage"  # every boundary of every described field, on both sides
    RANDOM = "fuzzing"
    HISTORIES = "stateful"  # along the links of the description: what one call makes the next ones use


EXAMPLES = {Play.EDGES: 1, Play.RANDOM: 100 if LONG else 4, Play.HISTORIES: 60 if LONG else 6}
"""How many examples there are of each operation; of histories, how many in all."""

# Schemathesis ends its histories when they find nothing new for a while: another seed finds others.
ROUNDS = [*((what, SEED) for what in Play), *((Play.HISTORIES, SEED + n) for n in range(1, 20 if LONG else 1))]


class Stage:
    """The registry's app as a play needs it.

    But for histories, each request meets a fresh copy of what is there, and the description that is asked for first
    names what is there as the only values of path parameters. At random, every eighth request meets a registry that is
    not active. ``lie`` changes that description.
    """

    def __init__(self, populated: Populated, what: Play) -> None:
        self.app = build_app(populated.model)
        self.token = self.app.state.tokens.for_client(WRITER.id, WRITER.secret)
        self.app.state.tokens.register_workload(PROVIDER, PROOF, WRITER.caller)
        self._populated = populated
        self._what = what
        self._described = False
        self._requests = 0
        self.lie: Callable[[dict[str, Any]], object] = lambda _: None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._what is not Play.HISTORIES and scope["type"] == "http":
            if scope["path"] == DESCRIPTION_PATH and not self._described:
                self._described = True
                return await JSONResponse(self.description())(scope, receive, send)
            self._requests += 1
            model = self.app.state.face.model = self._populated.model.fork()
            if self._what is Play.RANDOM and self._requests % 8 == 0:
                model.delete_registry()
        return await self.app(scope, receive, send)

    def description(self) -> dict[str, Any]:
        """Return the description with what is there in it."""
        model = self._populated.model
        description: dict[str, Any] = json.loads(json.dumps(describe(model.tenancy, model.switches)))
        self.lie(description)
        for operations in description["paths"].values():
            for parameter in (each for operation in operations.values() for each in operation.get("parameters", ())):
                if parameter["in"] == "path" and parameter["name"] in self._populated.known:
                    parameter["schema"]["enum"] = self._populated.known[parameter["name"]]
        return description


@dataclass
class Figures:
    """What a play came to; ``failures`` name the operation, the check and the request."""

    cases: int = 0
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, other: Figures) -> None:
        """Add another play's."""
        self.cases += other.cases
        self.answers += other.answers
        self.failures += other.failures
        self.seconds += other.seconds


def play(
    what: Play,
    switches: Switches | None = None,
    *,
    seed: int = SEED,
    only: str = "",
    prepare: Callable[[Stage], object] = lambda _: None,
) -> Figures:
    """Play the registry under some switches; whatever goes wrong is in the figures.

    ``only`` names the one operation to be played, ``prepare`` may change the stage before.
    """
    began = monotonic()
    populated = Populated(switches or Switches())
    stage = Stage(populated, what)
    prepare(stage)
    schema = schemathesis.openapi.from_asgi(DESCRIPTION_PATH, stage, config=_config(what, populated, stage.token, seed))
    found = Figures()
    selected = schema.include(operation_id=only) if only else _selected(schema, what)
    for event in from_schema(selected).execute():
        if isinstance(event, events.ScenarioFinished):
            found.cases += len(event.recorder.cases)
            found.failures += _failed(event.recorder)
            found.failures += _refused_although_right(event.recorder)
        elif isinstance(event, events.NonFatalError):
            found.failures.append(f"{event.label}: {event.value!r}")
        elif isinstance(event, events.FatalError):
            raise event.exception
    found.answers.update((request.operation, request.status) for request in stage.app.state.requests.all())
    found.seconds = monotonic() - began
    return found


def _selected(schema: BaseSchema, what: Play) -> BaseSchema:
    """Return the operations to be played; those that are not part of the registry answer 501 and nothing else."""
    if what is Play.HISTORIES:  # in a bucket, from its creation on
        schema = schema.include(path_regex=r"/projects/\{project\}/buckets")
    return schema.exclude(operation_id=[route.operation for route in ROUTES if not route.answered])


def _config(what: Play, populated: Populated, token: str, seed: int) -> SchemathesisConfig:
    known = populated.known
    values = {
        "names": [BUCKET, "prod", "another"],
        "fingerprints": [*known["fingerprint"], "nowhere"],
        "channels": known["channel"],
        "versions": [populated.sealed],
        "images": ["ami-1", "ami-2"],
        "organizations": [populated.model.tenancy.organization_id],
        "clients": [WRITER.id],
        "secrets": [WRITER.secret],
        "proofs": [PROOF],
    }
    drawn = {
        "body.name": "names",
        "body.version_fingerprint": "fingerprints",
        "body.source_channel": "channels",
        "body.target_channel": "channels",
        "body.parent_version_id": "versions",
        "body.external_identifier": "images",
        "body.client_id": "clients",
        "body.client_secret": "secrets",
        "body.jwt_token": "proofs",
        "query.version_fingerprint": "fingerprints",
        "query.channel_name": "channels",
        "query.scope.id": "organizations",
    }
    phases: dict[str, dict[str, Any]] = {
        name: {"enabled": name == what.value} for name in ("examples", "coverage", "fuzzing", "stateful")
    }
    phases["stateful"] |= {"max-steps": 10, "inference": {"algorithms": []}, "link-calibration": False}
    return SchemathesisConfig.from_dict(
        {
            "seed": seed,
            "headers": {"Authorization": f"Bearer {token}"},
            "dictionaries": {name: {"values": entries} for name, entries in values.items()},
            "parameters": {key: {"dictionary": name, "probability": 0.8} for key, name in drawn.items()},
            "generation": {"max-examples": EXAMPLES[what], "no-shrink": not LONG, "database": "none"},
            "checks": {
                # What a method is answered that a path lacks is not known of HCP: here as a path that there is not.
                "unsupported_method": {"enabled": False},
                # 400 is also what the state of things forbids; see SHAPE.
                "positive_data_acceptance": {"enabled": False},
            },
            "phases": phases,
        }
    )


def _failed(recorder: ScenarioRecorder) -> Iterator[str]:
    for checks in recorder.checks.values():
        for check in checks:
            if check.status is Status.FAILURE and check.failure_info is not None:
                failure, request = check.failure_info.failure, check.failure_info.code_sample
                yield f"{recorder.label}: {check.name}: {failure.title}: {failure.message}\n{request}"


def _refused_although_right(recorder: ScenarioRecorder) -> Iterator[str]:
    """Yield the requests as the description wants them that were refused for the form of a field."""
    for case_id, node in recorder.cases.items():
        exchange = recorder.interactions.get(case_id)
        meta = node.value.meta
        if meta is None or meta.generation.mode is not GenerationMode.POSITIVE:
            continue
        if exchange is None or exchange.response is None or exchange.response.status_code != 400:
            continue
        message = exchange.response.json().get("message", "")
        if message.startswith(SHAPE):
            yield f"{recorder.label}: right, and refused: {message}: {node.value.as_curl_command()}"


def described() -> set[tuple[str, int]]:
    """Return the operations with their statuses, but for those that are not part of the registry."""
    paths = describe(Tenancy(), Switches())["paths"]
    return {
        (operation["operationId"], int(status))
        for operations in paths.values()
        for operation in operations.values()
        for status in operation["responses"]
        if "501" not in operation["responses"]
    }


def plays() -> Iterable[tuple[str, Figures]]:
    """Play everything, and yield the figures with their name."""
    for what, seed in ROUNDS:
        yield f"{what.name.lower()} of seed {seed}", play(what, seed=seed)
    if LONG:
        for switches in Switches.variations():
            yield f"edges under {switches.deviations()}", play(Play.EDGES, switches)


def main() -> int:
    """Play everything and print the figures."""
    total = Figures()
    for name, found in plays():
        sys.stdout.write(f"  {name}: {found.cases:,} requests, {len(found.failures)} failures, {found.seconds:.0f} s\n")
        total.add(found)
    wanted = described()
    met = wanted & set(total.answers)
    sys.stdout.write(
        f"local registry against its description: {total.cases:,} requests, {len(met)} of {len(wanted)} described "
        f"answers met, {len(total.failures)} failures\n"
    )
    for failure in total.failures:
        sys.stdout.write(f"{failure}\n")
    return 1 if total.failures else 0


if __name__ == "__main__":
    sys.exit(main())
