"""Invocations: one request to one healthy instance, and its answer, whole or as it comes.

    endpoint ─▶ the session's instance, or a variant by weight ─▶ lease ─▶ /invocations ─▶ answer
                                        measured from its arrival to its end, captured if sampled

Neither body is touched. Of the headers, what AWS does not model is not passed on.
"""

from __future__ import annotations

from contextlib import AsyncExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from portside.local.invocation import model_error
from portside.local.invocation.data_capture import Exchange, Message
from portside.local.invocation.endpoint_cache import EndpointCache
from portside.local.invocation.invocation import Limits, forwarded, returned
from portside.local.invocation.model_error import refusals, validation_error
from portside.local.invocation.sticky_session import (
    NEW_SESSION,
    Place,
    SessionTable,
    read_closed,
    read_opened,
)
from portside.local.invocation.streamed_answer import StreamedAnswer
from portside.local.metric.metric_measurement import Measurement
from portside.local.named_resource import named_arn
from portside.local.protocol.fault import Fault
from portside.local.refusal import refuse_unbuilt
from portside.local.state.resource import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractAsyncContextManager

    from portside.local.capacity.capacity import Capacity, Lease, Occupancy
    from portside.local.capacity.traffic import Switch
    from portside.local.clock import Clock
    from portside.local.instance.instance_client import Answer, Stream
    from portside.local.metric.metric import Invocation
    from portside.local.protocol.call import Call
    from portside.local.state.deployment import Endpoint, Variant
    from portside.local.state.store import Store

_UNBUILT: Final = ("EnableExplanations", "PrefixAwareId", "TargetContainerHostname")

DEFAULT_LIMITS: Final = Limits()

Lend: TypeAlias = "Callable[[], AbstractAsyncContextManager[Lease]]"
"""Gives out an instance for one invocation."""


class Client(Protocol):
    """What can call an instance; both raise `InvocationTimeoutError` and `ConnectionLostError`."""

    async def invoke(
        self,
        port: int,
        *,
        headers: Mapping[str, str],
        body: bytes,
        timeout_s: float,
        max_answer_bytes: int,
    ) -> Answer:
        """`POST /invocations`."""
        ...

    def stream(
        self, port: int, *, headers: Mapping[str, str], body: bytes, timeout_s: float
    ) -> AbstractAsyncContextManager[Stream]:
        """`POST /invocations`, the answer as it comes."""
        ...


class Recorder(Protocol):
    """Who keeps what was measured."""

    def record(self, seen: Invocation, variant: Variant, found: Occupancy) -> None:
        """Take an invocation that is over, with what it found when it came."""
        ...


class Capture(Protocol):
    """Who keeps what was asked and answered."""

    def samples(self, config: Mapping[str, Any] | None) -> bool:
        """Whether the next exchange is one to keep."""
        ...

    def hold(self, exchange: Exchange, config: Mapping[str, Any]) -> None:
        """Keep an exchange."""
        ...


