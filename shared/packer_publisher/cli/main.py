"""The entry point of ``packer-publisher``; it works without click, if only to say that click is missing."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit: 0 done or nothing to do, 1 some images failed, 2 usage or configuration,
    3 drift, or a dry run would change something (``--detailed-exitcode``), 4 credentials, 5 registry unreachable, 130
    interrupted.
    """
    try:
        from packer_publisher.cli.program import program
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        sys.stderr.write('Error: the command line needs click.\nWhat to do: pip install "packer-publisher[cli]"\n')
        sys.exit(2)
    program(prog_name="packer-publisher")
