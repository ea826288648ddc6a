"""The mapping's list: a CSV file of images, their buckets and fingerprints, and what is refused of it."""

from __future__ import annotations

import pytest

from packer_publisher.document import MappingProblems
from packer_publisher.mapping_csv import read_list


def unlisted(text: str) -> str:
    with pytest.raises(MappingProblems) as caught:
        read_list(text, "images.csv")
    return str(caught.value)


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        ("images.csv, line 1, is empty; its first line is image,bucket,fingerprint", "\n\n"),
        ("images.csv, line 1, lists no image", "image,bucket,fingerprint\n"),
        ('images.csv, line 1, has the unknown column "buckte"; write bucket', "image,bucket,buckte\n"),
        ("images.csv, line 1, has the column bucket twice; keep one of them", "image,bucket,bucket\n"),
        (
            "images.csv, line 1, has no column image; the first line names the columns: image,bucket,fingerprint",
            "bucket,fingerprint\nweb,a\n",
        ),
        ("images.csv, line 2, has 1 cell, and the first line has 2", "image,bucket\nami-0abcdef0\n"),
        ("images.csv, line 3, has 2 cells, and the first line has 3", "image,bucket,fingerprint\n\nami-0abcdef0,web\n"),
        ("images.csv, line 2, bucket 'w_b' is no bucket name", "image,bucket\nami-0abcdef0,w_b\n"),
        ("images.csv, line 2, is not CSV (unexpected end of data)", 'image,bucket\n"ami-0abcdef0,web\n'),
    ],
)
def test_a_broken_list_is_refused_with_its_line(problem: str, text: str) -> None:
    """The exact texts, as a person reads them."""
    assert unlisted(text).startswith(problem)


def test_an_image_is_listed_once_by_an_address_that_names_it() -> None:
    """The same AMI with and without its region is one image; a bare Google name belongs to no project."""
    text = "image,bucket\nami-0abcdef0,web\neu-west-1:ami-0abcdef0,api\nubuntu-24,web\n"
    assert [
        "the mapping has 2 problems:",
        '  - images.csv, line 3, image "eu-west-1:ami-0abcdef0" is given twice (first in line 2); keep one',
        '  - images.csv, line 4, image "ubuntu-24" is no address of an image; write an AMI id, also as '
        "eu-west-1:ami-0123456789abcdef0; the ARM id of a managed image or of a gallery image version; a Google image "
        "as projects/PROJECT/global/images/NAME",
    ] == unlisted(text).splitlines()


def test_a_list_in_a_wrong_form_is_told_briefly() -> None:
    """Of a thousand broken rows the first twenty are told."""
    assert 21 == len(unlisted("image,bucket\n" + "x,web\n" * 1000).splitlines())
