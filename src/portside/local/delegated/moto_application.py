"""moto's services as one function from request to response, with no socket.

To import this module is to import moto. Each service is loaded at its first call, because
each takes its time and memory.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from enum import Enum
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, cast

from moto.backends import get_backend
from moto.core.base_backend import BackendDict
from moto.core.config import default_user_config
from moto.moto_api._internal import mock_random
from moto.moto_server.werkzeug_app import create_backend_app
from werkzeug.test import Client

from portside.local.delegated.alarm import AlarmState
from portside.local.delegated.notification import Deliveries
from portside.local.delegated.policy import Document
from portside.local.delegated.role_check import Role
from portside.local.delegated.scaling import ScalableTarget, ScalingPolicy
from portside.local.protocol.fault import Fault
from portside.local.protocol.message import Response
from portside.local.refusal import not_built

if TYPE_CHECKING:
    from moto.applicationautoscaling.models import FakeScalableTarget
    from moto.iam.models import ManagedPolicy

    from portside.local.delegated.journal import Entry
    from portside.local.delegated.metric_store import MetricStore
    from portside.local.delegated.moto_cloud_watch import LocalCloudWatch

_KEPT_HEADERS: Final = ("Content-Type", "x-amzn-query-error")
_DELIVERED: Final = ("http", "https", "email", "email-json", "sms")
"""Protocols of SNS that need no other service of AWS; of mail and messages nothing is sent."""


class MotoApplication:
    """moto, empty. It keeps its state in the process, so there can be one of these at a time."""

    def __init__(self, *, account: str, region: str, metrics: MetricStore) -> None:
        self._account = account
        self._region = region
        self._metrics = metrics
        self._time = datetime.now(UTC)
        self._deliveries = Deliveries()
        self._clients: dict[str, Client] = {}
        self._load: dict[str, Callable[[], None]] = {
            "iam": self._load_iam,
            "sts": lambda: None,
            "sns": self._load_sns,
            "cloudwatch": self._load_cloud_watch,
            "application-autoscaling": self._load_scaling,
        }
        BackendDict.reset()

    def load(self, service: str) -> None:
        """Have a service of these: botocore's `iam`, `sts`, `sns`, `cloudwatch` and so on."""
        self._load[service]()
        self._clients[service] = Client(create_backend_app(cast("Any", service)))

    def call(self, entry: Entry) -> Response:
        """One request, at the time and with the ids that its entry says.

        Raises the `Fault` NotImplementedException for what is not done.
        """
        if entry.service == "sns":
            _refuse_subscriber(entry)
        if entry.service == "iam" and _concerns_policies_of_aws(entry):
            self._know_policies_of_aws()
        mock_random.seed(entry.seed)
        self._time = datetime.fromtimestamp(entry.time_ms / 1000, UTC)
        if entry.service == "cloudwatch" and entry.action.startswith("Describe"):
            self._cloud_watch.evaluate_alarms()
        try:
            answer = self._clients[entry.service].open(
                method=entry.method,
                path=entry.path,
                base_url=f"http://{_HOSTS[entry.service].format(region=self._region)}",
                query_string=entry.query,
                content_type=entry.content_type,
                data=entry.body,
                headers=self._headers(entry),
            )
        except NotImplementedError as error:
            raise not_built(f"`{entry.service}:{entry.action}`") from error
        if entry.service == "sns":
            self._forget_sent()
        kept = [(name, answer.headers[name]) for name in _KEPT_HEADERS if name in answer.headers]
        return Response(status=answer.status_code, headers=tuple(kept), body=answer.data)

    def alarm_states(self, names: Iterable[str], *, now_ms: int) -> dict[str, AlarmState]:
        """The states of those alarms that there are, evaluated now."""
        self._time = datetime.fromtimestamp(now_ms / 1000, UTC)
        self._cloud_watch.evaluate_alarms()
        alarms = self._cloud_watch.alarms
        return {name: AlarmState(alarms[name].state_value) for name in names if name in alarms}

    def scalable_targets(self) -> list[ScalableTarget]:
        """SageMaker's; `application-autoscaling` must be loaded."""
        return [
            _target(found)
            for by_resource in self._backend("application-autoscaling").targets.values()
            for found in by_resource.values()
            if found.service_namespace == "sagemaker"
        ]

    def scaling_policies(self) -> list[ScalingPolicy]:
        """SageMaker's; those of a target that is deregistered are none: AWS deletes them."""
        targets = {(target.resource_id, target.dimension) for target in self.scalable_targets()}
        return [
            ScalingPolicy(
                name=found.policy_name,
                resource_id=found.resource_id,
                dimension=found.scalable_dimension,
                kind=found.policy_type,
                configuration=found._policy_body,
            )
            for found in self._backend("application-autoscaling").policies.values()
            if (found.resource_id, found.scalable_dimension) in targets
        ]

    def role(self, arn: str) -> Role | None:
        """A role with its policies as they stand; `iam` must be loaded."""
        backend = self._backend("iam", "aws")
        found = next((role for role in backend.get_roles() if role.arn == arn), None)
        if found is None:
            return None
        attached = [_default_version(policy) for policy in found.managed_policies.values()]
        boundary = backend.managed_policies.get(found.permissions_boundary_arn)
        return Role(
            arn=arn,
            trust=_document(found.assume_role_policy_document),
            policies=tuple(map(_document, [*found.policies.values(), *attached])),
            boundary=None if boundary is None else _document(_default_version(boundary)),
        )

    def close(self) -> None:
        """Let notifications that are being sent go out, and no more."""
        self._deliveries.close()

    def _headers(self, entry: Entry) -> dict[str, str]:
        headers = {"x-moto-account-id": self._account}
        if entry.target:
            # SDKs of CloudWatch ask for the codes that it had in the query protocol.
            headers |= {"X-Amz-Target": entry.target, "x-amzn-query-mode": "true"}
        return headers

    @property
    def _cloud_watch(self) -> LocalCloudWatch:
        return cast("LocalCloudWatch", self._backend("cloudwatch"))

    def _backend(self, service: str, region: str | None = None) -> Any:  # noqa: ANN401  of moto's, each its own
        return get_backend(cast("Any", service))[self._account][region or self._region]

    def _now_s(self) -> int:
        return int(self._time.timestamp())

    def _now(self) -> datetime:
        return self._time.replace(tzinfo=None)

    def _load_iam(self) -> None:
        # The one place where moto's IAM asks for the time.
        _replace("moto.iam.models", utcnow=self._now)

    def _know_policies_of_aws(self) -> None:
        """Have AWS's own, such as AmazonSageMakerFullAccess: 1,500 of them, 0.2 s and 15 MB."""
        backend = self._backend("iam", "aws")
        if not backend.aws_managed_policies:
            mock_random.seed(0)  # so that they have the same ids in every life
            settings = default_user_config["iam"]
            settings["load_aws_managed_policies"] = True
            backend.aws_managed_policies = backend._init_aws_policies()
            settings["load_aws_managed_policies"] = False
            backend.managed_policies |= backend._init_managed_policies()

    def _load_sns(self) -> None:
        # moto posts to subscribers while the publisher waits, for as long as they please.
        _replace("moto.sns.models", requests=self._deliveries)

    def _load_cloud_watch(self) -> None:
        from portside.local.delegated.moto_cloud_watch import LocalCloudWatch  # noqa: PLC0415  see `load`

        _replace("moto.cloudwatch.models", utcnow=self._now)
        get_backend("cloudwatch")[self._account][self._region] = LocalCloudWatch(
            self._region, self._account, metrics=self._metrics, now_s=self._now_s
        )

    def _load_scaling(self) -> None:
        # For targets of ECS moto asks its ECS, which brings EC2: 117 MB and most of a second.
        ecs = ModuleType("moto.ecs")
        ecs.__dict__["ecs_backends"] = defaultdict(lambda: defaultdict(lambda: None))
        sys.modules.setdefault("moto.ecs", ecs)
        from moto.applicationautoscaling import models  # noqa: PLC0415  see `load`

        known = [(each.name, each.value) for each in models.ScalableDimensionValueSet]
        more = [(each, each) for each in _MORE_DIMENSIONS if each not in dict(known).values()]
        dimensions = Enum("Dimensions", known + more)  # type: ignore[misc]  # its members are read
        _replace(
            "moto.applicationautoscaling.models",
            time=SimpleNamespace(time=lambda: self._time.timestamp()),  # noqa: PLW0108  of then
            ScalableDimensionValueSet=dimensions,
        )
        _replace("moto.applicationautoscaling.responses", ScalableDimensionValueSet=dimensions)

    def _forget_sent(self) -> None:
        """moto remembers every message."""
        for topic in self._backend("sns").topics.values():
            topic.sent_notifications.clear()


