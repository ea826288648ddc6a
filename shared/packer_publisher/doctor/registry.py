"""HCP's side, asked with the credentials of whoever runs the doctor: the registry, its buckets, the clock."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from packer_publisher.deadline import Deadline
from packer_publisher.doctor.examiner import Registry
from packer_publisher.errors import ConfigurationError, CredentialsTrouble, Forbidden, PublisherError, RegistryTrouble
from packer_publisher.finding import Finding, Trouble, note, right, unknown, wrong
from packer_publisher.policy import Policy

TOLERATED, SKEWED = 30.0, 240.0
"""Seconds that this clock may differ from HCP's, and from which on tokens and AWS's signatures are refused."""

CREDENTIALS = "HCP credentials"
"""What is said of them is said after HCP was asked."""

MOST_BUCKETS = 50
_ACTIVATE = "activate HCP Packer for the project in HCP's portal, or set the right HCP_PROJECT_ID"


def registry_findings(
    registry: Registry, policy: Policy | None, now: datetime, deadline: Deadline, origin: str = ""
) -> Iterator[Finding]:
    """Yield whether HCP takes the credentials, which come from ``origin``, how the registry of each project is that the
    configuration names, then its buckets.
    """
    projects = sorted({rule.policy.project or "" for rule in policy.rules} if policy else {""})
    taken = told = False
    for project in projects:
        about = f"registry of {project}" if project else "registry"
        problem: PublisherError | None = None
        state = None
        try:
            state = registry.get_registry(deadline, project or None)
        except PublisherError as caught:
            problem = caught
        if not taken and (problem is None or isinstance(problem, Forbidden)):
            taken = True
            yield right(CREDENTIALS, f"{origin}, of whoever runs the doctor")
        if problem is not None:
            yield refused(about if taken or not isinstance(problem, CredentialsTrouble) else CREDENTIALS, problem)
            if not isinstance(problem, Forbidden):
                return  # the same would be said of all the others
            continue
        if state is None or not state.activated:
            yield wrong(about, "HCP Packer is not active" if state else "there is none", _ACTIVATE)
        else:
            yield right(about, f"active ({state.tier.lower()}); whether the role may write shows with the first image")
        if state is not None and state.at is not None and not told:
            told = True
            yield _clock((now - state.at).total_seconds())
    if policy is not None:
        yield from _buckets(registry, policy, deadline)


def refused(about: str, problem: PublisherError) -> Finding:
    """Return the finding for what HCP refused, or did not answer."""
    if isinstance(problem, ConfigurationError):
        return wrong(about, str(problem), problem.remedy, Trouble.CONFIGURATION)
    if isinstance(problem, CredentialsTrouble):
        return wrong(about, str(problem), problem.remedy, Trouble.CREDENTIALS)
    kind = Trouble.UNREACHABLE if isinstance(problem, RegistryTrouble) else Trouble.OTHER
    return unknown(about, str(problem), problem.remedy or "run the doctor again", kind)


def _clock(seconds: float) -> Finding:
    off = f"{abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'} HCP's"
    if abs(seconds) >= SKEWED:
        return wrong("clock", f"this machine's is {off}: tokens and signatures are refused", "set it, by NTP for one")
    if abs(seconds) >= TOLERATED:
        return note("clock", f"this machine's is {off}", "set it, by NTP for one")
    return right("clock", "as HCP's")


def _buckets(registry: Registry, policy: Policy, deadline: Deadline) -> Iterator[Finding]:
    """Yield the buckets that are named, are not there and may not be created; one line for those that are fine."""
    named = [rule.policy for rule in policy.rules if rule.policy.name]
    fine = 0
    for bucket in named[:MOST_BUCKETS]:
        name = bucket.name or ""
        try:
            there = registry.get_bucket(name, deadline, bucket.project).exists
        except PublisherError as problem:
            yield refused(f"bucket {name}", problem)
            if not isinstance(problem, Forbidden):
                return
            continue
        if there or bucket.create_bucket:
            fine += 1
        else:
            remedy = "create it, or set create_buckets: true for it"
            yield wrong(f"bucket {name}", "it does not exist, and may not be created: its images are rejected", remedy)
    if fine:
        yield right("buckets", f"{fine} of {len(named)} named ones exist, or may be created")
