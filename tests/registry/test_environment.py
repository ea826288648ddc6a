"""The HCP_* variables mean what they mean to HashiCorp's SDK."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from packer_publisher.errors import ConfigurationError, CredentialsTrouble, PublisherError
from packer_publisher.registry import read_environment
from packer_publisher.registry.environment import Endpoint
from packer_publisher.registry.principals import (
    ClientCredentials,
    FromAWS,
    FromFile,
    FromText,
    FromURL,
    FromVariable,
    Pick,
    WorkloadIdentity,
)

KEY = {"HCP_CLIENT_ID": "made-up-client", "HCP_CLIENT_SECRET": "made-up-secret"}
PROVIDER = "iam/project/p/service-principal/s/workload-identity-provider/w"


def refused(environ: dict[str, str], kind: type[PublisherError] = ConfigurationError) -> tuple[str, str]:
    with pytest.raises(kind) as caught:
        read_environment(environ)
    assert "made-up-secret" not in f"{caught.value}{caught.value!r}{caught.value.remedy}"
    return str(caught.value), caught.value.remedy


def test_the_defaults_are_the_american_hcp() -> None:
    """Without anything but a key, HCP is in the US and organization and project are not known."""
    environment = read_environment(KEY)

    assert Endpoint("https://api.cloud.hashicorp.com:443", checked=True) == environment.api
    assert Endpoint("https://auth.idp.hashicorp.com", checked=True) == environment.auth
    assert ("", "") == (environment.organization_id, environment.project_id)


def test_a_geography_moves_both_addresses() -> None:
    """HCP_GEOGRAPHY=eu moves API and auth together."""
    environment = read_environment({**KEY, "HCP_GEOGRAPHY": "eu"})

    assert "https://api.cloud.eu.hashicorp.com" == environment.api.url
    assert "https://auth.idp.eu.hashicorp.com" == environment.auth.url


def test_single_addresses_override_the_geography() -> None:
    """HCP_API_ADDRESS and HCP_AUTH_URL are read after HCP_GEOGRAPHY."""
    environment = read_environment(
        {**KEY, "HCP_GEOGRAPHY": "eu", "HCP_API_ADDRESS": "api.example:8443", "HCP_AUTH_URL": "https://auth.example"}
    )

    assert "https://api.example:8443" == environment.api.url
    assert "https://auth.example" == environment.auth.url


def test_the_legacy_host_wins_and_loses_its_scheme() -> None:
    """HCP_API_HOST is read last, and a leading https:// is dropped."""
    environment = read_environment({**KEY, "HCP_API_ADDRESS": "one.example", "HCP_API_HOST": "HTTPS://two.example"})

    assert "https://two.example" == environment.api.url


def test_the_path_of_the_auth_url_does_not_matter() -> None:
    """The SDK replaces the path of HCP_AUTH_URL by its own."""
    environment = read_environment({**KEY, "HCP_AUTH_URL": "https://auth.example/some/path"})

    assert "https://auth.example" == environment.auth.url


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost:8080", "[::1]:8080"])
def test_plain_http_for_tokens_is_for_this_machine(host: str) -> None:
    """HCP_AUTH_URL may be plain http where its host is this machine: the one deviation from the SDK."""
    assert f"http://{host}" == read_environment({**KEY, "HCP_AUTH_URL": f"http://{host}"}).auth.url