def _replace(module: str, **names: object) -> None:
    """Have a module of moto's use ours in place of what it imported by these names."""
    found = importlib.import_module(module)
    for name, value in names.items():
        if not hasattr(found, name):
            raise LookupError(f"this moto has no `{name}` in `{module}`")
        setattr(found, name, value)


_HOSTS: Final = {
    "iam": "iam.amazonaws.com",
    "sts": "sts.amazonaws.com",
    "sns": "sns.{region}.amazonaws.com",
    "cloudwatch": "monitoring.{region}.amazonaws.com",
    "application-autoscaling": "application-autoscaling.{region}.amazonaws.com",
}
"""moto reads the region from the host's name."""

_MORE_DIMENSIONS: Final = (
    "sagemaker:variant:DesiredProvisionedConcurrency",
    "sagemaker:inference-component:DesiredCopyCount",
)
"""Those of SageMaker that moto does not know. API Reference, RegisterScalableTarget."""


def _default_version(policy: ManagedPolicy) -> str:
    return next(each.document for each in policy.versions if each.is_default)


def _document(text: str) -> Document:
    """A policy of no form that IAM knows says nothing."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _target(found: FakeScalableTarget) -> ScalableTarget:
    suspended = cast("dict[str, bool]", found.suspended_state or {})
    return ScalableTarget(
        resource_id=found.resource_id,
        dimension=found.scalable_dimension,
        min_capacity=found.min_capacity or 0,
        max_capacity=found.max_capacity or 0,
        scale_in_suspended=bool(suspended.get("DynamicScalingInSuspended")),
        scale_out_suspended=bool(suspended.get("DynamicScalingOutSuspended")),
    )


def _concerns_policies_of_aws(entry: Entry) -> bool:
    if entry.action in {"ListPolicies", "GetAccountAuthorizationDetails"}:
        return True
    arns = (entry.params.get(name, "") for name in ("PolicyArn", "PermissionsBoundary"))
    return any(":iam::aws:policy/" in arn for arn in arns)


def _refuse_subscriber(entry: Entry) -> None:
    """Subscribers that are other services of AWS, which are not here, and false addresses."""
    if entry.action != "Subscribe":
        return
    protocol, endpoint = (entry.params.get(name, "") for name in ("Protocol", "Endpoint"))
    if protocol and protocol not in _DELIVERED:
        raise not_built(f"A subscription by the protocol `{protocol}`")
    if protocol.startswith("http") and not endpoint.startswith(f"{protocol}://"):
        message = "Invalid parameter: Endpoint must match the specified protocol"
        raise Fault("InvalidParameter", message)
