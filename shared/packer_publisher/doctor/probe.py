"""The end of an examination: a harmless question through the function's own queue, and what it answers."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from packer_publisher import __version__
from packer_publisher.deadline import Deadline
from packer_publisher.doctor.configuration import Deployed, compared
from packer_publisher.doctor.examiner import Examiner
from packer_publisher.errors import CredentialsTrouble, Trouble
from packer_publisher.finding import Finding, note, right, unknown, wrong
from packer_publisher.finding import Trouble as Kind
from packer_publisher.messages import ProbeOrder, write_order
from packer_publisher.probe import ACTIVE, OFF, READABLE
from packer_publisher.wording import shown

PAUSE = 3.0
_SKEW = timedelta(minutes=5)  # by which this machine's clock may be ahead of the log's


def probe_findings(
    examiner: Examiner,
    deployed: Deployed,
    own: Mapping[str, str],
    deadline: Deadline,
    tell: Callable[[str], None] = lambda _text: None,
) -> Iterator[Finding]:
    """Send a probe, wait for its answer until the deadline, and yield what it says."""
    identifier, began = secrets.token_hex(6), datetime.now(UTC)
    try:
        examiner.send_probe(write_order(ProbeOrder(identifier)))
    except Trouble as trouble:
        yield _refused("it could not be sent", trouble)
        return
    tell(f"waiting for the answer to probe {identifier}")
    try:
        answer = _wait(examiner, identifier, began - _SKEW, deadline)
    except Trouble as trouble:
        yield _refused(f"it was sent, and the log cannot be read: look for {identifier} in {examiner.log}", trouble)
        return
    if answer is None:
        yield wrong(
            "probe",
            f"no answer to {identifier} in time in {examiner.log}",
            "mend what is said above; where nothing is, look into the log for errors, and wait for longer (--wait)",
        )
        return
    yield right("probe", f"answered after {(datetime.now(UTC) - began).total_seconds():.0f} s")
    yield from _said(answer, deployed, own)


def _wait(examiner: Examiner, identifier: str, since: datetime, deadline: Deadline) -> Mapping[str, Any] | None:
    while True:
        if (answer := examiner.probe_answer(identifier, since)) is not None:
            return answer
        if not deadline.pause(PAUSE):
            return None


def _said(answer: Mapping[str, Any], deployed: Deployed, own: Mapping[str, str]) -> Iterator[Finding]:
    version = shown(answer.get("version", ""))
    if version == __version__:
        yield right("function's version", version)
    else:
        yield note(
            "function's version", f"{version or 'unknown'}, the doctor's is {__version__}", "deploy this release"
        )
    if problem := answer.get("problem"):
        yield wrong("function's settings", shown(problem, 1000), "correct them, and deploy again", Kind.CONFIGURATION)
        return
    digest = shown(answer.get("configuration", ""))
    if deployed.digest and digest != deployed.digest:
        yield wrong("function's configuration", f"it works with {digest}: an older environment", "deploy it again")
    elif not deployed.digest:
        yield right("function's configuration", f"digest {digest}")
        yield from compared(digest, own)
    registry, images = shown(answer.get("registry", ""), 1000), shown(answer.get("images", ""), 1000)
    if registry in (ACTIVE, OFF):
        yield (
            right("function's way to HCP", f"its own credentials are taken, the registry is {registry}")
            if (registry == ACTIVE)
            else note("function's way to HCP", "HCP_PACKER_REGISTRY is off")
        )
    else:
        yield wrong("function's way to HCP", registry, "docs/credentials.md says what each way needs", Kind.CREDENTIALS)
    if images == READABLE:
        yield right("function's view of images", images)
    else:
        yield wrong("function's view of images", images, "give the function the role of its template", Kind.CREDENTIALS)
    denied = answer.get("denied")
    if isinstance(denied, list) and denied:
        named = ", ".join(shown(region) for region in denied)
        yield note("function's view of images", f"no access to {named}", "PUBLISHER_REGIONS can name the others")


def _refused(what: str, trouble: Trouble) -> Finding:
    kind = Kind.CREDENTIALS if isinstance(trouble, CredentialsTrouble) else Kind.OTHER
    return unknown("probe", f"{what}: {trouble}", trouble.remedy or "run the doctor again", kind)
