"""One examination from beginning to end, as findings in the order in which a person mends them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from packer_publisher.deadline import Deadline
from packer_publisher.doctor.configuration import Deployed, configuration_findings, credential_findings
from packer_publisher.doctor.examiner import Examiner, Registry
from packer_publisher.doctor.probe import probe_findings
from packer_publisher.doctor.registry import CREDENTIALS, refused, registry_findings
from packer_publisher.errors import CredentialsTrouble, PublisherError
from packer_publisher.finding import Finding, Verdict, note, unknown
from packer_publisher.finding import Trouble as Kind


@dataclass(slots=True)
class Examination:
    """What is examined, and with what: ``own`` is the environment of whoever asks.

    ``agree`` is asked, once there is something to put a probe on, whether one may be sent; ``wait`` is how long its
    answer is waited for. ``open_registry`` returns a client, with the function's tenant, and how its credentials are
    come by.
    """

    examiner: Examiner
    own: Mapping[str, str]
    open_registry: Callable[[Mapping[str, str]], tuple[Registry, str]]
    deadline: Deadline
    agree: Callable[[], bool]
    wait: Callable[[], Deadline]
    tell: Callable[[str], None] = lambda _text: None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    deployed: Deployed = field(default_factory=Deployed)

    def findings(self) -> Iterator[Finding]:
        """Yield every finding; nothing is changed, and only a probe that is agreed to is sent."""
        self.tell("looking at the function")
        closed = False
        for finding in self.examiner.account():
            closed = closed or (finding.verdict is Verdict.WRONG and finding.trouble is Kind.CREDENTIALS)
            yield finding
        if not closed:  # else the same would be said of everything
            yield from self.examiner.functions()
        if self.examiner.variables:
            yield from configuration_findings(self.examiner.variables, self.own, self.deployed)
            yield from credential_findings(self.examiner.variables)
        self.tell("asking HCP")
        yield from self._registry()
        self.tell("looking at what brings it its events")
        yield from self.examiner.examine(self.deployed.policy)
        if not self.examiner.queue:
            return
        if self.agree():
            yield from probe_findings(self.examiner, self.deployed, self.own, self.wait(), self.tell)
        else:
            yield note("probe", "none was sent, so the function's own credentials are not tried", "--yes sends one")

    def _registry(self) -> Iterator[Finding]:
        try:
            registry, origin = self.open_registry(_tenant(self.examiner.variables))
        except CredentialsTrouble:
            yield unknown(
                CREDENTIALS,
                "there are none here to ask HCP with; the probe asks with the function's own",
                "set HCP_CLIENT_ID and HCP_CLIENT_SECRET; Viewer on the project suffices",
                Kind.CREDENTIALS,
            )
            return
        except PublisherError as problem:
            yield refused(CREDENTIALS, problem)
            return
        yield from registry_findings(registry, self.deployed.policy, self.now(), self.deadline, origin)


def _tenant(variables: Mapping[str, str]) -> dict[str, str]:
    """Return which HCP the function means; never an address: whoever deploys it could have our key sent anywhere."""
    names = ("HCP_GEOGRAPHY", "HCP_ORGANIZATION_ID", "HCP_PROJECT_ID")
    return {name: variables[name] for name in names if variables.get(name)}
