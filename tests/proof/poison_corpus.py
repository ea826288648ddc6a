"""The corpus: single messages that are kept as files, each with the outcome that it must have.

``tests/events/poison/<cloud>/<outcome>/<name>``; in ``any`` instead of a cloud lie bodies for all three. A file is the
body as it arrives, byte by byte, which Pub/Sub pushes to Google's function; one that ends in ``.http`` is a whole
request: its first line the path, then headers, an empty line, and the body.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packer_publisher.image import Platform
from tests.proof.poison_doors import Message
from tests.proof.poison_requests import push

CORPUS = Path(__file__).parents[1] / "events" / "poison"
FOLDERS = {Platform.AWS: "aws", Platform.AZURE: "azure", Platform.GCE: "gcp"}


@dataclass(frozen=True, slots=True)
class Case:
    """One file of the corpus: for whom, what must become of it, and the message."""

    cloud: Platform
    name: str
    outcome: str
    message: Message

    def __str__(self) -> str:
        return f"{self.cloud}-{self.name}"


def cases() -> Iterator[Case]:
    """Yield every case, those of ``any`` once for each cloud."""
    for cloud, folder in FOLDERS.items():
        for name in ("any", folder):
            for path in sorted((CORPUS / name).glob("*/*")):
                yield Case(cloud, f"{name}/{path.name}", path.parent.name, read(path, cloud))


def read(path: Path, cloud: Platform) -> Message:
    """Return the message that a file holds, as its cloud delivers it."""
    text = path.read_bytes()
    if path.suffix != ".http":
        return push(text) if cloud is Platform.GCE else Message(text)
    head, _, body = text.partition(b"\n\n")
    where, *headers = head.decode("latin-1").split("\n")
    pairs = [header.partition(": ") for header in headers]
    return Message(body, tuple((name, value) for name, _, value in pairs), where)


def keep(cloud: Platform, name: str, message: Message) -> Path:
    """Write a message into the corpus, where a person finds it and decides what must become of it."""
    folder = CORPUS / "found" / FOLDERS[cloud]
    folder.mkdir(parents=True, exist_ok=True)
    if cloud is Platform.GCE:
        path = folder / f"{name}.http"
        head = "\n".join([message.path, *(f"{key}: {value}" for key, value in message.headers)])
        path.write_bytes(head.encode("latin-1") + b"\n\n" + message.body)
    else:
        path = folder / f"{name}.json"
        path.write_bytes(message.body)
    return path
