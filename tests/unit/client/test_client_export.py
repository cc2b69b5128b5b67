"""What other clients are given: values to text, and no key of AWS anywhere."""

from __future__ import annotations

import ast
import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate

from portside.client.endpoint import Kind
from portside.client.export import curl, javascript, openapi, postman, python
from portside.client.export.caller import Caller, File, Keys
from portside.client.sample import STRINGS, Sample
from portside.errors import UsageError
from portside.serving.handlers.openapi import make_document
from tests.unit.client.client_stubs import make_endpoint

AWS_URL = "https://runtime.sagemaker.eu-west-1.amazonaws.com"
KEYS = Keys(access_key_id="LOCALKEY", secret_access_key="local/secret")
PLAIN = Sample(name="plain", body=b'it\'s \\ "here"\n\xe2\x80\xa8@', content_type="text/plain")
IMAGE = Sample(name="a.png", body=b"\x89", content_type="image/png", file=Path("my cats/a.png"))


def aws_caller(*samples: Sample) -> Caller:
    endpoint = make_endpoint(url=AWS_URL, region="eu-west-1")
    return Caller(endpoint=endpoint, samples=samples or (STRINGS,))


def local_caller(*samples: Sample) -> Caller:
    return Caller(endpoint=make_endpoint(), samples=samples or (STRINGS,), local_keys=KEYS)


def text(files: list[File]) -> str:
    (file,) = files
    return file.content.decode()


def loaded(files: list[File]) -> dict[str, Any]:
    return {
        file.name.rpartition("_")[2]: json.loads(file.content)
        for file in files
        if ".postman_" in file.name
    }


# --- Postman ------------------------------------------------------------------------


def test_the_collection_signs_with_variables_alone() -> None:
    found = loaded(postman.export(aws_caller()))["collection.json"]

    assert found["auth"]["type"] == "awsv4"
    assert {one["key"]: one["value"] for one in found["auth"]["awsv4"]} == {
        "accessKey": "{{AWS_ACCESS_KEY_ID}}",
        "secretKey": "{{AWS_SECRET_ACCESS_KEY}}",
        "sessionToken": "{{AWS_SESSION_TOKEN}}",
        "region": "{{AWS_REGION}}",
        "service": "sagemaker",
    }
    assert found["info"]["schema"].endswith("/v2.1.0/collection.json")


def test_every_variable_is_in_the_environment() -> None:
    found = loaded(postman.export(local_caller()))

    used = json.dumps(found["collection.json"]).split("{{")[1:]
    defined = {value["key"] for value in found["environment.json"]["values"]}
    assert {one.partition("}}")[0] for one in used} == defined


def test_a_request_for_each_sample_and_one_with_a_file() -> None:
    files = postman.export(aws_caller(STRINGS, PLAIN, IMAGE))
    items = loaded(files)["collection.json"]["item"]

    bodies = [item["request"]["body"] for item in items]
    assert [body["mode"] for body in bodies] == ["raw", "raw", "file"]
    assert bodies[0]["raw"] == STRINGS.text
    assert bodies[2]["file"]["src"] == files[2].name == "ner.request.json"
    assert files[2].content == STRINGS.body
    types = [item["request"]["header"][0]["value"] for item in items]
    assert types == ["application/json", "text/plain", "application/json"]


def test_what_postman_would_change_goes_by_file() -> None:
    braces = Sample(name="b", body=b'{"inputs": {"a": {}}} {{x}}', content_type="text/plain")
    files = postman.export(aws_caller(braces))

    assert [one["request"]["body"]["mode"] for one in loaded(files)["collection.json"]["item"]] == [
        "file"
    ]


def test_bytes_go_by_file_alone() -> None:
    files = postman.export(aws_caller(IMAGE))
    (item,) = loaded(files)["collection.json"]["item"]

    assert item["request"]["body"] == {"mode": "file", "file": {"src": "ner.request.png"}}
    assert item["request"]["header"] == [{"key": "Content-Type", "value": "image/png"}]


def test_keys_of_the_local_aws_are_filled_in_and_secret() -> None:
    _, environment, _ = files = postman.export(local_caller())
    values = {one["key"]: one for one in loaded(files)["environment.json"]["values"]}

    assert environment.is_secret
    assert values["AWS_SECRET_ACCESS_KEY"]["value"] == "local/secret"
    assert values["AWS_SECRET_ACCESS_KEY"]["type"] == "secret"


