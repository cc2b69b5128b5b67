"""Checks of a Dockerfile: SageMaker runs `docker run IMAGE serve` and asks on port 8080."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from portside import contract
from portside.archive import Member
from portside.doctor.finding import Check, Severity, Spot
from portside.doctor.project.fact import Project, Text
from portside.doctor.project.tree import Tree, text_of
from portside.errors import BuildError
from portside.image.check import check_secrets

_INSTRUCTION: Final = re.compile(r"\s*(?P<name>[A-Za-z]+)\s+(?P<value>.*)", re.DOTALL)
_PORT: Final = re.compile(
    r"(?:--port|--bind|-b|-p|--http|--listen)[\s=]+(?P<host>[\w.\[\]*]*:)?(?P<port>\d{2,5})\b"
)
_HOST: Final = re.compile(r"(?:--host|--bind|-b)[\s=]+(?P<host>127\.0\.0\.1|localhost)\b")
_ARM: Final = re.compile(r"--platform=\S*arm|(^|\s)arm64v8/|[:-](arm64|aarch64)\b")
_GRAVITON: Final = re.compile(r"ml\.[a-z]+\d+g[a-z]*\.")

_BRINGS_SERVE: Final = re.compile(
    r"\bserve\b|sagemaker|multi-model-server|\.dkr\.ecr\.|deepjavalibrary|portside", re.IGNORECASE
)
"""A file `serve`, a package that has one, or a base image of AWS's, which all bring the command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """One instruction of the last stage, its lines joined."""

    name: str
    value: str
    line: int

    @property
    def words(self) -> list[str] | None:
        """Of the exec form, `["python", "app.py"]`; None of the shell form."""
        try:
            found = json.loads(self.value)
        except ValueError:
            return None
        return [str(word) for word in found] if isinstance(found, list) else None


def last_stage(text: Text) -> tuple[Instruction, ...]:
    """What makes the image: from the last `FROM` on."""
    found: list[Instruction] = []
    for each in _instructions(text.lines):
        found = [each] if each.name == "FROM" else [*found, each]
    return tuple(found)


def _instructions(lines: tuple[str, ...]) -> Iterator[Instruction]:
    joined, begin = "", 0
    for number, line in enumerate(lines, start=1):
        if line.lstrip().startswith("#") or (not line.strip() and not joined):
            continue
        begin = begin if joined else number
        joined += line.rstrip().removesuffix("\\") + " "
        if line.rstrip().endswith("\\"):
            continue
        if match := _INSTRUCTION.fullmatch(joined.strip()):
            yield Instruction(name=match["name"].upper(), value=match["value"].strip(), line=begin)
        joined = ""


def _entrypoint(project: Project) -> Iterator[Spot]:
    where, stage = _stage(project)
    entry = _last(stage, "ENTRYPOINT")
    if entry is not None and entry.words is None:
        yield Spot(
            where=f"{where}:{entry.line}",
            what="an ENTRYPOINT in shell form never sees the argument `serve`, nor the SIGTERM "
            "that ends an instance",
            mend='write it as a list: `ENTRYPOINT ["python", "-m", "portside.serving"]`',
        )
    if entry is None and stage and not any(_BRINGS_SERVE.search(each.value) for each in stage):
        yield Spot(
            where=f"{where}:{stage[0].line}",
            what="SageMaker runs `docker run IMAGE serve`, which replaces CMD, and nothing here "
            "brings a command `serve`",
            mend="add `ENTRYPOINT [...]` in exec form, or `COPY serve /usr/local/bin/serve`, "
            "executable",
        )


def _port(project: Project) -> Iterator[Spot]:
    where, stage = _stage(project)
    for each in stage:
        ports = set[str]()
        if each.name in {"CMD", "ENTRYPOINT"}:
            text = " ".join(each.words or [each.value])
            ports = {match["port"] for match in _PORT.finditer(text)}
            if _HOST.search(text):
                yield Spot(
                    where=f"{where}:{each.line}",
                    what="the server listens on 127.0.0.1, where SageMaker cannot reach it",
                    mend="listen on all addresses: `--host 0.0.0.0`",
                )
        elif each.name == "EXPOSE":
            ports = {word.partition("/")[0] for word in each.value.split()}
        if ports and str(contract.PORT) not in ports:
            yield Spot(
                where=f"{where}:{each.line}",
                what=f"port {', '.join(sorted(ports))}: SageMaker asks on port {contract.PORT} "
                "alone",
                mend=f"listen on port {contract.PORT}",
            )


