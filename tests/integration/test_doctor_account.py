"""The account as the doctor asks for it: real clients, and a server that answers as AWS does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import quote

import pytest

from portside import config
from portside.aws.quota import endpoint_quota
from portside.aws.session import Address, Session
from portside.doctor import table
from portside.doctor.account.gather import gather
from portside.doctor.finding import examine

NOW_S = 1_790_000_000.0

IDENTITY = """\
<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>
<Arn>arn:aws:iam::123456789012:user/me</Arn><UserId>A</UserId><Account>123456789012</Account>
</GetCallerIdentityResult></GetCallerIdentityResponse>"""

ROLE = """\
<GetRoleResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><GetRoleResult><Role><Path>/</Path>
<RoleName>r</RoleName><RoleId>A</RoleId><Arn>arn:aws:iam::123456789012:role/r</Arn>
<CreateDate>2026-01-01T00:00:00Z</CreateDate><AssumeRolePolicyDocument>{trust}</AssumeRolePolicyDocument>
</Role></GetRoleResult></GetRoleResponse>"""

REFUSAL = "<ErrorResponse><Error><Code>{code}</Code><Message>no</Message></Error></ErrorResponse>"

TRUST = {
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "ec2.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ]
}

Answers = dict[str, tuple[int, str]]


@pytest.fixture
def serve() -> Iterator[Callable[[Answers], Session]]:
    """A session with a server that gives these answers, by operation."""
    servers: list[HTTPServer] = []

    def start(answers: Answers) -> Session:
        class Aws(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                target = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
                fields = dict(pair.partition("=")[::2] for pair in body.split("&"))
                status, text = answers[target or fields["Action"]]
                self.send_response(status)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *arguments: object) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Aws)
        servers.append(server)
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return Session(
            Address(
                endpoint_url=f"http://127.0.0.1:{server.server_port}",
                region="us-east-1",
                access_key_id="AKIDEXAMPLE",
                secret_access_key="secret",
            )
        )

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def project(tmp_path: Path) -> config.Project:
    (tmp_path / "inference.py").write_text("def predict(data, model): ...\n")
    (tmp_path / "portside.toml").write_text(
        '[endpoint]\nkind = "realtime"\ninstance_type = "ml.g5.xlarge"\n'
    )
    return config.load(tmp_path)


def found(session: Session, project: config.Project, *, ahead_s: float = 0) -> dict[str, str]:
    """The way to mend each thing that is found, by its check."""
    facts = gather(
        lambda: session,
        project,
        quota=endpoint_quota,
        clock=lambda _: datetime.fromtimestamp(NOW_S - ahead_s, UTC),
        now_s=lambda: NOW_S,
    )
    return {finding.check: finding.mend for finding in examine(table.ACCOUNT, facts)}


def quotas(value: float) -> tuple[int, str]:
    named = [
        {"QuotaName": "ml.g5.xlarge for training job usage", "Value": 9.0},
        {"QuotaName": "ml.g5.xlarge for endpoint usage", "Value": value},
    ]
    return 200, json.dumps({"Quotas": named})


def role(service: str) -> tuple[int, str]:
    trust = json.dumps(TRUST).replace("ec2", service)
    return 200, ROLE.format(trust=quote(trust))


NO_POLICY = (404, REFUSAL.format(code="NoSuchEntity"))


def test_a_sound_account_has_no_finding(
    serve: Callable[[Answers], Session], project: config.Project
) -> None:
    session = serve(
        {
            "GetCallerIdentity": (200, IDENTITY),
            "ListServiceQuotas": quotas(2),
            "GetRole": role("sagemaker"),
            "GetRolePolicy": NO_POLICY,
        }
    )

    assert found(session, project) == {}


def test_a_quota_of_zero_a_foreign_role_and_a_clock_that_is_off(
    serve: Callable[[Answers], Session], project: config.Project
) -> None:
    session = serve(
        {
            "GetCallerIdentity": (200, IDENTITY),
            "ListServiceQuotas": quotas(0),
            "GetRole": role("ec2"),
            "GetRolePolicy": NO_POLICY,
        }
    )

    mend = found(session, project, ahead_s=900)

    assert list(mend) == ["aws-clock", "aws-quota", "aws-trust"]
    assert "Service Quotas" in mend["aws-quota"]


def test_what_may_not_be_asked_is_a_note(
    serve: Callable[[Answers], Session], project: config.Project
) -> None:
    denied = json.dumps({"__type": "AccessDeniedException", "message": "not authorized"})
    session = serve(
        {
            "GetCallerIdentity": (200, IDENTITY),
            "ListServiceQuotas": (400, denied),
            "GetRole": NO_POLICY,
        }
    )

    mend = found(session, project)

    assert list(mend) == ["aws-permission"]
    assert "service-quotas:ListServiceQuotas" in mend["aws-permission"]


def test_an_expired_token(serve: Callable[[Answers], Session], project: config.Project) -> None:
    session = serve({"GetCallerIdentity": (403, REFUSAL.format(code="ExpiredToken"))})

    assert "aws sso login" in found(session, project)["aws-credentials"]