def test_keys_of_aws_are_left_empty() -> None:
    _, environment, _ = files = postman.export(aws_caller())
    values = {one["key"]: one for one in loaded(files)["environment.json"]["values"]}

    secret = [one for one in values.values() if one["type"] == "secret"]
    assert [one["value"] for one in secret] == ["", "", ""]
    assert values["AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"]["value"] == AWS_URL
    assert not environment.is_secret


def test_the_same_endpoint_gives_the_same_bytes() -> None:
    assert postman.export(aws_caller()) == postman.export(aws_caller())
    callers = (local_caller(), aws_caller())
    ids = {loaded(postman.export(one))["environment.json"]["id"] for one in callers}
    assert len(ids) == 2


# --- Snippets -----------------------------------------------------------------------


@pytest.mark.parametrize("export", [curl.export, python.export, javascript.export])
def test_no_snippet_holds_a_key_and_only_local_ones_an_address(export: Any) -> None:
    local, aws = text(export(local_caller())), text(export(aws_caller()))

    assert "secret" not in local.replace("SECRET_ACCESS_KEY", "")
    assert KEYS.access_key_id not in local
    assert "http://127.0.0.1:9" in local
    assert "portside local env" in local
    assert "127.0.0.1" not in aws
    assert "portside" not in aws
    assert "eu-west-1" in aws


def test_curl_sends_the_very_bytes() -> None:
    script = text(curl.export(aws_caller(PLAIN)))
    command = script[script.index("| curl") + 2 :].replace("\\\n", " ", 4)

    words = shlex.split(command)

    assert words[words.index("--data-binary") + 1].encode() == PLAIN.body
    assert words[words.index("--aws-sigv4") + 1] == "aws:amz:eu-west-1:sagemaker"
    assert words[-1] == f"{AWS_URL}/endpoints/ner/invocations"


def test_curl_takes_no_text_for_a_file() -> None:
    sample = Sample(name="x", body=b"@home", content_type="text/plain", file=Path("x.txt"))

    assert "--data-binary @x.txt" in text(curl.export(aws_caller(sample)))
    assert "--data-binary '@my cats/a.png'" in text(curl.export(aws_caller(IMAGE)))


def test_python_sends_the_very_bytes() -> None:
    call = ast.parse(text(python.export(aws_caller(PLAIN)))).body[-2]

    (body,) = [
        node.value
        for node in ast.walk(call)
        if isinstance(node, ast.keyword) and node.arg == "Body"
    ]
    assert ast.literal_eval(body).encode() == PLAIN.body
    assert "pathlib.Path('my cats/a.png').read_bytes()".replace("'", '"') in text(
        python.export(aws_caller(IMAGE))
    )


def test_javascript_escapes_what_ends_a_literal() -> None:
    found = text(javascript.export(aws_caller(PLAIN)))

    assert r"""Body: 'it\'s \\ "here"\n\u2028@',""" in found
    assert 'readFileSync("my cats/a.png")' in text(javascript.export(aws_caller(IMAGE)))


# --- OpenAPI ------------------------------------------------------------------------


class Silent:
    """A handler that tells nothing of what it takes."""


def test_the_document_is_one_of_the_endpoint() -> None:
    instance = make_document(Silent())  # type: ignore[arg-type]  # it is asked for nothing else

    found = json.loads(text([openapi.export(instance, make_endpoint(Kind.REALTIME, url=AWS_URL))]))

    validate(found)
    assert list(found["paths"]) == ["/endpoints/ner/invocations"]
    operation = found["paths"]["/endpoints/ner/invocations"]["post"]
    own = instance["paths"]["/invocations"]["post"]
    assert operation["requestBody"] == own["requestBody"]
    assert operation["responses"]["200"]["content"] == own["responses"]["200"]["content"]
    assert "424" in operation["responses"]
    assert found["servers"] == [{"url": AWS_URL}]
    assert "InstanceError" not in json.dumps(found)
    assert "26,214,400 bytes" in found["info"]["description"]


def test_an_app_of_the_users_own_says_as_much_as_it_says() -> None:
    spare = {"openapi": "3.0.2", "paths": {"/invocations": {"post": {}}}}

    (operation,) = json.loads(text([openapi.export(spare, make_endpoint())]))["paths"].values()

    assert operation["post"]["responses"]["200"]["description"] == "The prediction."
    assert "requestBody" not in operation["post"]
    with pytest.raises(UsageError, match="no `POST /invocations`"):
        openapi.export({"paths": {"/ping": {"get": {}}}}, make_endpoint())
