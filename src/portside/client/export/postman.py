"""A Postman collection and its environment, as one sets them up by hand.

The collection signs with AWS Signature and takes every key, the address and the endpoint's
name from variables; the environment holds those. So the same collection asks another
endpoint, or the same one at another place, with another environment.
Format: https://schema.postman.com/collection/json/v2.1.0/draft-07/docs/index.html
"""

from __future__ import annotations

import json
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from portside.client.export.caller import SIGNING_NAME, Caller, File
from portside.client.payload import JSON
from portside.client.sample import Sample

SCHEMA: Final = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"

URL, ENDPOINT = "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", "ENDPOINT_NAME"
REGION, ACCESS_KEY_ID = "AWS_REGION", "AWS_ACCESS_KEY_ID"
SECRET_ACCESS_KEY, SESSION_TOKEN = "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"
"""AWS's own names, as SDKs read them from the process's environment."""

_SUFFIX_BY_TYPE: Final = {JSON: ".json", "text/plain": ".txt"}

_DESCRIPTION: Final = """\
Asks an endpoint of Amazon SageMaker, signed with AWS Signature.

1. Import this collection and its environment, and choose the environment (top right).
2. Fill in the keys there, if they are empty: as *current values*, which stay on your machine.
   Temporary keys have a session token too.
3. Send. A request with a file in its body looks for the file in Postman's working directory
   (Settings, General); newman looks for it where it is started.
"""

_CHECKS: Final = [
    "pm.test('answers 200', () => pm.response.to.have.status(200));",
    "pm.test('names the variant that answered', () =>",
    "  pm.response.to.have.header('x-Amzn-Invoked-Production-Variant'));",
]


def export(caller: Caller) -> list[File]:
    """The collection, its environment, and the file that the binary request sends."""
    name = caller.endpoint.name
    attachment = _attachment(caller)
    return [
        _file(f"{name}.postman_collection.json", _collection(caller, attachment.name)),
        _file(
            f"{name}.postman_environment.json",
            _environment(caller),
            is_secret=caller.local_keys is not None,
        ),
        attachment,
    ]


def _collection(caller: Caller, attachment: str) -> dict[str, Any]:
    # Postman would take two braces in a body for a variable of its own.
    raw = [_raw(one) for one in caller.samples if one.text is not None and "{{" not in one.text]
    return {
        "info": {
            "_postman_id": _id("collection", caller),
            "name": f"{caller.endpoint.name} (Amazon SageMaker)",
            "description": _DESCRIPTION,
            "schema": SCHEMA,
        },
        "auth": _auth(),
        "event": [
            {"listen": "test", "script": {"type": "text/javascript", "exec": _CHECKS}},
        ],
        "item": [*raw, _binary(caller.samples[0], attachment)],
    }


def _auth() -> dict[str, Any]:
    """Type `AWS Signature`; region and service stand under its advanced configuration."""
    values = {
        "accessKey": _use(ACCESS_KEY_ID),
        "secretKey": _use(SECRET_ACCESS_KEY),
        "sessionToken": _use(SESSION_TOKEN),
        "region": _use(REGION),
        "service": SIGNING_NAME,
    }
    attributes = [{"key": key, "value": text, "type": "string"} for key, text in values.items()]
    return {"type": "awsv4", "awsv4": attributes}


def _raw(sample: Sample) -> dict[str, Any]:
    language = "json" if sample.content_type == JSON else "text"
    body = {"mode": "raw", "raw": sample.text, "options": {"raw": {"language": language}}}
    return _item(f"Raw body: {sample.name}", sample.content_type, body)


def _binary(sample: Sample, attachment: str) -> dict[str, Any]:
    body = {"mode": "file", "file": {"src": attachment}}
    return _item(f"Binary body: {attachment}", sample.content_type, body)


def _item(name: str, content_type: str, body: dict[str, Any]) -> dict[str, Any]:
    path = ["endpoints", _use(ENDPOINT), "invocations"]
    return {
        "name": name,
        "request": {
            "method": "POST",
            "header": [{"key": "Content-Type", "value": content_type}],
            "url": {"raw": "/".join([_use(URL), *path]), "host": [_use(URL)], "path": path},
            "body": body,
        },
        "response": [],
    }


def _environment(caller: Caller) -> dict[str, Any]:
    keys, endpoint = caller.local_keys, caller.endpoint
    plain = {URL: endpoint.runtime_url, REGION: endpoint.region, ENDPOINT: endpoint.name}
    secret = {
        ACCESS_KEY_ID: keys.access_key_id if keys else "",
        SECRET_ACCESS_KEY: keys.secret_access_key if keys else "",
        SESSION_TOKEN: "",
    }
    where = "local AWS" if caller.is_local else f"AWS {endpoint.region}"
    return {
        "id": _id("environment", caller),
        "name": f"{endpoint.name} ({where})",
        "values": [*_variables(plain, kind="default"), *_variables(secret, kind="secret")],
        "_postman_variable_scope": "environment",
    }


def _variables(values: dict[str, str], *, kind: str) -> list[dict[str, Any]]:
    return [
        {"key": key, "value": text, "type": kind, "enabled": True} for key, text in values.items()
    ]


def _attachment(caller: Caller) -> File:
    sample = caller.samples[0]
    suffix = sample.file.suffix if sample.file else _SUFFIX_BY_TYPE[sample.content_type]
    return File(name=f"{caller.endpoint.name}.request{suffix}", content=sample.body)


def _use(variable: str) -> str:
    return f"{{{{{variable}}}}}"


def _id(what: str, caller: Caller) -> str:
    """The same for the same endpoint: who imports again replaces what is there."""
    return str(uuid5(NAMESPACE_URL, f"{caller.url}#{what}"))


def _file(name: str, value: object, *, is_secret: bool = False) -> File:
    content = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    return File(name=name, content=content.encode(), is_secret=is_secret)
