"""A shell script around curl, which signs by itself since 7.75 and fails by itself since 7.76."""

from __future__ import annotations

import shlex

from portside.client.export.caller import SIGNING_NAME, Caller, File

_TEMPLATE = r"""#!/bin/sh
# Asks the endpoint `{name}`. Needs curl 7.76 or later and, as AWS's tools do,
# AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, with temporary keys AWS_SESSION_TOKEN too.{local}
set -eu
: "${{AWS_ACCESS_KEY_ID:?is not set}}" "${{AWS_SECRET_ACCESS_KEY:?is not set}}"

# curl reads the keys from its standard input: a command line can be seen by others.
{{
  printf 'user = "%s:%s"\n' "$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY"
  printf '%s\n' "${{AWS_SESSION_TOKEN:+header = \"X-Amz-Security-Token: $AWS_SESSION_TOKEN\"}}"
}} | curl --config - --silent --show-error --fail-with-body{proxy} \
  --aws-sigv4 {signature} \
  --header {header} \
  --data-binary {body} \
  {url}
"""

_LOCAL = '\n# For those of the local AWS: eval "$(portside local env)"'


def export(caller: Caller) -> list[File]:
    """The script, which sends the first sample."""
    sample, endpoint = caller.samples[0], caller.endpoint
    # A body that begins with `@` would be taken for a file's name.
    is_inline = sample.text is not None and "\0" not in sample.text and sample.text[:1] != "@"
    text = _TEMPLATE.format(
        name=endpoint.name,
        local=_LOCAL if caller.is_local else "",
        proxy=" --noproxy '*'" if caller.is_local else "",
        signature=shlex.quote(f"aws:amz:{endpoint.region}:{SIGNING_NAME}"),
        header=shlex.quote(f"Content-Type: {sample.content_type}"),
        body=shlex.quote(sample.text or "" if is_inline else f"@{sample.file}"),
        url=shlex.quote(caller.url),
    )
    return [File(name=f"{endpoint.name}.sh", content=text.encode())]
