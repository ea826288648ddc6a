"""Images as text, for the journal, and back: what a survey found outlives the process."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import datetime
from typing import Any

from packer_publisher.image import Artifact, Image, ImageRef, ImageState, Platform


def write_image(image: Image) -> str:
    """Return an image as JSON, every field of it; equal images give equal texts."""
    document = {entry.name: getattr(image, entry.name) for entry in fields(image)}
    document |= {
        "ref": [image.ref.platform, image.ref.owner_id, image.ref.region, image.ref.identifier],
        "created_at": image.created_at.isoformat(),
        "artifacts": [[artifact.region, artifact.external_identifier] for artifact in image.artifacts],
        "tags": dict(image.tags),
    }
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


def read_image(text: str) -> Image:
    """Return the image that :func:`write_image` wrote."""
    document: dict[str, Any] = json.loads(text)
    platform, owner_id, region, identifier = document["ref"]
    pairs = {name: tuple((key, value) for key, value in document[name]) for name in ("labels", "identity")}
    return Image(
        **document
        | pairs
        | {
            "ref": ImageRef(Platform(platform), owner_id, region, identifier),
            "state": ImageState(document["state"]),
            "created_at": datetime.fromisoformat(document["created_at"]),
            "artifacts": tuple(Artifact(*artifact) for artifact in document["artifacts"]),
            "stands_behind": tuple((key, value) for key, value in document["stands_behind"]),
        }
    )
