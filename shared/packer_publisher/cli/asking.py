"""Asking a person at a terminal; only a clear yes is one."""

from __future__ import annotations

import sys

import click


def agreed(question: str) -> bool:
    """Return whether a person says yes; no answer at all (Ctrl-D) is none.

    Ctrl-C leaves as KeyboardInterrupt, which is the program's own status 130; click's question makes a no of it.
    """
    while True:
        click.echo(question, nl=False)
        answer = sys.stdin.readline()
        match answer.strip().lower():
            case "y" | "yes":
                return True
            case "n" | "no":
                return False
            case "":
                if not answer:
                    click.echo()
                return False
        click.echo("Please answer y or n.")
