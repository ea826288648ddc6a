"""What a deployment to AWS may say: bad values are refused before anything is made, good ones reach the function."""

from __future__ import annotations

import json
from typing import Any

import pytest

from packer_publisher.configuration import read_configuration
from packer_publisher.credential_settings import Workload, read_credential_settings
from packer_publisher.document import find_document, to_json
from packer_publisher.secret_reference import SecretsManagerSecret, SystemsManagerParameter
from packer_publisher.settings import Settings
from tests.infra.cloudformation import AWS, decided, read_template, refusals, statements, worth

TEMPLATE = read_template("template.json")
FORWARDER = read_template("forwarder.yml")

PROVIDER = (
    "iam/project/0c3ba9b1-1f5c-4ad6-8a16-6f1a3f2f7c11/service-principal/packer-publisher/workload-identity-provider/aws"
)
SECRET = "arn:aws-us-gov:secretsmanager:us-gov-west-1:123456789012:secret:hcp/packer-AbCdEf"
KEY = "arn:aws-cn:kms:cn-north-1:123456789012:key/0c3ba9b1-1f5c-4ad6-8a16-6f1a3f2f7c11"
LEAST = {
    "CodeBucket": "releases",
    "CodeKey": "packer-publisher/1.zip",
    "Configuration": '{"buckets": {"web": {}}}',
    "HcpWorkloadProvider": PROVIDER,
}
DOCUMENT = find_document('{"buckets": {"web": {"expects": "aws azure"}, "team-*": {"create_buckets": "true"}}}')
"""A document as `packer-publisher config json` reads it, to be printed with and without --one-line."""
CLIENT = {"HcpWorkloadProvider": "", "HcpClientId": "4aBc", "HcpClientSecretArn": SECRET}


def environment(**given: str) -> dict[str, Any]:
    """Return the function's variables of a deployment."""
    resources = decided(TEMPLATE, LEAST | given)["Resources"]
    values: dict[str, Any] = resources["PublishLambdaFunction"]["Properties"]["Environment"]["Variables"]
    return values


def policies(**given: str) -> list[str]:
    """Return the names of the role's policies of a deployment."""
    role = decided(TEMPLATE, LEAST | given)["Resources"]["Role"]["Properties"]
    return [policy["PolicyName"] for policy in role["Policies"]]


