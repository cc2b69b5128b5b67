"""The OpenAPI document of an endpoint, made from that of its instance.

An instance describes `/invocations`; its callers speak to SageMaker, at another path, signed,
and are refused in SageMaker's way. What goes in and out of the model stays as it was.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from portside import contract
from portside.client.endpoint import Endpoint
from portside.client.export.caller import SIGNING_NAME, File
from portside.client.payload import limit_bytes
from portside.errors import UsageError

_ERRORS: Final = {
    "400": ("ServiceError", "No such endpoint or variant, a body too large, or throttled."),
    "403": ("ServiceError", "No signature, a wrong or an expired one, or not allowed to."),
    "424": ("ModelError", "The model refused or failed; its own status and words are inside."),
    "429": ("ServiceError", "The variant is not ready yet."),
    "500": ("ServiceError", "SageMaker failed."),
    "503": ("ServiceError", "No instance could be had in time."),
}
"""botocore's model of sagemaker-runtime; 400 for throttling: opensearch-project/ml-commons#2429."""

_SCHEMAS: Final[Mapping[str, Any]] = {
    "ServiceError": {
        "type": "object",
        "properties": {"message": {"type": ["string", "null"]}},
    },
    "ModelError": {
        "type": "object",
        "properties": {
            "Message": {"type": "string"},
            "OriginalStatusCode": {
                "type": "integer",
                "description": "The model's; 0 where it did not answer in time.",
            },
            "OriginalMessage": {"type": "string", "description": "The body of its answer."},
            "LogStreamArn": {"type": "string"},
        },
    },
}

_HEADERS: Final = {
    contract.HEADER_TARGET_VARIANT: "Asks this variant, whatever the weights.",
    contract.HEADER_CUSTOM_ATTRIBUTES: "Goes to the model's code as it is, and back.",
    contract.HEADER_INFERENCE_ID: "Stands beside the request in captured data.",
}


def export(document: Mapping[str, Any], endpoint: Endpoint) -> File:
    """The document of the endpoint; `document` is that of `/openapi.json` of an instance.

    Which may come from an app of the user's own; raises `UsageError` where it leaves out
    `POST /invocations`.
    """
    instance = document.get("paths", {}).get(contract.INVOCATIONS_PATH, {}).get("post")
    if instance is None:
        raise UsageError(
            "cannot describe the endpoint: its instance's document has no "
            f"`POST {contract.INVOCATIONS_PATH}`",
            hint="describe that path in the app's own OpenAPI document",
        )
    value = {
        "openapi": document.get("openapi", "3.1.0"),
        "info": {
            "title": endpoint.name,
            "version": document.get("info", {}).get("version", "1"),
            "description": f"A {endpoint.kind} endpoint of Amazon SageMaker. A request's body has "
            f"at most {limit_bytes(endpoint.kind):,} bytes.",
        },
        "servers": [{"url": endpoint.runtime_url}],
        "security": [{"sigv4": []}],
        "paths": {
            f"/endpoints/{endpoint.name}{contract.INVOCATIONS_PATH}": {"post": _operation(instance)}
        },
        "components": {
            "schemas": _schemas(document.get("components", {}).get("schemas", {})),
            "securitySchemes": {"sigv4": _signature(endpoint.region)},
        },
    }
    content = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    return File(name=f"{endpoint.name}.openapi.json", content=content.encode())


def _operation(instance: Mapping[str, Any]) -> dict[str, Any]:
    taken = {"requestBody": instance["requestBody"]} if "requestBody" in instance else {}
    answered = {
        **instance.get("responses", {}).get("200", {"description": "The prediction."}),
        "headers": {
            contract.HEADER_INVOKED_VARIANT: {
                "description": "The variant that answered.",
                "schema": {"type": "string"},
            }
        },
    }
    return {
        "operationId": "InvokeEndpoint",
        "summary": instance.get("summary", "Predict."),
        "parameters": [
            {"name": name, "in": "header", "description": text, "schema": {"type": "string"}}
            for name, text in _HEADERS.items()
        ],
        **taken,
        "responses": {
            "200": answered,
            **{status: _error(schema, text) for status, (schema, text) in _ERRORS.items()},
        },
    }


def _error(schema: str, description: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"description": description, "content": content}


def _schemas(instance: Mapping[str, Any]) -> dict[str, Any]:
    """The model's own; the instance's errors stay inside of SageMaker's."""
    own = {name: schema for name, schema in instance.items() if name != "InstanceError"}
    return {**own, **_SCHEMAS}


def _signature(region: str) -> dict[str, Any]:
    """OpenAPI has no word for it; this is the one that API Gateway's documents use."""
    return {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "x-amazon-apigateway-authtype": "awsSigv4",
        "description": f"AWS Signature Version 4: service `{SIGNING_NAME}`, region `{region}`.",
    }
