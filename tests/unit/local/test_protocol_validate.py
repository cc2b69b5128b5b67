"""Violations in Coral's words, and the patterns of AWS's models in Python."""

from __future__ import annotations

from typing import Any

import pytest

from portside.local.protocol import pattern
from portside.local.protocol.fault import Fault
from portside.local.protocol.service import (
    LOGS,
    RUNTIME,
    SAGEMAKER,
    Operation,
    Service,
    service_model,
)
from portside.local.protocol.validate import validate

VARIANT = {"VariantName": "AllTraffic", "ModelName": "ner"}
NAME_PATTERN = "[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"


def refusal(name: str, params: dict[str, Any], *, service: Service = SAGEMAKER) -> Fault:
    model = service_model(service.name).operation_model(name)
    with pytest.raises(Fault) as caught:
        validate(Operation(service=service, model=model, labels={}), params)
    return caught.value


def test_what_satisfies_the_model_passes() -> None:
    model = service_model("sagemaker").operation_model("CreateEndpointConfig")
    params = {"EndpointConfigName": "ner", "ProductionVariants": [VARIANT]}

    validate(Operation(service=SAGEMAKER, model=model, labels={}), params)


@pytest.mark.parametrize(
    ("name", "params", "violation"),
    [
        (
            "DescribeEndpoint",
            {"EndpointName": "a b"},
            f"'a b' at 'endpointName': satisfy regular expression pattern: {NAME_PATTERN}",
        ),
        (
            "ListEndpoints",
            {"MaxResults": 101},
            "'101' at 'maxResults': have value less than or equal to 100",
        ),
        (
            "ListEndpoints",
            {"MaxResults": 0},
            "'0' at 'maxResults': have value greater than or equal to 1",
        ),
        (
            "ListEndpoints",
            {"SortOrder": "Up"},
            "'Up' at 'sortOrder': satisfy enum value set: [Ascending, Descending]",
        ),
        (
            "CreateEndpointConfig",
            {"EndpointConfigName": "ner", "ProductionVariants": []},
            "'[]' at 'productionVariants': have length greater than or equal to 1",
        ),
        (
            "CreateEndpointConfig",
            {
                "EndpointConfigName": "ner",
                "ProductionVariants": [VARIANT, VARIANT | {"InitialInstanceCount": -1}],
            },
            "'-1' at 'productionVariants.2.member.initialInstanceCount': "  # noqa: ISC004  one text
            "have value greater than or equal to 1",
        ),
    ],
)
def test_one_violation(name: str, params: dict[str, Any], violation: str) -> None:
    place, _, constraint = violation.partition(": ")
    fault = refusal(name, params)

    assert fault.code == "ValidationException"
    assert fault.message == (
        f"1 validation error detected: Value {place} failed to satisfy constraint: "
        f"Member must {constraint}"
    )


def test_a_missing_member() -> None:
    assert refusal("DescribeEndpoint", {}).message == (
        "1 validation error detected: Value null at 'endpointName' failed to satisfy constraint: "
        "Member must not be null"
    )


def test_a_list_of_plain_values_is_named_whole() -> None:
    arn = "arn:aws:sagemaker:us-east-1:000000000000:model/m"

    assert refusal("DeleteTags", {"ResourceArn": arn, "TagKeys": ["a*"]}).message == (
        "1 validation error detected: Value '[a*]' at 'tagKeys' failed to satisfy constraint: "
        "Member must satisfy constraint: [Member must have length less than or equal to 128, "
        "Member must have length greater than or equal to 1, Member must satisfy regular "
        r"expression pattern: ([\p{L}\p{Z}\p{N}_.:/=+\-@]*), Member must not be null]"
    )


def test_several_violations_are_counted_and_joined() -> None:
    fault = refusal("CreateEndpoint", {"EndpointName": "-" * 64})

    assert fault.message == (
        f"3 validation errors detected: Value '{'-' * 64}' at 'endpointName' failed to satisfy "
        "constraint: Member must have length less than or equal to 63; "
        f"Value '{'-' * 64}' at 'endpointName' failed to satisfy constraint: "
        f"Member must satisfy regular expression pattern: {NAME_PATTERN}; "
        "Value null at 'endpointConfigName' failed to satisfy constraint: Member must not be null"
    )


def test_a_null_in_a_list_is_named_by_its_place() -> None:
    fault = refusal(
        "CreateEndpointConfig", {"EndpointConfigName": "a", "ProductionVariants": [None]}
    )

    assert "Value null at 'productionVariants.1.member'" in (fault.message or "")


def test_a_map_of_plain_values_is_named_whole() -> None:
    container = {"Image": "i", "Environment": {"KEY": "v" * 1025}}
    fault = refusal("CreateModel", {"ModelName": "m", "PrimaryContainer": container})

    assert f"Value '{{KEY={'v' * 1025}}}' at 'primaryContainer.environment'" in (
        fault.message or ""
    )
    assert "Map value must satisfy constraint: [Member must have length" in (fault.message or "")


def test_a_sensitive_value_is_not_repeated() -> None:
    params = {"EndpointName": "ner", "Body": b"", "CustomAttributes": "s" * 1025}
    fault = refusal("InvokeEndpoint", params, service=RUNTIME)

    assert fault.code == "ValidationError"
    assert "Value at 'customAttributes' failed" in (fault.message or "")
    assert "sss" not in (fault.message or "")


def test_logs_has_a_code_of_its_own() -> None:
    fault = refusal("GetLogEvents", {"logStreamName": "a:b"}, service=LOGS)

    assert fault.code == "InvalidParameterException"
    assert "[^:*]*" in (fault.message or "")


# --- Patterns ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "value", "fits"),
    [
        (r"[\p{L}\p{Z}\p{N}_]*", "größe 1", True),
        (r"[\p{L}\p{Z}\p{N}_]*", "a*", False),
        (r"[\p{L}]+", "\U00020000", True),
        (r"\p{ASCII}*", "abc", True),
        (r"\p{ASCII}*", "ä", False),
        (r"\A\S[\p{Print}]*\z", "a b", True),
        (r"\A\S[\p{Print}]*\z", "a\n", False),
        (r"[\w-_]*", "a-b", True),
        (r"\w*", "ä", False),
        (r"\d{12}", "\u0660" * 12, False),
        (r"a$", "a\n", False),
        (r"[a\]\p{L}]+", "]ä", True),
        (r"[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\t]*", "a\U0001f600", True),
    ],
)
def test_a_java_pattern(expression: str, value: str, fits: bool) -> None:
    assert pattern.matches(expression, value) is fits


@pytest.mark.parametrize("service", ["sagemaker", "sagemaker-runtime", "logs"])
def test_every_pattern_of_the_models_can_be_used(service: str) -> None:
    model = service_model(service)
    patterns = {model.shape_for(name).metadata.get("pattern") for name in model.shape_names}
    # Java refuses this one, too: a quantifier on the end of the line. ModelPackages have it.
    broken = {found for found in patterns if found and "*)${1," in found}

    for found in patterns - broken - {None}:
        pattern.compile_pattern(found)

    assert len(broken) == (2 if service == "sagemaker" else 0)