REFUSED = [
    ({"Configuration": "publisher.yaml"}, "Configuration: must be a configuration document in JSON"),
    ({"Configuration": "{" + " " * 3000 + "}"}, "of at most 3,000 characters (PUBLISHER_CONFIG)"),
    ({"HcpWorkloadProvider": "my-provider"}, "(PUBLISHER_WORKLOAD_PROVIDER)"),
    ({"HcpWorkloadProvider": PROVIDER + "-*-*"}, "(PUBLISHER_WORKLOAD_PROVIDER)"),
    ({"HcpWorkloadProvider": PROVIDER.replace("packer-publisher", "*")}, "(PUBLISHER_WORKLOAD_PROVIDER)"),
    ({"HcpWorkloadProvider": ""}, "Say who the function is to HCP: HcpWorkloadProvider (no secret needed), or"),
    ({"HcpClientId": "4aBc", "HcpClientSecretArn": SECRET}, "Set HcpWorkloadProvider or HcpClientSecretArn, not both."),
    ({"HcpClientId": "4aBc"}, "HcpClientId needs HcpClientSecretArn, the place of its secret."),
    ({"HcpClientId": "4 aBc", "HcpWorkloadProvider": "", "HcpClientSecretArn": SECRET}, "(HCP_CLIENT_ID)"),
    (CLIENT | {"HcpClientSecretArn": "s3cr3t"}, "(PUBLISHER_CLIENT_SECRET), not the secret itself"),
    (CLIENT | {"HcpClientSecretArn": SECRET.replace("secretsmanager", "s3")}, "(PUBLISHER_CLIENT_SECRET)"),
    ({"ClientSecretKeyArn": KEY}, "ClientSecretKeyArn is the key of HcpClientSecretArn, which is not set."),
    ({"HcpProjectId": "my-project"}, "HcpProjectId: must be the UUID of an HCP project (HCP_PROJECT_ID)"),
    ({"HcpOrganizationId": "acme"}, "(HCP_ORGANIZATION_ID)"),
    ({"Regions": "eu-west-1; us-east-1"}, "(PUBLISHER_REGIONS)"),
    ({"Expects": "aws;azure"}, "(PUBLISHER_EXPECTS)"),
    ({"TagPrefix": ""}, "TagPrefix: must be the beginning of the contract's tag keys; without one, every tag"),
    ({"Registry": "Off"}, "Registry: has another value than those allowed"),
    ({"Paused": "yes"}, "Paused: has another value than those allowed"),
    ({"LogLevel": "verbose"}, "LogLevel: has another value than those allowed"),
    ({"LogRetentionDays": "10"}, "LogRetentionDays: has another value than those allowed"),
    ({"RolePath": "platform"}, "RolePath: must begin and end with a slash, like /platform/"),
    ({"RoleName": "my role"}, "RoleName: must be 1 to 64"),
    ({"FunctionName": "my function"}, "FunctionName: must be 1 to 64"),
    ({"PermissionsBoundaryArn": "boundary"}, "PermissionsBoundaryArn: must be the ARN of an IAM policy"),
    (
        {"PermissionsBoundaryArn": "arn:aws:iam::*:policy/b*"},
        "PermissionsBoundaryArn: must be the ARN of an IAM policy",
    ),
    ({"SubnetIds": "subnet-0a1b2c3d"}, "SubnetIds and SecurityGroupIds go together."),
    ({"SecurityGroupIds": "sg-0a1b2c3d"}, "SubnetIds and SecurityGroupIds go together."),
    ({"SubnetIds": "subnet-0a1b2c3d, subnet-1a1b2c3d", "SecurityGroupIds": "sg-0a1b2c3d"}, "no spaces between"),
    ({"HttpsProxy": "http://me:secret@proxy.example:3128"}, "HttpsProxy: must be a URL like"),
    ({"HttpsProxy": "proxy.example:3128"}, "(HTTPS_PROXY)"),
    ({"NoProxy": "one, two"}, "(NO_PROXY)"),
    ({"CaBundle": "/tmp/ca.pem"}, "CaBundle: must be the path of a PEM file under /opt"),  # noqa: S108  refused
    ({"CaLayerArn": "arn:aws:lambda:eu-west-1:123456789012:layer:ca:3"}, "CaLayerArn needs CaBundle"),
    ({"CaLayerArn": "arn:aws:lambda:eu-west-1:123456789012:layer:ca", "CaBundle": "/opt/ca.pem"}, "ending in a number"),
    ({"KmsKeyArn": "alias/mine"}, "KmsKeyArn: must be the ARN of a KMS key, not of an alias"),
    ({"AlarmTopicArn": "alarms"}, "AlarmTopicArn: must be the ARN of an SNS topic of this region"),
    ({"Dashboard": "no"}, "Dashboard: has another value than those allowed"),
    ({"CodeKey": "aws"}, "CodeKey: must be the key of a zip archive"),
    ({"CodeBucket": "Releases"}, "CodeBucket: must be the name of an S3 bucket"),
    ({"Region": "eu-west-1"}, "Region: is no parameter"),
]


@pytest.mark.parametrize(
    ("given", "sentence"), REFUSED, ids=lambda value: "-".join(value) if isinstance(value, dict) else ""
)
def test_a_bad_value_is_refused_with_a_sentence(given: dict[str, str], sentence: str) -> None:
    """CloudFormation says which parameter, and what it takes, before it makes anything."""
    said = refusals(TEMPLATE, LEAST | given)
    assert 1 == len(said)
    assert sentence in said[0]