def _development_server(project: Project) -> Iterator[Spot]:
    where, stage = _stage(project)
    for each in stage:
        text = " ".join(each.words or [each.value])
        if each.name in {"CMD", "ENTRYPOINT"} and re.search(r"\bflask\b.*\brun\b", text):
            yield _flask(f"{where}:{each.line}")
    started = " ".join(each.value for each in stage if each.name in {"CMD", "ENTRYPOINT"})
    for script in project.scripts:
        tree = Tree(script.tree, is_script=True) if script.tree else None
        if tree is None or script.where.rpartition("/")[2] not in started:
            continue
        if "flask" in {name for name, _ in tree.required_imports()}:
            for call in tree.calls():
                if call.name.endswith("app.run"):
                    yield _flask(f"{script.where}:{call.line}")
                    if _is_loopback(call.argument(0, "host")):
                        yield Spot(
                            where=f"{script.where}:{call.line}",
                            what="`app.run` listens on 127.0.0.1, where SageMaker cannot reach it",
                            mend='write `host="0.0.0.0"` and `port=8080`',
                        )


def _is_loopback(host: ast.expr | None) -> bool:
    return host is None or text_of(host) in {"127.0.0.1", "localhost"}


def _flask(where: str) -> Spot:
    return Spot(
        where=where,
        what="Flask's development server answers `/ping` late while it works on a request",
        mend="start it with a real server, or leave serving to Portside: take the Dockerfile out "
        'of `[image]` and set `endpoint.environment` to `{ PORTSIDE_APP = "inference:app" }`',
    )


def _architecture(project: Project) -> Iterator[Spot]:
    where, stage = _stage(project)
    if stage and _ARM.search(stage[0].value) and not _all_on_arm(project):
        yield Spot(
            where=f"{where}:{stage[0].line}",
            what=f"`{stage[0].value}` is for ARM, and the endpoint's processor is not: it ends "
            "with `exec format error`",
            mend="write `FROM --platform=linux/amd64 …`",
        )


def _all_on_arm(project: Project) -> bool:
    types = [endpoint.instance_types for endpoint in project.endpoints]
    return bool(types) and all(bool(names) and all(map(_GRAVITON.match, names)) for names in types)


def _model_folder(project: Project) -> Iterator[Spot]:
    where, stage = _stage(project)
    for each in stage:
        target = each.value.split()[-1:] if each.name in {"COPY", "ADD"} else []
        if target and target[0].strip('"]').startswith(contract.MODEL_DIR):
            yield Spot(
                where=f"{where}:{each.line}",
                what=f"SageMaker mounts the artifact over `{contract.MODEL_DIR}`: what the image "
                "has there is not seen",
                mend="copy it to `/opt/program`, or leave it to the artifact",
            )


def _secrets(project: Project) -> Iterator[Spot]:
    where, stage = _stage(project)
    whole = [each for each in stage if each.name in {"COPY", "ADD"} and _is_whole(each.value)]
    if not whole or project.has_dockerignore:
        return
    for name in project.root_files:
        try:
            check_secrets([Member(name=name, source=Path(project.where, name))])
        except BuildError:
            yield Spot(
                where=f"{where}:{whole[0].line}",
                what=f"`{name}` looks like a secret and goes into the image with everything else",
                mend=f"run `echo '{name}' >> .dockerignore`",
            )


def _is_whole(value: str) -> bool:
    words = [word for word in value.split() if not word.startswith("--")]
    return words[:1] in (["."], ["./"])


def _stage(project: Project) -> tuple[str, tuple[Instruction, ...]]:
    text = project.dockerfile
    return (text.where, last_stage(text)) if text else ("", ())


def _last(stage: tuple[Instruction, ...], name: str) -> Instruction | None:
    return next((each for each in reversed(stage) if each.name == name), None)


CHECKS: Final[tuple[Check[Project], ...]] = (
    Check(
        name="dockerfile-entrypoint",
        severity=Severity.ERROR,
        tells="the image would not start with the argument `serve`",
        source="aws/amazon-sagemaker-examples#628",
        look=_entrypoint,
    ),
    Check(
        name="dockerfile-port",
        severity=Severity.ERROR,
        tells="the server listens where SageMaker does not ask",
        source="DG your-algorithms-inference-code",
        look=_port,
    ),
    Check(
        name="dockerfile-flask",
        severity=Severity.WARNING,
        tells="Flask's development server is what answers",
        source="aws/amazon-sagemaker-examples#1113",
        look=_development_server,
    ),
    Check(
        name="dockerfile-architecture",
        severity=Severity.ERROR,
        tells="the base is for another processor than the endpoint's",
        source="aws-samples/sagemaker-studio-custom-image-samples#28",
        look=_architecture,
    ),
    Check(
        name="dockerfile-model",
        severity=Severity.WARNING,
        tells="something is copied to where the artifact is mounted",
        source="DG your-algorithms-inference-code",
        look=_model_folder,
    ),
    Check(
        name="dockerfile-secret",
        severity=Severity.ERROR,
        tells="a secret is copied into the image with the whole folder",
        source="DG security-iam",
        look=_secrets,
    ),
)