@pytest.mark.parametrize("setting", ["insecure", "disabled"])
def test_tls_settings(setting: str) -> None:
    """``insecure`` skips the certificate check; ``disabled`` is plain http for the API and nothing for auth."""
    environment = read_environment({**KEY, "HCP_API_TLS": setting, "HCP_AUTH_TLS": setting})

    scheme, checked = ("http", True) if setting == "disabled" else ("https", False)
    assert Endpoint(f"{scheme}://api.cloud.hashicorp.com:443", checked) == environment.api
    assert Endpoint("https://auth.idp.hashicorp.com", checked) == environment.auth


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"HCP_GEOGRAPHY": "EU"}, "HCP_GEOGRAPHY is 'EU': HCP has the geographies 'us' and 'eu'."),
        ({"HCP_GEOGRAPHY": ""}, "HCP_GEOGRAPHY is '': HCP has the geographies 'us' and 'eu'."),
        (
            {"HCP_API_TLS": "off"},
            "HCP_API_TLS is 'off': it takes 'insecure' (no certificate check) or 'disabled' (plain http).",
        ),
        (
            {"HCP_AUTH_TLS": ""},
            "HCP_AUTH_TLS is '': it takes 'insecure' (no certificate check) or 'disabled' (plain http).",
        ),
        (
            {"HCP_AUTH_URL": "http://auth.example"},
            "HCP_AUTH_URL is 'http://auth.example': a secret is sent there, so it must be https unless the host is "
            "this machine.",
        ),
        ({"HCP_AUTH_URL": "auth.example"}, "HCP_AUTH_URL is 'auth.example': it takes an https URL with a host."),
        ({"HCP_AUTH_URL": ""}, "HCP_AUTH_URL is '': it takes an https URL with a host."),
        (
            {"HCP_AUTH_URL": "https://me:made-up-secret@auth.example"},
            "HCP_AUTH_URL contains a user name or password: it takes a plain URL.",
        ),
        (
            {"HCP_API_ADDRESS": "https://api.example"},
            "HCP_API_ADDRESS is 'https://api.example': it takes host or host:port, without scheme and path.",
        ),
        (
            {"HCP_API_ADDRESS": "me:made-up-secret@api.example"},
            "HCP_API_ADDRESS contains a user name or password: it takes host or host:port.",
        ),
        (
            {"HCP_API_ADDRESS": ""},
            "HCP_API_ADDRESS is '': it takes host or host:port, without scheme and path.",
        ),
        (
            {"HCP_API_ADDRESS": "api.example:99999"},
            "HCP_API_ADDRESS is 'api.example:99999': it takes host or host:port, without scheme and path.",
        ),
        (
            {"HCP_API_HOST": "http://api.example"},
            "HCP_API_HOST is 'http://api.example': it takes host or host:port, without scheme and path.",
        ),
        (
            {"HCP_ORGANIZATION_ID": "", "HCP_PROJECT_ID": "p"},
            "HCP_ORGANIZATION_ID is '' although HCP_PROJECT_ID has a value: HashiCorp's SDK takes both or neither.",
        ),
        (
            {"HCP_PROJECT_ID": "../x"},
            "HCP_PROJECT_ID is '../x': it takes the id, a UUID, not a name or a path.",
        ),
    ],
)
def test_a_bad_value_is_refused_with_its_name(environ: dict[str, str], message: str) -> None:
    """Every refusal names the variable and its value, never a secret, and says what would be right."""
    text, remedy = refused({**KEY, **environ})

    assert message == text
    assert remedy.endswith(".")


@pytest.mark.parametrize("known", [{"HCP_PROJECT_ID": "p"}, {"HCP_ORGANIZATION_ID": "o"}])
def test_organization_and_project_may_be_given_alone(known: dict[str, str]) -> None:
    """One of the two ids is enough: the other is found out."""
    environment = read_environment({**KEY, **known})

    assert known.get("HCP_ORGANIZATION_ID", "") == environment.organization_id
    assert known.get("HCP_PROJECT_ID", "") == environment.project_id


def test_a_key_in_the_environment_wins(tmp_path: Path) -> None:
    """With both client variables the credential file is not even read."""
    path = tmp_path / "cred.json"
    path.write_text("not JSON")

    credentials = read_environment({**KEY, "HCP_CRED_FILE": str(path)}).credentials

    assert credentials == ClientCredentials("made-up-client", "made-up-secret", "HCP_CLIENT_ID and HCP_CLIENT_SECRET")
    assert "made-up-secret" not in repr(credentials)


def test_half_a_key_is_no_key(tmp_path: Path) -> None:
    """One client variable alone is passed over, as in the SDK, and named when nothing else is there."""
    path = tmp_path / ".config" / "hcp" / "cred_file.json"
    path.parent.mkdir(parents=True)
    path.write_text(
        json.dumps({"scheme": "service_principal_creds", "oauth": {"client_id": "c", "client_secret": "s"}})
    )

    found = read_environment({"HCP_CLIENT_ID": "x", "HOME": str(tmp_path), "USERPROFILE": str(tmp_path)})

    assert ClientCredentials("c", "s", f"credential file {str(path)!r}") == found.credentials
    text, _remedy = refused({"HCP_CLIENT_ID": "x"}, CredentialsTrouble)
    assert "There are no credentials for HCP. HCP_CLIENT_SECRET is not set, the other one is." == text


def test_an_empty_half_is_refused() -> None:
    """Both variables present and one of them empty is an error in the SDK too."""
    text, _remedy = refused({"HCP_CLIENT_ID": "", "HCP_CLIENT_SECRET": "made-up-secret"})

    assert "HCP_CLIENT_ID is empty: HCP_CLIENT_ID and HCP_CLIENT_SECRET belong together." == text


