"""The configuration document of a deployment, put beside the function as JSON."""

from __future__ import annotations

from pathlib import Path

from infra.package.refusal import Refused

from packer_publisher.configuration import read_configuration
from packer_publisher.document import read_document, to_json
from packer_publisher.errors import ConfigurationError

NAME = "publisher.json"


def as_json(path: Path) -> str:
    """Return a configuration document, JSON or YAML, as the JSON that the functions read.

    Raises Refused with everything that is wrong with it: what a function would refuse at its start is refused here.
    """
    try:
        document = read_document(path)
        read_configuration(document)
    except ConfigurationError as problem:
        raise Refused(f"{problem}\n{problem.remedy}" if problem.remedy else str(problem)) from problem
    return to_json(document)
