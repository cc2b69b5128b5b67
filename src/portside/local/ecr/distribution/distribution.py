"""`/v2/`: the distribution API, by which docker, podman and skopeo pull and push.

    request ─▶ password, or a link to one layer? ─▶ which repository, which thing?
        ├─ manifests/TAG or DIGEST   GET, HEAD, PUT       (`distribution_manifest`)
        ├─ blobs/DIGEST              GET, HEAD            (`distribution_blob`)
        ├─ blobs/uploads/[ID]        POST, PATCH, PUT …   (`distribution_blob`)
        └─ tags/list, _catalog       GET

Source: OCI distribution specification 1.1; the codes beside ECR's words were seen on AWS where a
line says so.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, unquote, urlencode

from portside.local.ecr.login import Verdict
from portside.local.protocol.fault import Fault
from portside.local.protocol.message import Response
from portside.local.state.database import StateFileError

if TYPE_CHECKING:
    from portside.local.asgi import Body
    from portside.local.ecr.catalog.catalog import Catalog
    from portside.local.ecr.distribution.distribution_blob import Blobs
    from portside.local.ecr.distribution.distribution_manifest import Manifests
    from portside.local.ecr.login import Login
    from portside.local.ecr.lookup import Lookup
    from portside.local.protocol.message import Request

ROOT: Final = "/v2/"

_VERSION: Final = ("Docker-Distribution-Api-Version", "registry/2.0")
_PAGE: Final = 100
_MOST: Final = 1000
"""Of names on a page. BC MaxResults."""
# No grammar of names: each is looked for in the catalog, and is part of no path.
_NAME: Final = r"(?P<name>[a-z0-9][a-z0-9._/-]{0,255})"
_ROUTES: Final = {
    "tags": re.compile(rf"{_NAME}/tags/list"),
    "manifest": re.compile(rf"{_NAME}/manifests/(?P<reference>[\w][\w.:-]{{0,299}})", re.ASCII),
    "upload": re.compile(rf"{_NAME}/blobs/uploads/(?P<upload>[0-9a-f-]{{0,36}})"),
    "blob": re.compile(rf"{_NAME}/blobs/(?P<digest>[\w+.-]+:[\w]+)", re.ASCII),
}

_CODES: Final = {
    "RepositoryNotFoundException": ("NAME_UNKNOWN", 404),  # seen: actions/starter-workflows#2647
    "UploadNotFoundException": ("BLOB_UPLOAD_UNKNOWN", 404),
    "InvalidLayerPartException": ("BLOB_UPLOAD_INVALID", 416),
    "EmptyUploadException": ("BLOB_UPLOAD_INVALID", 400),
    "InvalidLayerException": ("DIGEST_INVALID", 400),
    "LayersNotFoundException": ("BLOB_UPLOAD_UNKNOWN", 404),  # seen: oras-project/oras-py#54
    "ReferencedImagesNotFoundException": ("MANIFEST_BLOB_UNKNOWN", 404),
    "ImageDigestDoesNotMatchException": ("MANIFEST_INVALID", 400),  # go-containerregistry#1568
    "ImageTagAlreadyExistsException": ("TAG_INVALID", 400),  # seen: moby/buildkit#3776
    "InvalidParameterException": ("UNSUPPORTED", 405),  # seen: openai/tart#890
    "RequestEntityTooLargeException": ("SIZE_INVALID", 413),
    "ServiceUnavailable": ("UNAVAILABLE", 503),
}
"""The codes of the distribution API for those of ECR, and their statuses."""


class Distribution:
    """Answers what is asked under `/v2/`; `address` is the registry's host and port."""

    def __init__(
        self,
        catalog: Catalog,
        *,
        manifests: Manifests,
        blobs: Blobs,
        lookup: Lookup,
        login: Login,
        address: str,
    ) -> None:
        self._catalog = catalog
        self._manifests = manifests
        self._blobs = blobs
        self._lookup = lookup
        self._login = login
        self._address = address

    async def answer(self, request: Request, body: Body) -> Response:
        """Answer a request; raises `ClientGoneError`."""
        try:
            return await self._answer(request, body)
        except Fault as fault:
            code, status = _CODES.get(fault.code, (fault.code, fault.status))
            return refuse(status, code, fault.message or "")
        except StateFileError as error:
            return refuse(503, "UNAVAILABLE", f"The local SageMaker {error.message}. {error.hint}")

    async def _answer(self, request: Request, body: Body) -> Response:
        path = unquote(request.path.removeprefix(ROOT.rstrip("/"))).removeprefix("/")
        query = dict(parse_qsl(request.query))
        found = {kind: route.fullmatch(path) for kind, route in _ROUTES.items()}
        if (refused := self._check(request, query, blob=found["blob"])) is not None:
            return refused
        match request.method, path:
            case "GET" | "HEAD", "":
                return _json({})
            case "GET", "_catalog":
                return self._repositories(query)
        if (asked := found["tags"]) and request.method == "GET":
            return self._tags(asked["name"], query)
        if asked := found["manifest"]:
            repository = self._lookup.named(asked["name"])
            return await self._manifests.answer(request, repository, asked["reference"], body)
        if asked := found["upload"]:
            name = self._lookup.named(asked["name"]).name
            return await self._blobs.upload(request, name, asked["upload"], query, body)
        if asked := found["blob"]:
            return await self._blobs.read(
                request, self._lookup.named(asked["name"]).name, asked["digest"]
            )
        return refuse(404, "UNSUPPORTED", f"There is no {request.method} {request.path}")

    def _check(
        self, request: Request, query: dict[str, str], *, blob: re.Match[str] | None
    ) -> Response | None:
        """What is answered to those who may not; None for all others."""
        authorization = request.header("authorization")
        verdict = self._login.check(authorization)
        if blob and authorization is None and request.method in {"GET", "HEAD"}:
            verdict = self._login.check_link(query, repository=blob["name"], digest=blob["digest"])
        match verdict:
            case Verdict.WELCOME:
                return None
            case Verdict.EXPIRED:
                message = "Your authorization token has expired. Reauthenticate and try again."
                return refuse(403, "DENIED", message)
            case Verdict.UNKNOWN:
                challenge = f'Basic realm="http://{self._address}/",service="ecr.amazonaws.com"'
                answer = refuse(401, "UNAUTHORIZED", "Not Authorized")
                headers = (*answer.headers, ("WWW-Authenticate", challenge))
                return Response(status=401, headers=headers, body=answer.body)

    def _repositories(self, query: dict[str, str]) -> Response:
        limit = _limit(query)
        after = query.get("last", "")
        found = [one.name for one in self._catalog.repositories.page(after=after, limit=limit + 1)]
        return _page("_catalog", {}, "repositories", found, limit=limit)

    def _tags(self, name: str, query: dict[str, str]) -> Response:
        repository, limit = self._lookup.named(name).name, _limit(query)
        found = self._catalog.images.tag_page(
            repository, after=query.get("last", ""), limit=limit + 1
        )
        return _page(f"{name}/tags/list", {"name": name}, "tags", found, limit=limit)


