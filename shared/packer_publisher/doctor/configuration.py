"""The configuration of a deployed function, read as it reads it itself, and held against the one at hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from packer_publisher.document import VARIABLE
from packer_publisher.errors import ConfigurationError
from packer_publisher.finding import Finding, Trouble, note, right, wrong
from packer_publisher.policy import Policy
from packer_publisher.settings import Settings, configuration_digest
from packer_publisher.wording import counted, shown

_ANY = '{"buckets": {"*": {}}}'


@dataclass(slots=True)
class Deployed:
    """What is known of a function's configuration; ``digest`` "" where the document is in its archive."""

    policy: Policy | None = None
    digest: str = ""
    off: bool = False


def configuration_findings(variables: Mapping[str, str], own: Mapping[str, str], into: Deployed) -> Iterator[Finding]:
    """Yield how a function's variables are, and whether ``own`` has the same document; ``into`` takes what is known."""
    document = variables.get(VARIABLE, "").strip()
    packed = bool(document) and not document.startswith("{")
    readable = {**variables, VARIABLE: _ANY} if packed else dict(variables)
    try:
        settings = Settings.from_environment(readable)
    except ConfigurationError as problem:
        yield wrong("configuration", str(problem), problem.remedy, Trouble.CONFIGURATION)
        return
    into.off = settings.registry_off
    if settings.registry_off:
        yield note("configuration", "HCP_PACKER_REGISTRY is off: nothing is written to HCP", "unset it to write")
    if packed:
        about = f"the document is {shown(document)} in the function's archive: only the probe tells its digest"
        yield note("configuration", about)
        into.policy = _policy_at_hand(variables, own)
        return
    into.policy, into.digest = settings.policy, configuration_digest(variables)
    rules = counted(len(settings.policy.rules), "entry").replace("entrys", "entries")
    yield right("configuration", f"digest {into.digest}, {rules} under buckets, settings {settings.digest}")
    yield from compared(into.digest, own)


def _policy_at_hand(variables: Mapping[str, str], own: Mapping[str, str]) -> Policy | None:
    """Return what the function would do with the document at hand, None where there is none, or no good one."""
    if not own.get(VARIABLE, "").strip():
        return None
    try:
        return Settings.from_environment({**variables, VARIABLE: own[VARIABLE]}).policy
    except ConfigurationError:
        return None


def compared(digest: str, own: Mapping[str, str]) -> Iterator[Finding]:
    """Yield whether a deployed document is the one at hand, where there is one."""
    if not own.get(VARIABLE, "").strip():
        return
    try:
        here = configuration_digest(own)
    except ConfigurationError as problem:
        yield wrong("configuration here", str(problem), problem.remedy, Trouble.CONFIGURATION)
        return
    if here == digest:
        yield right("configuration here", "the same document")
    else:
        yield wrong("configuration here", f"another document, digest {here}", "deploy this one, or take that one here")
