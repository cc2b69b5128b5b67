"""A JavaScript module around AWS's SDK, version 3."""

from __future__ import annotations

from typing import Final

from portside.client.export.caller import Caller, File

_TEMPLATE = """\
// Asks the endpoint `{name}`.
//
// Needs Node.js, `npm install @aws-sdk/client-sagemaker-runtime`, and keys where the SDK looks
// for them: the environment, a profile, a role.{local}
{imports}
const client = new SageMakerRuntimeClient({{
  {client},
}});
const answer = await client.send(
  new InvokeEndpointCommand({{
    EndpointName: {endpoint},
    ContentType: {content_type},
    Body: {body},
  }}),
);
process.stdout.write(answer.Body);
"""

_SDK: Final = (
    "import { InvokeEndpointCommand, SageMakerRuntimeClient }"
    ' from "@aws-sdk/client-sagemaker-runtime";'
)

_LOCAL: Final = '\n// For those of the local AWS: eval "$(portside local env)"'

_ESCAPES: Final = str.maketrans(
    {"\\": r"\\", "'": r"\'", "\n": r"\n", "\r": r"\r", "\u2028": r"\u2028", "\u2029": r"\u2029"}
)
"""What must not stand in a literal as it is: ECMA-262, "String Literals"."""


def export(caller: Caller) -> list[File]:
    """The module, which sends the first sample."""
    sample, endpoint = caller.samples[0], caller.endpoint
    client = [f"region: {_literal(endpoint.region)}"]
    if caller.is_local:
        client.append(f"endpoint: {_literal(endpoint.runtime_url)}")
    imports, body = [_SDK], _literal(sample.text or "")
    if sample.text is None:
        imports.insert(0, 'import { readFileSync } from "node:fs";\n')
        body = f"readFileSync({_literal(str(sample.file))})"
    text = _TEMPLATE.format(
        name=endpoint.name,
        local=_LOCAL if caller.is_local else "",
        imports="\n".join(imports) + "\n",
        client=",\n  ".join(client),
        endpoint=_literal(endpoint.name),
        content_type=_literal(sample.content_type),
        body=body,
    )
    return [File(name=f"{endpoint.name}.mjs", content=text.encode())]


def _literal(text: str) -> str:
    """In double quotes as formatters have it, unless they would have to be escaped."""
    quote = "'" if '"' in text else '"'
    return f"{quote}{text.translate(_ESCAPES)}{quote}"
