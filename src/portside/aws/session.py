"""Who calls, where to, and how refusals read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from portside.aws.refusal import THROTTLED, hint_for
from portside.config.region import region_hint
from portside.errors import MissingToolError, RemoteError

try:
    import boto3
    import botocore.session
    from boto3.exceptions import Boto3Error
    from botocore import exceptions as botocore_errors
    from botocore.config import Config
    from botocore.credentials import Credentials
    from botocore.parsers import ResponseParserError
except ModuleNotFoundError as error:
    raise MissingToolError(
        f"cannot talk to AWS or the local AWS: `{error.name}` is not installed",
        hint="run `pip install 'portside[local]'`, or in a clone `pip install -e '.[local]'`",
    ) from error

if TYPE_CHECKING:
    from mypy_boto3_application_autoscaling.client import ApplicationAutoScalingClient
    from mypy_boto3_cloudwatch.client import CloudWatchClient
    from mypy_boto3_ecr.client import ECRClient
    from mypy_boto3_iam.client import IAMClient
    from mypy_boto3_logs.client import CloudWatchLogsClient
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_sagemaker.client import SageMakerClient
    from mypy_boto3_sagemaker_runtime.client import SageMakerRuntimeClient
    from mypy_boto3_service_quotas.client import ServiceQuotasClient


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where to send requests and as whom; every None is left to boto3's own search."""

    endpoint_url: str | None = None
    region: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = field(default=None, repr=False)
    account: str | None = None
    """Whose the keys are, where that is known: then STS is not asked."""


_USERS_OWN = ("profile", "config_file", "credentials_file")
"""Where boto3 finds a user's settings; none of them is asked where keys are given."""

# A container may take 60 s to answer and the platform holds the caller that long, so the
# socket must wait longer and a slow prediction must not be sent twice.
# Source: the developer guide's InvokeEndpoint page, "set the timeout to 70 seconds".
_RUNTIME = Config(read_timeout=70, retries={"total_max_attempts": 1})

_CONTROL = Config(retries={"mode": "standard"}, s3={"addressing_style": "path"})

_NO_PROXY = Config(proxies={})
"""For an address that was given: it is on this machine, where no proxy leads."""


class Session:
    """Clients of one address, made when first asked for."""

    def __init__(self, address: Address) -> None:
        self._address = address
        try:
            self._boto = _session(address)
        except botocore_errors.BotoCoreError as error:
            raise _unconfigured(f"cannot read the AWS configuration: {error}") from error
        if not self._boto.region_name:
            raise _unconfigured(
                "cannot choose an AWS region: none is configured",
                hint="run `export AWS_REGION=us-east-1`, or `aws configure set region us-east-1`",
            )
        at_home = _NO_PROXY if address.endpoint_url else Config()
        self._control, self._runtime = _CONTROL.merge(at_home), _RUNTIME.merge(at_home)

    def credentials(self) -> Credentials:
        """The keys that requests are signed with."""
        found = self._boto.get_credentials()
        if found is None:
            raise botocore_errors.NoCredentialsError
        return found

    @property
    def region(self) -> str:
        """The region in force."""
        return self._boto.region_name

    @cached_property
    def account(self) -> str:
        """The twelve digits of the account that the keys belong to (at most one call to STS)."""
        if self._address.account:
            return self._address.account
        client = self._boto.client(
            "sts", endpoint_url=self._address.endpoint_url, config=self._control
        )
        with explained("sts", "GetCallerIdentity"):
            return client.get_caller_identity()["Account"]

    @cached_property
    def s3(self) -> S3Client:
        """The S3 client, with path-style addresses (a local store has one host name)."""
        return self._boto.client(
            "s3", endpoint_url=self._address.endpoint_url, config=self._control
        )

    @cached_property
    def ecr(self) -> ECRClient:
        """The client of ECR."""
        return self._boto.client(
            "ecr", endpoint_url=self._address.endpoint_url, config=self._control
        )

    @cached_property
    def iam(self) -> IAMClient:
        """The IAM client."""
        return self._boto.client(
            "iam", endpoint_url=self._address.endpoint_url, config=self._control
        )

    @cached_property
    def sagemaker(self) -> SageMakerClient:
        """The control plane's client."""
        return self._boto.client(
            "sagemaker", endpoint_url=self._address.endpoint_url, config=self._control
        )

    @cached_property
    def runtime(self) -> SageMakerRuntimeClient:
        """The client of predictions: waits longer than the platform does, never retries."""
        return self._boto.client(
            "sagemaker-runtime", endpoint_url=self._address.endpoint_url, config=self._runtime
        )

    @cached_property
    def logs(self) -> CloudWatchLogsClient:
        """The CloudWatch Logs client."""
        return self._boto.client(
            "logs", endpoint_url=self._address.endpoint_url, config=self._control
        )

    @cached_property
    def autoscaling(self) -> ApplicationAutoScalingClient:
        """The client of Application Auto Scaling."""
        return self._boto.client(
            "application-autoscaling", endpoint_url=self._address.endpoint_url, config=self._control
        )

    @cached_property
    def service_quotas(self) -> ServiceQuotasClient:
        """The client of Service Quotas."""
        return self._boto.client(
            "service-quotas", endpoint_url=self._address.endpoint_url, config=self._control
        )

    @cached_property
    def cloudwatch(self) -> CloudWatchClient:
        """The client of CloudWatch's metrics."""
        return self._boto.client(
            "cloudwatch", endpoint_url=self._address.endpoint_url, config=self._control
        )