def refuse(status: int, code: str, message: str) -> Response:
    """An error in the form of the distribution API."""
    body = json.dumps({"errors": [{"code": code, "message": message}]}).encode() + b"\n"
    return Response(
        status=status, headers=(_VERSION, ("Content-Type", "application/json")), body=body
    )


def _json(content: dict[str, object], *more: tuple[str, str]) -> Response:
    headers = (_VERSION, ("Content-Type", "application/json"), *more)
    return Response(status=200, headers=headers, body=json.dumps(content).encode())


def _limit(query: dict[str, str]) -> int:
    n = query.get("n", str(_PAGE))
    is_number = n.isascii() and n.isdecimal() and len(n) <= 9
    if not is_number or int(n) == 0:
        raise Fault("PAGINATION_NUMBER_INVALID", f"'{n}' is no number of results")
    return min(int(n), _MOST)


def _page(
    path: str, content: dict[str, object], key: str, found: list[str], *, limit: int
) -> Response:
    """A page, with a link to the next where one more was found than asked for."""
    if len(found) <= limit:
        return _json(content | {key: found})
    page = found[:limit]
    following = urlencode({"n": limit, "last": page[-1]})
    link = ("Link", f'<{ROOT}{path}?{following}>; rel="next"')
    return _json(content | {key: page}, link)