def test_every_parameter_that_can_be_wrong_is_tried() -> None:
    """The list above misses none, and one without a default is asked for."""
    tried = {name for given, _ in REFUSED for name in given}
    assert set(TEMPLATE["Parameters"]) == tried & set(TEMPLATE["Parameters"])
    required = {"CodeBucket", "CodeKey", "Configuration"}
    assert {f"{name}: must have a value" for name in required} == set(
        refusals(TEMPLATE, {"HcpWorkloadProvider": PROVIDER})
    )


ACCEPTED: list[dict[str, str]] = [
    {},
    CLIENT | {"ClientSecretKeyArn": KEY},
    CLIENT | {"HcpClientId": ""},
    CLIENT | {"HcpClientSecretArn": "arn:aws:ssm:eu-west-1:123456789012:parameter/packer/hcp"},
    {"Configuration": "publisher.json"},
    {"Configuration": to_json(DOCUMENT)},
    {"Configuration": to_json(DOCUMENT, one_line=True)},
    {"HcpWorkloadProvider": "", "Registry": "off"},
    {"Regions": "eu-west-1 us-gov-west-1, ap-southeast-2"},
    {"Expects": "aws azure-arm.ubuntu gce"},
    {"Expects": ""},
    {"SubnetIds": "subnet-0a1b2c3d,subnet-1a1b2c3d", "SecurityGroupIds": "sg-0a1b2c3d"},
    {"HttpsProxy": "http://proxy.example:3128", "NoProxy": "localhost,.example,10.0.0.0/8", "CaBundle": "/opt/ca.pem"},
    {"CaLayerArn": "arn:aws:lambda:eu-west-1:123456789012:layer:ca:3", "CaBundle": "/opt/ca.pem"},
    {"KmsKeyArn": KEY, "PermissionsBoundaryArn": "arn:aws:iam::aws:policy/PowerUserAccess", "RolePath": "/a/b/"},
    {"HcpWorkloadProvider": f"{PROVIDER}-*", "PermissionsBoundaryArn": "arn:aws-us-gov:iam::*:policy/team/boundary"},
]


@pytest.mark.parametrize("given", ACCEPTED, ids=lambda given: "-".join(given) or "least")
def test_a_good_value_is_taken(given: dict[str, str]) -> None:
    """In all partitions, and with the function's own settings read without a complaint."""
    assert [] == refusals(TEMPLATE, LEAST | given)
    values = {"Events": "https://queue.example/", "AWS::AccountId": "123456789012"} | defaults() | LEAST | given
    own = {name: worth(value, values) for name, value in environment(**given).items()}
    own["AWS_LAMBDA_FUNCTION_NAME"] = "packer-publisher"
    asked = read_credential_settings(own)
    match asked:
        case Workload(provider):
            assert own["PUBLISHER_WORKLOAD_PROVIDER"] == provider
        case SecretsManagerSecret(arn) | SystemsManagerParameter(arn):
            assert own["PUBLISHER_CLIENT_SECRET"] == arn
        case _:
            assert given["Registry"] == "off"
    if own["PUBLISHER_CONFIG"].startswith("{"):
        assert Settings.from_environment(own).registry_off is (given.get("Registry") == "off")


def defaults() -> dict[str, str]:
    """Return the defaults of all parameters."""
    return {name: str(told["Default"]) for name, told in TEMPLATE["Parameters"].items() if "Default" in told}


def test_every_parameter_is_described() -> None:
    """And what can be refused says what would be right."""
    for template in (TEMPLATE, FORWARDER):
        for name, told in template["Parameters"].items():
            assert told["Description"], name
            assert ("AllowedPattern" in told) == ("ConstraintDescription" in told), name
            pattern = told.get("AllowedPattern", "^$")
            assert (pattern[0], pattern[-1]) == ("^", "$"), name  # whether CloudFormation adds these is not said


