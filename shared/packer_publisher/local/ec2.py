"""A stand-in for EC2 and STS: the paged lists of an account's images, in XML over HTTP.

The real boto3 talks to :attr:`EC2.app`. moto makes images as Packer does, but compares each with each when it lists
them and never pages; this face makes a hundred thousand on the fly and holds none of them.

Known are DescribeImages, DescribeRegions and GetCallerIdentity. It behaves as EC2 where that has hurt somebody: a
filter is applied after a page was cut, so a page may be empty and have a successor (aws/aws-sdk-js issue 940), filters
know upper from lower case, disabled images are shown on demand only, images that others share are shown to whoever
does not say ``self``, and a region that is not enabled knows no credentials. It is stricter in two points: a filter or
an action that it does not know is refused, and so is a list of everything that is not paged.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import count
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from packer_publisher.local.ec2_fleet import AMI, Fleet

ACCOUNT = "123456789012"
MOST_RESULTS = 1000
MOST_VALUES = 200
_SCOPE = re.compile(r"Credential=[^/]+/\d{8}/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")
_EC2 = "http://ec2.amazonaws.com/doc/2016-11-15/"
_STS = "https://sts.amazonaws.com/doc/2011-06-15/"


@dataclass(frozen=True, slots=True)
class Request:
    """One call: its operation, the region that it was signed for, its parameters."""

    action: str
    region: str
    parameters: Mapping[str, str]


class Refusal(Exception):
    """One of AWS's error answers, raised where it is decided."""

    def __init__(self, status: int, code: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(code)
        self.status, self.code, self.headers = status, code, dict(headers or {})


@dataclass(slots=True)
class _Fault:
    refusal: Refusal
    action: str  # or how it begins
    region: str
    times: int  # below zero: for ever
    after: int = 0  # so many calls are answered before
    met: bool = False


@dataclass(slots=True)
class EC2:
    """One account: its regions, the images that tests put there, and a fleet of generated ones.

    ``requests`` keeps every call. A fault that was ordered and never met is in :attr:`unmet_faults`.
    """

    regions: Sequence[str] = ("eu-west-1", "us-east-1")
    not_enabled: Sequence[str] = ()
    account: str = ACCOUNT
    fleet: Fleet | None = None
    requests: list[Request] = field(default_factory=list)
    _images: dict[str, list[AMI | None]] = field(default_factory=dict)  # None: deregistered
    _faults: list[_Fault] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def app(self) -> Starlette:
        """Return the HTTP face as an ASGI application."""
        return Starlette(routes=[Route("/{path:path}", self._answer, methods=["POST"])])

    @property
    def unmet_faults(self) -> list[str]:
        """Return a line for each ordered failure that was not met as often as it was ordered."""
        return [
            f"{fault.refusal.code} of {fault.action or 'any call'} in {fault.region or 'any region'}"
            for fault in self._faults
            if fault.times > 0 or not fault.met
        ]

    def put(self, region: str, *images: AMI) -> None:
        """Add images to a region; they are listed before those of the fleet, in the order in which they came."""
        with self._lock:
            self._images.setdefault(region, []).extend(images)

    def deregister(self, region: str, image_id: str) -> None:
        """Remove an image that was put there; raises ValueError for any other."""
        with self._lock:
            images = self._images.get(region, [])
            at = next((n for n, image in enumerate(images) if image and image.image_id == image_id), None)
            if at is None:
                raise ValueError(f"{image_id} was not put into {region}")
            images[at] = None

    def fail(
        self,
        status: int,
        code: str,
        *,
        action: str = "DescribeImages",
        region: str = "",
        retry_after: float | None = None,
        times: int = 1,
        after: int = 0,
    ) -> None:
        """Let ``times`` such calls in a row fail, when ``after`` of them were answered; "" is any action or region."""
        headers = {} if retry_after is None else {"Retry-After": f"{retry_after:g}"}
        with self._lock:
            self._faults.append(_Fault(Refusal(status, code, headers), action, region, times, after))

    def throttle(self, region: str = "", *, times: int = 1, after: int = 0, retry_after: float | None = None) -> None:
        """Let lists of images fail as EC2 does for who asks too often."""
        self.fail(503, "RequestLimitExceeded", region=region, times=times, after=after, retry_after=retry_after)

    def deny(self, region: str) -> None:
        """Close a region from now on, as a service control policy does; STS tells who asks all the same."""
        with self._lock:
            self._faults.append(_Fault(Refusal(403, "UnauthorizedOperation"), "Describe", region, -1))

    def expire(self, after: int) -> None:
        """Let the credentials expire when ``after`` more calls were answered."""
        with self._lock:
            self._faults.append(_Fault(Refusal(400, "RequestExpired"), "", "", -1, after))

    def renew(self) -> None:
        """Let credentials that have expired be good again."""
        with self._lock:
            for fault in self._faults:
                if fault.refusal.code == "RequestExpired" and fault.met:
                    fault.times = 0

    async def _answer(self, request: HttpRequest) -> Response:
        form = {key: values[0] for key, values in parse_qs((await request.body()).decode()).items()}
        signed = _SCOPE.search(request.headers.get("authorization", ""))
        region = signed["region"] if signed else ""
        with self._lock:
            asked = Request(form.pop("Action", ""), region, form)
            self.requests.append(asked)
            try:
                self._meet_faults(asked)
                body = self._done(asked)
            except Refusal as refusal:
                text = _error(refusal.code, signed["service"] if signed else "ec2")
                return Response(text, refusal.status, refusal.headers, "text/xml;charset=UTF-8")
        return Response(body, 200, media_type="text/xml;charset=UTF-8")

    def _meet_faults(self, asked: Request) -> None:
        for fault in self._faults:
            if fault.times and asked.action.startswith(fault.action) and fault.region in ("", asked.region):
                if fault.after:
                    fault.after -= 1
                    continue
                fault.met, fault.times = True, fault.times - 1 if fault.times > 0 else -1
                raise fault.refusal

    def _done(self, asked: Request) -> str:
        if not asked.region:
            raise Refusal(401, "MissingAuthenticationToken")
        if asked.region not in self.regions:
            raise Refusal(401, "AuthFailure")
        match asked.action:
            case "GetCallerIdentity":
                who = f"<Arn>arn:aws:iam::{self.account}:user/somebody</Arn><UserId>AIDAFAKE</UserId>"
                result = f"<GetCallerIdentityResult>{who}<Account>{self.account}</Account></GetCallerIdentityResult>"
                meta = "<ResponseMetadata><RequestId>0</RequestId></ResponseMetadata>"
                return f'<GetCallerIdentityResponse xmlns="{_STS}">{result}{meta}</GetCallerIdentityResponse>'
            case "DescribeRegions":
                return _response("DescribeRegions", f"<regionInfo>{self._all_regions(asked.parameters)}</regionInfo>")
            case "DescribeImages":
                return _response("DescribeImages", self._page(asked))
            case _:
                raise Refusal(400, "InvalidAction")

    def _all_regions(self, parameters: Mapping[str, str]) -> str:
        states = dict.fromkeys(self.regions, "opt-in-not-required")
        if parameters.get("AllRegions") == "true":
            states |= dict.fromkeys(self.not_enabled, "not-opted-in")
        return "".join(
            f"<item><regionName>{name}</regionName><regionEndpoint>ec2.{name}.amazonaws.com</regionEndpoint>"
            f"<optInStatus>{state}</optInStatus></item>"
            for name, state in states.items()
        )

    def _page(self, asked: Request) -> str:
        form = asked.parameters
        identifiers = list(_numbered(form, "ImageId."))
        filters = {
            form[f"Filter.{n}.Name"]: list(_numbered(form, f"Filter.{n}.Value."))
            for n in _numbers(form, "Filter.", ".Name")
        }
        if identifiers:
            shown, more = [self._known(asked.region, identifier) for identifier in identifiers], ""
        else:
            shown, more = self._cut(asked.region, form)
        owners = {self.account if owner == "self" else owner for owner in _numbered(form, "Owner.")}
        disabled = form.get("IncludeDisabled") == "true"
        items = "".join(
            image.xml()
            for image in shown
            if (not owners or image.owner in owners)
            and (disabled or image.state != "disabled")
            and all(_matches(image, name, values) for name, values in filters.items())
        )
        return f"<imagesSet>{items}</imagesSet>" + (f"<nextToken>{more}</nextToken>" if more else "")

    def _cut(self, region: str, form: Mapping[str, str]) -> tuple[list[AMI], str]:
        """Return the images of the page that a list goes on with, and the token of the next one."""
        size, start = form.get("MaxResults", ""), form.get("NextToken", "0")
        if not size:
            raise Refusal(400, "OperationNotPermitted")
        if not size.isdigit() or not 1 <= int(size) <= MOST_RESULTS:
            raise Refusal(400, "InvalidParameterValue")
        if not start.isdigit():
            raise Refusal(400, "InvalidNextToken")
        put = self._images.get(region, [])
        generated = self.fleet.releases if self.fleet and region in self.fleet.regions else 0
        end = min(int(start) + int(size), len(put) + generated)
        page = put[int(start) : end]
        if self.fleet and generated:
            page += [self.fleet.image(region, n - len(put)) for n in range(max(int(start), len(put)), end)]
        return [image for image in page if image is not None], str(end) if end < len(put) + generated else ""

    def _known(self, region: str, image_id: str) -> AMI:
        for image in self._images.get(region, []):
            if image is not None and image.image_id == image_id:
                return image
        found = self.fleet.find(region, image_id) if self.fleet and region in self.fleet.regions else None
        if found is None:
            raise Refusal(400, "InvalidAMIID.NotFound")
        return found


def _matches(image: AMI, name: str, values: Sequence[str]) -> bool:
    """Return whether an image has one of a filter's values; ``*`` and ``?`` are wildcards."""
    if not 1 <= len(values) <= MOST_VALUES:
        raise Refusal(400, "FilterLimitExceeded" if values else "InvalidParameterValue")
    match name.partition(":"):
        case "tag-key", "", "":
            found = set(image.tags)
        case "tag", ":", key:
            found = {image.tags[key]} if key in image.tags else set()
        case "name", "", "":
            found = {image.name}
        case "state", "", "":
            found = {image.state}
        case "source-image-id", "", "":
            found = {image.source}
        case "creation-date", "", "":
            found = {image.creation_date}
        case _:
            raise Refusal(400, "InvalidParameterValue")
    return any(fnmatchcase(text, value.replace("[", "[[]")) for text in found for value in values)


def _numbered(form: Mapping[str, str], prefix: str) -> Iterator[str]:
    return (form[f"{prefix}{n}"] for n in _numbers(form, prefix, ""))


def _numbers(form: Mapping[str, str], prefix: str, suffix: str) -> Iterator[int]:
    for n in count(1):
        if f"{prefix}{n}{suffix}" not in form:
            return
        yield n


def _response(action: str, body: str) -> str:
    return f'<{action}Response xmlns="{_EC2}"><requestId>0</requestId>{body}</{action}Response>'


def _error(code: str, service: str) -> str:
    if service == "sts":
        code = "ExpiredToken" if code == "RequestExpired" else code  # each has its own word for it
        error = f"<Type>Sender</Type><Code>{code}</Code><Message>made to fail</Message>"
        return f'<ErrorResponse xmlns="{_STS}"><Error>{error}</Error><RequestId>0</RequestId></ErrorResponse>'
    error = f"<Error><Code>{code}</Code><Message>made to fail</Message></Error>"
    return f"<Response><Errors>{error}</Errors><RequestID>0</RequestID></Response>"
