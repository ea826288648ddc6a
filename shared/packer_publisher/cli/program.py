"""The program: its commands, imported when they are called, and how errors become texts and exit statuses."""

from __future__ import annotations

import importlib
import logging
import os
import platform
from typing import Any, NoReturn

import click

from packer_publisher import __version__
from packer_publisher.errors import ConfigurationError, CredentialsTrouble, PublisherError, RegistryTrouble

FAILED, USAGE, DIFFERS, CREDENTIALS, UNREACHABLE, INTERRUPTED = 1, 2, 3, 4, 5, 130
"""The exit statuses besides 0; an error beats DIFFERS, and what could not be reached is never 0."""

COMMANDS = {
    "publish": ("packer_publisher.cli.publish:publish", "Record one image in HCP Packer."),
    "explain": (
        "packer_publisher.cli.explain:explain",
        "Say where an image belongs and what is missing; write nothing.",
    ),
    "sweep": ("packer_publisher.cli.sweep:sweep", "Go on with every version of a cloud's recent images."),
    "backfill": (
        "packer_publisher.cli.backfill:backfill",
        "Bring the images that exist already into their buckets.",
    ),
    "drift": ("packer_publisher.cli.drift:drift", "Compare the registry with the clouds; change nothing."),
    "doctor": ("packer_publisher.cli.doctor:doctor", "Say what is wrong with a deployment, and how to mend it."),
    "versions": ("packer_publisher.cli.versions:versions", "Complete or abandon a version that waits."),
    "mapping": (
        "packer_publisher.cli.mapping:mapping",
        "Check a mapping, which says where images without tags belong.",
    ),
    "config": ("packer_publisher.cli.config:config", "Check the configuration document."),
    "registry": ("packer_publisher.cli.registry:registry", "Run a local registry to try things out."),
    "demo": ("packer_publisher.cli.demo:demo", "Watch three clouds complete one version, on this machine alone."),
    "version": ("packer_publisher.cli.program:version", "Print the version of this program."),
}
"""Each command, where it lives and what the list of commands says of it: listing them imports none."""

EXTRAS = {
    "boto3": "aws", "botocore": "aws", "azure": "azure", "google": "gcp", "yaml": "cli", "rich": "cli", "re2": "cli",
    "starlette": "local", "uvicorn": "local", "moto": "local",
}  # fmt: skip
"""The extra of the package that brings a module."""


class Failure(click.ClickException):
    """An error with its exit status and what to do about it."""

    def __init__(self, message: str, remedy: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]  # click reads it here, and types it as the class's own
        self.remedy = remedy

    def show(self, file: Any = None) -> None:
        """Print what happened and what to do, on stderr."""
        click.echo(f"Error: {self.message}", file=file, err=True)
        if self.remedy:
            click.echo(f"What to do: {self.remedy}", file=file, err=True)


SDKS = ("azure", "botocore", "google", "urllib3")
"""Whose warnings are not for the screen: without a handler Python prints them, between our own lines."""


def exit_status(error: PublisherError) -> int:
    """Return the exit status of an error."""
    if isinstance(error, ConfigurationError):
        return USAGE
    if isinstance(error, CredentialsTrouble):
        return CREDENTIALS
    return UNREACHABLE if isinstance(error, RegistryTrouble) else FAILED


class Program(click.Group):
    """The group of all commands; every way to fail ends in one text and one exit status."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        """Return the commands in the order in which a person needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # click's
        """Return a command, imported now, None for an unknown one."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), name)
        if not isinstance(command, click.Command):
            raise TypeError(f"{module}:{name} is no command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # click's
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; the package's errors, a missing extra and Ctrl-C leave as :class:`Failure`."""
        if os.environ.get("NO_COLOR"):  # https://no-color.org
            ctx.color = False
        for name in SDKS:
            logging.getLogger(name).addHandler(logging.NullHandler())
        try:
            return super().invoke(ctx)
        except PublisherError as error:
            raise Failure(str(error), error.remedy, exit_status(error)) from error
        except ModuleNotFoundError as error:
            _missing(error)
        except KeyboardInterrupt as error:
            remedy = "run it again: what was written stays, and it goes on from there"
            raise Failure("interrupted", remedy, INTERRUPTED) from error


def _missing(error: ModuleNotFoundError) -> NoReturn:
    extra = EXTRAS.get((error.name or "").partition(".")[0])
    if extra is None:
        raise error
    remedy = f'pip install "packer-publisher[{extra}]"'
    raise Failure(f"this needs {error.name}, which is not installed", remedy, USAGE) from error


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80})
@click.version_option(__version__, message="%(prog)s %(version)s")
def program() -> None:
    """Record machine images in HCP Packer from their tags.

    Exit status: 0 done or nothing to do, 1 some images failed, 2 usage or configuration, 3 drift, or a dry run would
    change something (with --detailed-exitcode), 4 credentials, 5 registry unreachable, 130 interrupted.

    Not affiliated with HashiCorp or IBM.
    """


@click.command()
def version() -> None:
    """Print the version of this program and of Python."""
    click.echo(f"packer-publisher {__version__} (Python {platform.python_version()}, {platform.system()})")
