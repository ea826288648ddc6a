"""The clouds' examiners and HCP's client, put together for the doctor; an SDK is imported when its cloud is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packer_publisher.deadline import Deadline
from packer_publisher.image import Platform

if TYPE_CHECKING:
    from collections.abc import Iterator

    from packer_publisher.doctor.examiner import Examiner, Registry
    from packer_publisher.doctor.run import Examination


@dataclass(frozen=True, slots=True)
class Named:
    """A deployment as a person names it; "" is what the templates call it, or what the environment says.

    ``archive`` is the SHA-256 of the archive that should be deployed.
    """

    function: str = ""
    region: str = ""
    project: str = ""
    sink: str = ""
    archive: str = ""


@contextmanager
def open_examination(
    platform: Platform, named: Named, environ: Mapping[str, str], seconds: float, wait: float,
    agree: Callable[[], bool], tell: Callable[[str], None],
) -> Iterator[Examination]:  # fmt: skip
    """Yield an examination of one deployment; ConfigurationError where nothing says which one."""
    from packer_publisher.doctor.run import Examination
    from packer_publisher.registry import HCPPacker, read_environment
    from packer_publisher.secret_stores import SecretStores

    opened: list[AbstractContextManager[object]] = []

    def open_registry(tenant: Mapping[str, str]) -> tuple[Registry, str]:
        found = read_environment({**environ, **tenant})
        client = HCPPacker(found, read_secret=SecretStores(environ))
        opened.append(client)
        return client, found.credentials.origin

    deadline = Deadline.after(seconds)
    examiner = open_examiner(platform, named, environ, deadline)
    try:
        yield Examination(examiner, environ, open_registry, deadline, agree, lambda: Deadline.after(wait), tell)
    finally:
        for client in opened:
            client.__exit__(None, None, None)


def open_examiner(platform: Platform, named: Named, environ: Mapping[str, str], deadline: Deadline) -> Examiner:
    """Return the examiner of a deployment."""
    match platform:
        case Platform.AWS:
            from packer_publisher.clouds.aws_examiner import AWSExaminer

            return AWSExaminer(named.function, named.region, deadline, expected=named.archive)
        case Platform.AZURE:
            from packer_publisher.clouds.azure_examiner import AzureExaminer

            return AzureExaminer(named.function, environ, deadline)
        case Platform.GCE:
            from packer_publisher.clouds.gcp_examiner import GoogleExaminer

            return GoogleExaminer(named.function, named.project, named.region, named.sink, environ, deadline)
