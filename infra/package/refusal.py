"""The one error of packaging."""

from __future__ import annotations


class Refused(Exception):
    """An archive that is not built; the message says why, and what to do."""
