"""A Python program around boto3."""

from __future__ import annotations

from portside.client.export.caller import Caller, File

_TEMPLATE = '''\
"""Asks the endpoint `{name}`.

Needs `pip install boto3`, and keys where boto3 looks for them: the environment, a profile,
a role.{local}
"""
{imports}
import boto3

client = boto3.client(
    {client},
)
answer = client.invoke_endpoint(
    EndpointName="{name}",
    ContentType={content_type},
    Body={body},
)
sys.stdout.buffer.write(answer["Body"].read())
'''

_LOCAL = '\nFor those of the local AWS: eval "$(portside local env)"'


def export(caller: Caller) -> list[File]:
    """The program, which sends the first sample."""
    sample, endpoint = caller.samples[0], caller.endpoint
    client = ['"sagemaker-runtime"', f"region_name={_literal(endpoint.region)}"]
    if caller.is_local:
        client.append(f"endpoint_url={_literal(endpoint.runtime_url)}")
    imports = ["import sys"] if sample.text is not None else ["import pathlib", "import sys"]
    body = (
        _literal(sample.text)
        if sample.text is not None
        else f"pathlib.Path({_literal(str(sample.file))}).read_bytes()"
    )
    text = _TEMPLATE.format(
        name=endpoint.name,
        local=_LOCAL if caller.is_local else "",
        imports="\n".join(imports) + "\n",
        client=",\n    ".join(client),
        content_type=_literal(sample.content_type),
        body=body,
    )
    return [File(name=f"{endpoint.name}.py", content=text.encode())]


def _literal(text: str) -> str:
    """In double quotes as formatters have it, unless something would have to be escaped."""
    return f'"{text}"' if repr(text)[1:-1] == text and '"' not in text else repr(text)