def _unreachable_hint(error: botocore_errors.BotoCoreError) -> str:
    """What to do where nobody answers: hosts have their region before AWS's domain."""
    host = urlsplit(str(error.kwargs.get("endpoint_url", ""))).hostname or ""
    region = host.partition(".amazonaws.")[0].rpartition(".")[2]
    of_region = region_hint(region) if "-" in region else None
    return of_region or (
        "check the network, the region and a proxy, if there is one; for the local AWS run "
        "`portside local status`"
    )


def _session(address: Address) -> boto3.session.Session:
    """A session of boto3; one with its own keys looks at nobody's profiles and files."""
    if address.access_key_id is None:
        # boto3 itself reads AWS_DEFAULT_REGION alone; every other SDK reads AWS_REGION.
        # A name without a value is no name: so CI systems write what was not set.
        region = address.region or os.environ.get("AWS_REGION")
        return boto3.session.Session(region_name=region or None)
    blank = dict.fromkeys(_USERS_OWN, (None, None, None, None))
    return boto3.session.Session(
        aws_access_key_id=address.access_key_id,
        aws_secret_access_key=address.secret_access_key,
        region_name=address.region,
        botocore_session=botocore.session.Session(session_vars=blank),
    )


def _unconfigured(message: str, *, hint: str = "look at `aws configure list`") -> RemoteError:
    return RemoteError(
        message.rstrip("."), service="session", operation="configure", code="Config", hint=hint
    )


class PassingError(RemoteError):
    """What may go well a little later: nobody was reached, too many requests, 5xx."""


@contextmanager
def explained(service: str, operation: str) -> Iterator[None]:
    """Turn what botocore raises inside into a `RemoteError` with the next step."""
    try:
        yield
    except botocore_errors.ClientError as error:
        raise _refused(error, service, operation) from error
    except botocore_errors.NoCredentialsError as error:
        raise RemoteError(
            f"cannot call `{service}:{operation}`: no AWS credentials were found",
            service=service,
            operation=operation,
            code="NoCredentials",
            hint="run `aws configure` or `aws sso login`, or take `--target local`",
        ) from error
    except (botocore_errors.HTTPClientError, botocore_errors.ConnectionError) as error:
        raise PassingError(
            f"cannot reach `{service}`: {str(error).rstrip('.')}",
            service=service,
            operation=operation,
            code="Unreachable",
            hint=_unreachable_hint(error),
        ) from error
    except ResponseParserError as error:
        raise PassingError(
            f"`{service}:{operation}` was answered with {_NO_ANSWER}",
            service=service,
            operation=operation,
            code="Unreadable",
            hint=_STRANGER,
        ) from error
    except (botocore_errors.BotoCoreError, Boto3Error) as error:
        raise RemoteError(
            f"cannot call `{service}:{operation}`: {str(error).rstrip('.')}",
            service=service,
            operation=operation,
            code=type(error).__name__,
            hint=_UNREADY.get(
                type(error), "look at `aws configure list`, or take `--target local`"
            ),
        ) from error


def _refused(error: botocore_errors.ClientError, service: str, operation: str) -> RemoteError:
    details, about = error.response.get("Error", {}), error.response.get("ResponseMetadata", {})
    code, status = str(details.get("Code", "Unknown")), about.get("HTTPStatusCode", 0)
    said, hint = str(details.get("Message") or code).rstrip("."), None
    if said.lstrip().startswith("<"):  # a page for people, as proxies have them
        said, hint = f"HTTP {status}, with {_NO_ANSWER}", _STRANGER
    passes = status >= 500 or code in THROTTLED
    return (PassingError if passes else RemoteError)(
        f"`{service}:{operation}` was refused: {said}",
        service=service,
        operation=operation,
        code=code,
        request_id=str(about.get("RequestId", "")),
        hint=hint or hint_for(service, operation, code=code, message=said),
    )


_NO_ANSWER = "a page that is none of AWS's answers"
_STRANGER = "look what answers there: a proxy on the way, or `AWS_ENDPOINT_URL`"
_SIGN_IN = "sign in again: `aws sso login`; then run the same command again"

_UNREADY: dict[type[Exception], str] = dict.fromkeys(
    (
        botocore_errors.SSOTokenLoadError,
        botocore_errors.TokenRetrievalError,
        botocore_errors.UnauthorizedSSOTokenError,
    ),
    _SIGN_IN,
)
"""What botocore says by itself, before anybody is asked."""
