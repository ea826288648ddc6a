"""The configuration of a deployed function, read as it reads it itself, and held against the one at hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from packer_publisher.credential_settings import Workload, read_credential_settings
from packer_publisher.document import VARIABLE
from packer_publisher.errors import ConfigurationError
from packer_publisher.finding import Finding, Trouble, note, right, wrong
from packer_publisher.policy import Policy
from packer_publisher.settings import Settings, configuration_digest
from packer_publisher.wording import counted, shown

OWN = "function's credentials"
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


def credential_findings(variables: Mapping[str, str]) -> Iterator[Finding]:
    """Yield by which credentials a function goes to HCP, as far as its variables tell.

    Whether HCP takes them, the probe says; what is wrong with the variables themselves, the configuration.
    """
    key = [name for name in ("HCP_CLIENT_ID", "HCP_CLIENT_SECRET") if variables.get(name)]
    try:
        asked = read_credential_settings(variables)
    except ConfigurationError:
        return
    if len(key) == 2:
        stored = "HCP_CLIENT_SECRET stands in the function's environment, where everybody reads it who may look at it"
        yield note(OWN, stored, "docs/credentials.md has ways that store no secret, or store it elsewhere")
    elif isinstance(asked, Workload):
        *_, principal, _, provider = asked.provider.split("/")
        yield right(OWN, f"its own identity, shown to provider {provider} of service principal {principal}")
    elif asked is not None:
        yield right(OWN, f"the secret {shown(asked, 256)}")
    elif variables.get("HCP_CRED_FILE"):
        yield note(OWN, f"HCP_CRED_FILE names {shown(variables['HCP_CRED_FILE'])}: only the probe tells what is there")
    else:
        half = f"{key[0]} alone is set" if key else "none are set"
        remedy = "set PUBLISHER_WORKLOAD_PROVIDER or PUBLISHER_CLIENT_SECRET, as docs/credentials.md says"
        yield wrong(OWN, f"{half}: HCP takes nothing from it", remedy, Trouble.CREDENTIALS)


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
