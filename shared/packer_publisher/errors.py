"""Every error of the package, named after what the caller does next.

    PublisherError
    ├── Rejected              ours, but broken: say why, change nothing, do not retry
    ├── ConfigurationError    settings or a command line are wrong: refuse to start (exit status 2)
    └── Trouble               try again later; the event is kept
        ├── CredentialsTrouble    a cloud or HCP refused our credentials (exit status 4)
        │   └── Forbidden             they know who we are and do not allow this: others may well be allowed
        ├── CloudTrouble          a cloud is unreachable, throttles, or has not caught up yet
        └── RegistryTrouble       HCP is unreachable, throttles or stalls (exit status 5)
            ├── RegistryInactive  a refusal that, as far as is known, only an inactive registry explains
            └── OutcomeUnknown    a write was sent and no answer came: read before writing again

    RegistryRefused           HCP answered a call with a definite refusal; it carries the gRPC code

No message ever contains a credential, a token or an event's claims.
"""

from __future__ import annotations


class PublisherError(Exception):
    """The root of all errors raised by this package; ``str()`` is a full sentence for a person.

    ``remedy`` names the command or the setting that resolves it ("" if there is none).
    """

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


class Rejected(PublisherError):
    """The image or event is ours, but breaks a rule; it changes nothing and is not retried.

    ``bucket`` is what its tags call its bucket, whether there may be one of that name or not; "" where nobody knows.
    """

    def __init__(self, message: str, *, remedy: str = "", bucket: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.bucket = bucket


class ConfigurationError(PublisherError):
    """A setting, the configuration document or a command line is wrong; nothing was started."""


class Trouble(PublisherError):
    """Something is unreachable or not ready; the same event may succeed later.

    ``retry_after`` is what the other side asked for, in seconds, or None.
    """

    def __init__(self, message: str, *, remedy: str = "", retry_after: float | None = None) -> None:
        super().__init__(message, remedy=remedy)
        self.retry_after = retry_after


class CredentialsTrouble(Trouble):
    """A cloud or HCP refused the credentials; retried, because people mend credentials."""


class Forbidden(CredentialsTrouble):
    """One thing is closed to credentials that are good: a call to HCP (403), a region, subscription or project.

    Others may well be allowed (a role on single buckets, say). Any other CredentialsTrouble (expired, unknown, missing)
    is the same everywhere.
    """


class CloudTrouble(Trouble):
    """A cloud did not answer, throttles, or does not show the image yet."""


class RegistryTrouble(Trouble):
    """HCP did not answer usefully and nothing was written by this call."""


class RegistryInactive(RegistryTrouble):
    """HCP refused a call by a precondition that no state of a bucket or a version explains."""


class OutcomeUnknown(RegistryTrouble):
    """A write was sent and its answer is lost (reset, time-out, 5xx): it may have happened."""


class RegistryRefused(PublisherError):
    """HCP answered with an error that a repetition would not change.

    ``code`` is the gRPC code of the body (0 if the body had none), ``status`` the HTTP status. 409 alone is
    ambiguous: 6 is a duplicate, 10 an unknown version (facts: HCP's own clients decide on the code).
    """

    def __init__(self, message: str, *, code: int, status: int, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.code = code
        self.status = status
