"""CloudFormation, and the S3, STS and Lambda around it, as a packager's `deploy` asks them; to see what it asks.

Parameters are judged as CloudFormation judges them (tests.infra.cloudformation); of a stack that is taken nothing is
made. XML as in the API references; what is not known here is answered with an error, so that it shows.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit
from xml.sax.saxutils import escape

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.infra.cloudformation import Template, refusals

BUCKET = "publisher-serverlessdeploymentbucket-1"
CALLER = "<Account>123456789012</Account><Arn>arn:aws:iam::123456789012:user/platform</Arn>"
TIME = "2026-11-20T10:00:00.000Z"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that makes a stack or changes it."""

    action: str
    name: str
    template: Template
    parameters: dict[str, str]
    tags: dict[str, str]
    refused: tuple[str, ...]


@dataclass
class StackStandIn:
    """What was asked of it, in order."""

    asked: list[Asked] = field(default_factory=list)
    objects: dict[str, bytes] = field(default_factory=dict)

    @property
    def app(self) -> Starlette:
        """Return it as an application."""
        methods = ["GET", "HEAD", "POST", "PUT"]
        return Starlette(routes=[Route("/{path:path}", self._answer, methods=methods)])

    async def _answer(self, request: Request) -> Response:
        path, body = request.path_params["path"], await request.body()
        if request.method == "POST" and not path:
            form = dict(parse_qsl(body.decode(), keep_blank_values=True))
            answers: dict[str, Callable[[dict[str, str]], Response]] = {
                "GetCallerIdentity": lambda _: _answered("GetCallerIdentity", CALLER),
                "CreateStack": self._change,
                "UpdateStack": self._change,
                "DescribeStacks": self._stacks,
                "DescribeStackEvents": self._events,
                "DescribeStackResource": self._resource,
                "ListStackResources": lambda _: _answered("ListStackResources", "<StackResourceSummaries/>"),
                "ValidateTemplate": lambda _: _answered("ValidateTemplate", ""),
            }
            return answers.get(form["Action"], _unknown)(form)
        if path.startswith(BUCKET):
            if request.method == "PUT":
                self.objects[path] = body
            listed = f"<ListBucketResult><Name>{BUCKET}</Name><KeyCount>0</KeyCount></ListBucketResult>"
            return Response(listed if request.method == "GET" else "", media_type="application/xml")
        return Response('{"Message": "not here"}', 404, {"x-amzn-errortype": "ResourceNotFoundException"})

    def _change(self, form: dict[str, str]) -> Response:
        action = form["Action"]
        body = form.get("TemplateBody") or self.objects[urlsplit(form["TemplateURL"]).path.lstrip("/")]
        template, given = json.loads(body), _pairs(form, "Parameters", "ParameterKey", "ParameterValue")
        refused = tuple(refusals({"Parameters": {}} | template, given))
        tags = _pairs(form, "Tags", "Key", "Value")
        self.asked.append(Asked(action, form["StackName"], template, given, tags, refused))
        if refused:
            return _refused(" ".join(refused))
        return _answered(action, f"<StackId>{_identifier(form['StackName'])}</StackId>")

    def _stacks(self, form: dict[str, str]) -> Response:
        if not self.asked:
            return _refused(f"Stack with id {form['StackName']} does not exist")
        outputs = (
            f"<member><OutputKey>ServerlessDeploymentBucketName</OutputKey><OutputValue>{BUCKET}</OutputValue></member>"
        )
        name = self.asked[-1].name
        status = "CREATE_COMPLETE" if len(self.asked) == 1 else "UPDATE_COMPLETE"
        stack = (
            f"<StackId>{_identifier(name)}</StackId><StackName>{name}</StackName><StackStatus>{status}</StackStatus>"
            f"<CreationTime>{TIME}</CreationTime><Outputs>{outputs}</Outputs>"
        )
        return _answered("DescribeStacks", f"<Stacks><member>{stack}</member></Stacks>")

    def _events(self, _form: dict[str, str]) -> Response:
        last = self.asked[-1]
        kind = last.action.removesuffix("Stack").upper()
        events = "".join(
            f"<member><StackId>{_identifier(last.name)}</StackId><EventId>{len(self.asked)}-{state}</EventId>"
            f"<StackName>{last.name}</StackName><LogicalResourceId>{last.name}</LogicalResourceId>"
            f"<ResourceType>AWS::CloudFormation::Stack</ResourceType><ResourceStatus>{kind}_{state}</ResourceStatus>"
            f"<Timestamp>{TIME}</Timestamp></member>"
            for state in ("COMPLETE", "IN_PROGRESS")  # the newest first
        )
        return _answered("DescribeStackEvents", f"<StackEvents>{events}</StackEvents>")

    def _resource(self, form: dict[str, str]) -> Response:
        detail = (
            f"<LogicalResourceId>{form['LogicalResourceId']}</LogicalResourceId>"
            f"<PhysicalResourceId>{BUCKET}</PhysicalResourceId>"
        )
        return _answered("DescribeStackResource", f"<StackResourceDetail>{detail}</StackResourceDetail>")


def _pairs(form: dict[str, str], listed: str, key: str, value: str) -> dict[str, str]:
    found, number = {}, 1
    while (name := form.get(f"{listed}.member.{number}.{key}")) is not None:
        found[name] = form[f"{listed}.member.{number}.{value}"]
        number += 1
    return found


def _identifier(name: str) -> str:
    return f"arn:aws:cloudformation:eu-west-1:123456789012:stack/{name}/1"


def _answered(action: str, inner: str) -> Response:
    return Response(
        f"<{action}Response><{action}Result>{inner}</{action}Result></{action}Response>", media_type="text/xml"
    )


def _refused(message: str) -> Response:
    error = f"<Error><Type>Sender</Type><Code>ValidationError</Code><Message>{escape(message)}</Message></Error>"
    return Response(f"<ErrorResponse>{error}</ErrorResponse>", 400, media_type="text/xml")


def _unknown(form: dict[str, str]) -> Response:
    return _refused(f"{form['Action']} is not known here")
