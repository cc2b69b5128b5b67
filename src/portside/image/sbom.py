"""What software is in an image: a bill of materials in SPDX 2.3, as JSON.

Of the base its name and digest are told; what a base holds its own bill tells. Of an image that a
Dockerfile made nothing else is known than its name and digest.
Source: the SPDX specification 2.3, chapters 6, 7 and 11.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from portside import __version__
from portside.image.base_image import Base
from portside.image.build import Image
from portside.image.layer import LayerKind, Part
from portside.image.oci import EPOCH

_NAMESPACE: Final = "https://portside.readthedocs.io/spdx"
_UNKNOWN: Final = "NOASSERTION"
_NO_ID: Final = re.compile(r"[^A-Za-z0-9.-]+")


def bill(image: Image) -> bytes:
    """The bill; the same image gives the same bytes."""
    described = _package(
        "image", image.name, version=image.digest, purl=None, license_text=_UNKNOWN
    )
    bases = () if image.base is None else (_base(image.base),)
    parts = [
        part
        for layer in image.layers
        if layer.kind in {LayerKind.DEPENDENCIES, LayerKind.RUNTIME}
        for part in layer.parts
    ]
    packages = [described, *bases, *map(_distribution, parts)]
    relations = [("SPDXRef-DOCUMENT", "DESCRIBES", described["SPDXID"])]
    relations += [(described["SPDXID"], "CONTAINS", package["SPDXID"]) for package in packages[1:]]
    document = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": image.name,
        "documentNamespace": f"{_NAMESPACE}/{image.digest.removeprefix('sha256:')}",
        "creationInfo": {"created": EPOCH, "creators": [f"Tool: portside-{__version__}"]},
        "packages": packages,
        "relationships": [
            {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}
            for one, kind, other in relations
        ],
    }
    return json.dumps(document, indent=2).encode() + b"\n"


def _base(base: Base) -> dict[str, Any]:
    return _package("base", base.name, version=base.digest, purl=None, license_text=_UNKNOWN)


def _distribution(part: Part) -> dict[str, Any]:
    return _package(
        f"pypi-{part.name}",
        part.name,
        version=part.version,
        purl=f"pkg:pypi/{part.name}@{part.version}",
        license_text=part.license or _UNKNOWN,
    )


def _package(
    identity: str, name: str, *, version: str, purl: str | None, license_text: str
) -> dict[str, Any]:
    package: dict[str, Any] = {
        "SPDXID": f"SPDXRef-{_NO_ID.sub('-', identity)}",
        "name": name,
        "versionInfo": version,
        "downloadLocation": _UNKNOWN,
        "filesAnalyzed": False,
        "licenseConcluded": _UNKNOWN,
        "licenseDeclared": license_text,
        "copyrightText": _UNKNOWN,
    }
    if purl:
        package["externalRefs"] = [
            {
                "referenceCategory": "PACKAGE-MANAGER",
                "referenceType": "purl",
                "referenceLocator": purl,
            }
        ]
    return package
