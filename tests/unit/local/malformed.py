"""Requests after botocore's shapes, right and wrong in every way that a caller could think of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from botocore.model import ListShape, MapShape, StructureShape
from hypothesis import strategies as st

from tests.unit.local.state_fakes import ARN, IMAGE, URL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botocore.model import Shape

NAMES = ("ner", "NER", "one", "one", "two", "AllTraffic", "AllTraffic", "missing", "a b", "")
"""Some of which name what is there."""

ODD_TEXTS = ("", " ", "\x00", "é", "\N{SNOWMAN}", "a" * 3000, "$(id)", "../..", "{}", "null", "'\"")

ODD: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(min_value=-(2**65), max_value=2**65),
    st.sampled_from([0, -1, 1e308, 0.5, 2**31, 2**63]),
    st.sampled_from(ODD_TEXTS),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.sampled_from(ODD_TEXTS), st.integers(), max_size=2),
)
"""A value with no thought for what is wanted."""


@st.composite
def requests(draw: st.DrawFn, shape: Shape | None) -> Any:
    """A JSON document for an input shape, with nothing, one thing or two things odd about it."""
    if shape is None:
        return {}
    document = [draw(_fitting(shape, depth=0))]
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 1, 2]))):
        holder, key = draw(st.sampled_from(list(_places(document))))
        holder[key] = draw(ODD)
    return document[0]


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Everything that could be replaced, as what holds it and under which key."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in list(items):
        yield value, key
        if isinstance(item, dict | list):
            yield from _places(item)


def _fitting(shape: Shape, *, depth: int) -> st.SearchStrategy[Any]:
    if depth > 6:
        return st.none()
    match shape:
        case StructureShape():
            return _structures(shape, depth=depth)
        case ListShape():
            member = _fitting(shape.member, depth=depth + 1)
            return st.lists(member, min_size=shape.metadata.get("min", 0), max_size=2)
        case MapShape():
            return st.dictionaries(
                _texts(shape.key), _fitting(shape.value, depth=depth + 1), max_size=3
            )
        case _:
            return _scalars(shape)


def _structures(shape: StructureShape, *, depth: int) -> st.SearchStrategy[Any]:
    members = {
        name: _fitting(member, depth=depth + 1)
        for name, member in shape.members.items()
        if "location" not in member.serialization
    }
    required = {name: members[name] for name in shape.required_members if name in members}
    optional = {name: value for name, value in members.items() if name not in required}
    few = st.lists(st.sampled_from(sorted(optional)), max_size=2) if optional else st.just([])
    return few.flatmap(
        lambda names: st.fixed_dictionaries(required | {name: optional[name] for name in names})
    )


def _scalars(shape: Shape) -> st.SearchStrategy[Any]:
    low, high = shape.metadata.get("min", 0), shape.metadata.get("max", 10_000)
    match shape.type_name:
        case "string":
            return _texts(shape)
        case "integer" | "long":
            return st.one_of(
                st.just(max(low, 1)), st.integers(low, max(low, high)), st.sampled_from([1024])
            )
        case "float" | "double":
            return st.floats(allow_nan=False, allow_infinity=False, width=32)
        case "boolean":
            return st.booleans()
        case "timestamp":
            return st.one_of(st.floats(0, 2e9), st.sampled_from([-1e18, 1e18]))
        case _:
            return st.sampled_from(["AAAA", "not base64", "é"])


def _texts(shape: Shape) -> st.SearchStrategy[str]:
    if "enum" in shape.metadata:
        return st.sampled_from(shape.metadata["enum"])
    return _SHAPED.get(shape.name, _NAMES)


_NAMES: Final = st.sampled_from(NAMES)
_ARNS: Final = st.sampled_from(
    [f"{ARN}endpoint/ner", f"{ARN}model/ner", f"{ARN}model/none", "arn:aws:sagemaker:us-east-1:0:x"]
)
_DIGESTS: Final = st.sampled_from(
    [f"sha256:{'0' * 64}", "sha256:00", "sha256:../../etc/passwd", "md5:00", ""]
)
_SHAPED: Final = {
    "Url": st.sampled_from([URL, "s3://bucket", "s3://", "https://example.com/x", "bucket/key"]),
    "ContainerImage": st.sampled_from([IMAGE, "nginx", "a@sha256:0"]),
    "RoleArn": st.just("arn:aws:iam::000000000000:role/r"),
    "ResourceArn": _ARNS,
    # ECR's
    "RepositoryName": st.sampled_from(["app", "app", "none", "a/b", "../x", "A"]),
    "UploadId": st.sampled_from(["00000000-0000-0000-0000-000000000000", "../index.sqlite3"]),
    "ImageManifest": st.sampled_from(["{}", "[]", "{", '{"manifests": []}', "null"]),
    "ImageTag": st.sampled_from(["1", "1", "none", "../1", "x" * 300]),
    "ImageDigest": _DIGESTS,
    "LayerDigest": _DIGESTS,
    "BatchedOperationLayerDigest": _DIGESTS,
    "Arn": st.sampled_from(
        ["arn:aws:ecr:us-east-1:000000000000:repository/app", "arn:aws:ecr:x", ":repository/"]
    ),
}