def test_no_credentials_at_all(tmp_path: Path) -> None:
    """A missing default file is no error of its own, a missing named one is."""
    text, remedy = refused({"HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}, CredentialsTrouble)
    assert "There are no credentials for HCP." == text
    assert remedy.startswith("Set HCP_CLIENT_ID and HCP_CLIENT_SECRET to a service principal's key, or HCP_CRED_FILE")

    missing = str(tmp_path / "missing.json")
    text, _remedy = refused({"HCP_CRED_FILE": missing})
    assert f"HCP_CRED_FILE is {missing!r}, but there is no such file." == text


@pytest.mark.parametrize(
    ("workload", "source"),
    [
        ({"token": {"token": "made-up"}}, FromText("made-up")),
        ({"env": {"var": "TOKEN"}}, FromVariable("TOKEN", Pick())),
        ({"file": {"path": "/run/token"}}, FromFile("/run/token", Pick())),
        ({"aws": {"imds_v2": True}}, FromAWS()),
        (
            {
                "url": {
                    "url": "http://169.254.169.254/x",
                    "headers": {"Metadata": "True"},
                    "format_type": "json",
                    "subject_cred_pointer": "/access_token",
                }
            },
            FromURL("http://169.254.169.254/x", (("Metadata", "True"),), Pick("/access_token")),
        ),
    ],
)
def test_workload_identities(tmp_path: Path, workload: dict[str, Any], source: object) -> None:
    """A credential file of scheme ``workload`` names the provider and exactly one source."""
    path = tmp_path / "cred.json"
    path.write_text(json.dumps({"scheme": "workload", "workload": {"provider_resource_name": PROVIDER, **workload}}))

    credentials = read_environment({"HCP_CRED_FILE": str(path)}).credentials

    assert isinstance(credentials, WorkloadIdentity)
    assert PROVIDER == credentials.provider
    assert source == credentials.source


@pytest.mark.parametrize(
    ("document", "what"),
    [
        ("[]", "it must be a JSON object"),
        ({"scheme": "other"}, "'scheme' must be 'service_principal_creds' or 'workload'"),
        ({"scheme": "service_principal_creds"}, "scheme 'service_principal_creds' needs the object 'oauth'"),
        (
            {"scheme": "service_principal_creds", "oauth": {"client_secret": "made-up-secret"}},
            "'oauth' needs both 'client_id' and 'client_secret'",
        ),
        (
            {"scheme": "workload", "oauth": {}, "workload": {}},
            "it holds both 'oauth' and 'workload', only one is allowed",
        ),
        ({"scheme": "workload", "workload": {}}, "'workload' needs 'provider_resource_name'"),
        (
            {"scheme": "workload", "workload": {"provider_resource_name": PROVIDER}},
            "'workload' takes exactly one of 'aws', 'url', 'file', 'env', 'token'; it has none",
        ),
        (
            {"scheme": "workload", "workload": {"provider_resource_name": PROVIDER, "aws": {}, "env": {"var": "V"}}},
            "'workload' takes exactly one of 'aws', 'url', 'file', 'env', 'token'; it has 'aws' and 'env'",
        ),
        (
            {"scheme": "workload", "workload": {"provider_resource_name": PROVIDER, "file": {}}},
            "'file' needs 'path'",
        ),
        (
            {
                "scheme": "workload",
                "workload": {"provider_resource_name": PROVIDER, "env": {"var": "V", "format_type": "json"}},
            },
            "'env' needs 'subject_cred_pointer', a JSON pointer such as '/access_token'",
        ),
        (
            {
                "scheme": "workload",
                "workload": {"provider_resource_name": PROVIDER, "env": {"var": "V", "subject_cred_pointer": "/x"}},
            },
            "'subject_cred_pointer' of 'env' needs 'format_type' 'json'",
        ),
    ],
)
def test_a_broken_credential_file(tmp_path: Path, document: Any, what: str) -> None:
    """A credential file that breaks the rules is refused at start, with the rule."""
    path = tmp_path / "cred.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))

    text, _remedy = refused({"HCP_CRED_FILE": str(path)})

    assert f"The credential file {str(path)!r} is not usable: {what}." == text


def test_a_credential_file_that_is_not_json(tmp_path: Path) -> None:
    """The message tells the place, never the content; nor does the error carry it."""
    path = tmp_path / "cred.json"
    path.write_text('{"oauth": {"client_secret": "made-up-secret"')

    with pytest.raises(ConfigurationError) as caught:
        read_environment({"HCP_CRED_FILE": str(path)})

    assert f"The credential file {str(path)!r} is not JSON (line 1, column 45)." == str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