def test_what_is_not_set_is_not_there() -> None:
    """HashiCorp's SDK and TLS take an empty variable for a value; so these are left out."""
    assert {
        "PUBLISHER_CONFIG",
        "PUBLISHER_EXPECTS",
        "PUBLISHER_REGIONS",
        "PUBLISHER_LOG_LEVEL",
        "PUBLISHER_QUEUE",
        "PUBLISHER_WORKLOAD_PROVIDER",
    } == set(environment())
    assert ["images", "queue", "logs"] == policies()


@pytest.mark.parametrize(
    ("given", "variables", "added"),
    [
        (CLIENT, {"HCP_CLIENT_ID": "HcpClientId", "PUBLISHER_CLIENT_SECRET": "HcpClientSecretArn"}, ["client-secret"]),
        (CLIENT | {"ClientSecretKeyArn": KEY}, {}, ["client-secret", "client-secret-key"]),
        ({"HcpProjectId": KEY[-36:]}, {"HCP_PROJECT_ID": "HcpProjectId"}, []),
        ({"HcpOrganizationId": KEY[-36:]}, {"HCP_ORGANIZATION_ID": "HcpOrganizationId"}, []),
        ({"HttpsProxy": "http://p"}, {"HTTPS_PROXY": "HttpsProxy", "NO_PROXY": "NoProxy"}, []),
        ({"CaBundle": "/opt/ca.pem"}, {"SSL_CERT_FILE": "CaBundle", "AWS_CA_BUNDLE": "CaBundle"}, []),
        ({"KmsKeyArn": KEY}, {}, ["key"]),
        ({"SubnetIds": "subnet-1", "SecurityGroupIds": "sg-1"}, {}, ["vpc"]),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_an_option_brings_its_variables_and_permissions(
    given: dict[str, str], variables: dict[str, str], added: list[str]
) -> None:
    """And nothing else: least privilege for exactly what was asked for."""
    found = environment(**given)
    assert {name: {"Ref": parameter} for name, parameter in variables.items()} == {
        name: found[name] for name in variables
    }
    assert ["images", "queue", "logs", *added] == policies(**given)


def test_a_star_is_the_account_of_each_stack() -> None:
    """One set of values serves a StackSet over many accounts: a provider and a boundary for each, by its id."""
    given = {"HcpWorkloadProvider": f"{PROVIDER}-*", "PermissionsBoundaryArn": "arn:aws:iam::*:policy/team/boundary"}
    own = {name: value.replace("*", "210987654321") for name, value in given.items()}
    values = defaults() | LEAST | {"AWS::AccountId": "123456789012"}

    def found(told: dict[str, str]) -> tuple[str, str]:
        role = decided(TEMPLATE, LEAST | told)["Resources"]["Role"]["Properties"]
        both = environment(**told)["PUBLISHER_WORKLOAD_PROVIDER"], role["PermissionsBoundary"]
        return worth(both[0], values | told), worth(both[1], values | told)

    wanted = (f"{PROVIDER}-123456789012", "arn:aws:iam::123456789012:policy/team/boundary")
    assert wanted == found(given)
    assert tuple(own.values()) == found(own)
    assert "PermissionsBoundary" not in decided(TEMPLATE, LEAST)["Resources"]["Role"]["Properties"]
    forwarder = {"HomeRegion": "eu-west-1", "PermissionsBoundaryArn": given["PermissionsBoundaryArn"]}
    made = decided(FORWARDER, forwarder, {"AWS::Region": "us-west-2"})["Resources"]["Role"]["Properties"]
    assert wanted[1] == worth(made["PermissionsBoundary"], values | forwarder)


def test_names_network_and_authorities_reach_what_is_made() -> None:
    """Each parameter at its own place, none at another's; without them there is no VPC and no layer."""
    given = {
        "SubnetIds": "subnet-0a1b2c3d,subnet-1a1b2c3d",
        "SecurityGroupIds": "sg-0a1b2c3d",
        "CaLayerArn": "arn:aws:lambda:eu-west-1:123456789012:layer:ca:3",
        "CaBundle": "/opt/ca.pem",
        "RolePath": "/platform/",
        "RoleName": "publisher",
        "FunctionName": "images",
        "LogRetentionDays": "30",
    }
    values = defaults() | LEAST | given | {"AWS::Region": "eu-west-1"}
    resources = {name: each["Properties"] for name, each in decided(TEMPLATE, LEAST | given)["Resources"].items()}
    function, role, logs = (resources[name] for name in ("PublishLambdaFunction", "Role", "PublishLogGroup"))
    assert {
        "SubnetIds": ["subnet-0a1b2c3d", "subnet-1a1b2c3d"],
        "SecurityGroupIds": ["sg-0a1b2c3d"],
    } == {name: worth(each, values) for name, each in function["VpcConfig"].items()}
    assert [given["CaLayerArn"]] == [worth(each, values) for each in function["Layers"]]
    assert ("images", "publisher", "/platform/") == tuple(
        worth(each, values) for each in (function["FunctionName"], role["RoleName"], role["Path"])
    )
    assert ("/aws/lambda/images", "30") == (
        worth(logs["LogGroupName"], values),
        worth(logs["RetentionInDays"], values),
    )
    least = decided(TEMPLATE, LEAST)["Resources"]["PublishLambdaFunction"]["Properties"]
    assert not {"VpcConfig", "Layers", "KmsKeyArn"} & set(least)


def test_the_outputs_are_what_their_names_say() -> None:
    """What docs/aws.md puts into its commands."""
    outputs = {name: each["Value"] for name, each in TEMPLATE["Outputs"].items()}
    caller = outputs.pop("Caller")
    pseudo = {"AWS::Partition": "aws-us-gov", "AWS::AccountId": "123456789012"}
    assert "arn:aws-us-gov:sts::123456789012:assumed-role/packer-publisher/packer-publisher" == worth(
        caller, defaults() | pseudo
    )
    assert {
        "QueueUrl": {"Ref": "Events"},
        "QueueArn": {"Fn::GetAtt": ["Events", "Arn"]},
        "DeadLettersUrl": {"Ref": "DeadLetters"},
        "DeadLettersArn": {"Fn::GetAtt": ["DeadLetters", "Arn"]},
        "RoleArn": {"Fn::GetAtt": ["Role", "Arn"]},
        "LogGroup": {"Fn::Sub": "/aws/lambda/${FunctionName}"},
    } == outputs


def test_the_key_of_a_secret_is_used_in_the_secrets_region() -> None:
    """A secret need not lie in the home region; its service, and no other, may ask for the key."""
    (condition,) = (each["Condition"] for _, each in statements(TEMPLATE) if each.get("Sid") == "KeyOfThisSecret")
    asked = condition["StringLike"]["kms:ViaService"]
    values = defaults() | {"HcpClientSecretArn": SECRET}
    assert ["secretsmanager.us-gov-west-1.*", "ssm.us-gov-west-1.*"] == [worth(each, values) for each in asked]


def test_the_forwarders_queue_takes_a_key_of_its_own_region() -> None:
    """One id serves all regions where it is that of a multi-region key."""
    given = {"HomeRegion": "eu-west-1", "KmsKeyId": "mrk-0a1b2c3d"}
    pseudo = {"AWS::Partition": "aws", "AWS::Region": "us-west-2", "AWS::AccountId": "123456789012"}
    assert [] == refusals(FORWARDER, given)
    queue = decided(FORWARDER, given, pseudo)["Resources"]["DeadLetters"]["Properties"]
    assert "arn:aws:kms:us-west-2:123456789012:key/mrk-0a1b2c3d" == worth(queue["KmsMasterKeyId"], given | pseudo)
    assert "SqsManagedSseEnabled" not in queue
    (said,) = refusals(FORWARDER, given | {"KmsKeyId": "alias/mine"})
    assert "KmsKeyId: must be the id of a KMS key, not its ARN and no alias" == said


def test_the_secret_and_the_keys_are_allowed_by_their_own_arn() -> None:
    """One secret, one key for it, one key for the queue; no name with a wildcard."""
    role = {statement.get("Sid"): statement for name, statement in statements(TEMPLATE) if name == "Role"}
    assert {"Ref": "HcpClientSecretArn"} == role["ThisSecretOnly"]["Resource"]
    assert {"Ref": "ClientSecretKeyArn"} == role["KeyOfThisSecret"]["Resource"]
    assert {"Ref": "KmsKeyArn"} == role["KeyOfQueueAndSettings"]["Resource"]


def test_off_is_off_and_pause_is_a_pause() -> None:
    """`Registry: off` writes nothing; `Paused: true` leaves events in the queue and stops what would pile up there."""
    assert "off" == environment(Registry="off")["HCP_PACKER_REGISTRY"]
    for paused in ("true", "false"):
        resources = decided(TEMPLATE, LEAST | {"Paused": paused})["Resources"]
        runs = paused == "false"
        assert runs is resources["PublishEventSourceMappingSQSEvents"]["Properties"]["Enabled"]
        assert ("ENABLED" if runs else "DISABLED") == resources["SweepOften"]["Properties"]["State"]
        alarms = [each["Properties"] for each in resources.values() if each["Type"] == "AWS::CloudWatch::Alarm"]
        assert {runs} == {alarm["ActionsEnabled"] for alarm in alarms}


def test_a_dashboard_is_made_unless_nobody_wants_it() -> None:
    """It is the dearest part of a quiet account."""
    assert "DashboardPage" in decided(TEMPLATE, LEAST)["Resources"]
    assert "DashboardPage" not in decided(TEMPLATE, LEAST | {"Dashboard": "false"})["Resources"]


def test_a_key_of_the_team_is_used_everywhere() -> None:
    """For queues, logs and the function's settings; SQS's own key only without one."""
    resources = decided(TEMPLATE, LEAST | {"KmsKeyArn": KEY})["Resources"]
    for name in ("Events", "DeadLetters"):
        queue = resources[name]["Properties"]
        assert {"Ref": "KmsKeyArn"} == queue["KmsMasterKeyId"]
        assert "SqsManagedSseEnabled" not in queue
    assert {"Ref": "KmsKeyArn"} == resources["PublishLogGroup"]["Properties"]["KmsKeyId"]
    assert {"Ref": "KmsKeyArn"} == resources["PublishLambdaFunction"]["Properties"]["KmsKeyArn"]


def test_the_example_is_taken_as_it_is() -> None:
    """parameters.example.json names parameters that there are, and its configuration is valid."""
    listed = json.loads((AWS / "parameters.example.json").read_text("utf-8"))
    given = {each["ParameterKey"]: each["ParameterValue"] for each in listed}
    assert [] == refusals(TEMPLATE, given | {"CodeBucket": "releases", "CodeKey": "1.zip"})
    assert read_configuration(find_document(given["Configuration"])).policy({}).rules


def test_the_forwarder_refuses_what_is_no_region() -> None:
    """And puts its name and boundary where the team wants them."""
    assert [] == refusals(FORWARDER, {"HomeRegion": "us-gov-west-1", "RolePath": "/platform/"})
    (said,) = refusals(FORWARDER, {"HomeRegion": "Frankfurt"})
    assert "HomeRegion: must be an AWS region, like eu-west-1" == said
    assert ["HomeRegion: must have a value"] == refusals(FORWARDER, {})
    here = decided(FORWARDER, {"HomeRegion": "eu-west-1"}, {"AWS::Region": "eu-west-1"})["Resources"]
    assert {"DeadLetters", "DeadLettersAlarm"} == set(here)