class RuntimeService:
    """InvokeEndpoint and InvokeEndpointWithResponseStream."""

    def __init__(
        self,
        store: Store,
        *,
        switch: Switch,
        client: Client,
        recorder: Recorder,
        capture: Capture,
        clock: Clock,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self._endpoints = EndpointCache(store)
        self._switch = switch
        self._client = client
        self._recorder = recorder
        self._capture = capture
        self._clock = clock
        self._limits = limits
        self._sessions = SessionTable(clock=clock)

    async def invoke(self, call: Call) -> dict[str, Any]:
        """Hand the body to an instance and its answer back, neither touched."""
        endpoint = self._serving(call)
        capacity, lend = self._target(call, endpoint)
        limit = self._limits.check_body(call, capacity.variant)
        with (
            self._measured(call, endpoint, capacity) as seen,
            refusals(endpoint, session_id=call.params.get("SessionId")),
        ):
            async with lend() as lease:
                seen.send(lease)
                answer = await self._client.invoke(
                    lease.instance.port,
                    headers=forwarded(call),
                    body=call.params.get("Body", b""),
                    timeout_s=self._limits.timeout_s,
                    max_answer_bytes=limit,
                )
                seen.answer(answer.status)
            if answer.body is None or not 200 <= answer.status < 300:
                raise model_error.refused(endpoint, status=answer.status, body=answer.body)
        self._keep(call, endpoint, capacity.variant, answer)
        place = Place(capacity=capacity, instance=lease.instance)
        return {
            "Body": answer.body,
            "InvokedProductionVariant": capacity.variant.name,
            **returned(answer.headers, arn=endpoint.arn),
            **self._session_headers(call, endpoint, answer, place),
        }

    async def invoke_stream(self, call: Call) -> dict[str, Any]:
        """The same, the answer in parts as they come; the lease is held to the last of them."""
        endpoint = self._serving(call)
        capacity, lend = self._target(call, endpoint)
        limit = self._limits.check_body(call, capacity.variant)
        async with AsyncExitStack() as held:
            seen = held.enter_context(self._measured(call, endpoint, capacity))
            held.enter_context(refusals(endpoint, session_id=call.params.get("SessionId")))
            lease = await held.enter_async_context(lend())
            seen.send(lease)
            answer = await held.enter_async_context(
                self._client.stream(
                    lease.instance.port,
                    headers=forwarded(call),
                    body=call.params.get("Body", b""),
                    timeout_s=self._limits.stream_timeout_s,
                )
            )
            if not 200 <= answer.status < 300:
                body = await answer.read(limit=limit)
                seen.answer(answer.status)
                raise model_error.refused(endpoint, status=answer.status, body=body)
            first = await anext(answer.chunks, b"")
            seen.stream(answer.status)
            parts = StreamedAnswer(first, answer.chunks, seen=seen, held=held.pop_all())
        return {
            "Body": parts,
            "InvokedProductionVariant": capacity.variant.name,
            **returned(answer.headers, arn=endpoint.arn),
        }

    # --- Before --------------------------------------------------------------

    def _serving(self, call: Call) -> Endpoint:
        """The endpoint by its exact name: unlike the control plane, the runtime minds the case."""
        params = call.params
        name = params["EndpointName"]
        endpoint = self._endpoints.find(named_arn(call, Kind.ENDPOINT, name=name))
        if (
            endpoint is None
            or endpoint.name != name
            or endpoint.deployment is None
            or not endpoint.status.is_serving
        ):  # amazon-sagemaker-examples#293; what AWS says of one in Creating is not documented
            raise validation_error(f"Endpoint {name} of account {call.account} not found.")
        refuse_unbuilt(params, _UNBUILT, of=call.operation)
        if "TargetModel" in params:  # amazon-sagemaker-examples#1026
            raise validation_error(
                f"Endpoint {name} is not a multi-model endpoint and does not support target model"
                " header.",
                error_code="TARGET_MODEL_HEADER_NOT_SUPPORTED",
            )
        if "InferenceComponentName" in params:
            raise validation_error(
                "Inference Component Name header is not allowed for endpoints to which you dont"
                " plan to deploy inference components. Please remove the Inference Component Name"
                " header and try again."
            )
        return endpoint

    def _target(self, call: Call, endpoint: Endpoint) -> tuple[Capacity, Lend]:
        """Who answers, and how to have an instance of it; of a session, the one that made it."""
        session_id = call.params.get("SessionId")
        if session_id not in {None, NEW_SESSION}:
            place = self._sessions.find(endpoint.arn, session_id)
            if place is None:
                raise model_error.session_lost(endpoint, session_id)
            return place.capacity, place.lease
        capacity = self._choose(call, endpoint)
        if session_id is not None and capacity.variant.serverless is not None:  # our words
            raise validation_error(
                f"Endpoint {endpoint.name} is serverless and does not support sessions."
            )
        return capacity, capacity.lease

    def _choose(self, call: Call, endpoint: Endpoint) -> Capacity:
        """The variant that the caller names, or one by the traffic's and the variants' weights."""
        traffic = self._switch.traffic(endpoint.arn)
        if traffic is None:
            raise model_error.unavailable()
        name = call.params.get("TargetVariant")
        capacity = traffic.choose(name)
        if capacity is None and name is not None:  # our words
            raise validation_error(f"Variant {name} of endpoint {endpoint.name} not found.")
        if capacity is None:
            raise model_error.unavailable()
        return capacity

    # --- While, and after ----------------------------------------------------

    @contextmanager
    def _measured(
        self, call: Call, endpoint: Endpoint, capacity: Capacity
    ) -> Iterator[Measurement]:
        """From when the gateway read the head, to the end of the block."""
        seen = Measurement(
            endpoint=endpoint.name,
            variant=capacity.variant.name,
            received_s=self._clock.monotonic() if call.received_s is None else call.received_s,
            clock=self._clock,
        )
        found = capacity.occupancy
        try:
            yield seen
        except Fault as fault:
            seen.refuse(fault.status)
            raise
        finally:
            self._recorder.record(seen.result(), capacity.variant, found)

    def _keep(self, call: Call, endpoint: Endpoint, variant: Variant, answer: Answer) -> None:
        """Capture what was asked and answered, if that is wanted of it."""
        config = None if endpoint.deployment is None else endpoint.deployment.data_capture
        if config is None or not self._capture.samples(config):
            return
        params = call.params
        exchange = Exchange(
            endpoint=endpoint.name,
            variant=variant.name,
            inference_id=params.get("InferenceId"),
            time_ms=self._clock.now_ms(),
            asked=Message(content_type=params.get("ContentType"), body=params.get("Body", b"")),
            answered=Message(
                content_type=answer.headers.get("Content-Type"), body=answer.body or b""
            ),
        )
        self._capture.hold(exchange, config)

    def _session_headers(
        self, call: Call, endpoint: Endpoint, answer: Answer, place: Place
    ) -> dict[str, str]:
        """What the instance said of sessions that it opened or closed."""
        output: dict[str, str] = {}
        opened, closed = read_opened(answer.headers), read_closed(answer.headers)
        if opened is not None and call.params.get("SessionId") == NEW_SESSION:
            self._sessions.open(endpoint.arn, opened, place)
            output["NewSessionId"] = opened.header
        if closed is not None:
            self._sessions.close(endpoint.arn, closed)
            output["ClosedSessionId"] = closed
        return output
