from __future__ import annotations

from dataclasses import replace

import pytest

from portside.local.invocation.invocation import STRICT_PAYLOAD_BYTES, Limits
from portside.local.protocol.fault import Fault
from tests.unit.local.state_fakes import call
from tests.unit.local.test_metric import SERVERLESS, VARIANT

MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("limits", "limit"),
    [(Limits(), 25 * MIB), (Limits(realtime_payload_bytes=STRICT_PAYLOAD_BYTES), 6_291_456)],
)
def test_a_real_time_body_may_have_as_much_as_was_chosen(limits: Limits, limit: int) -> None:
    assert limits.check_body(call("InvokeEndpoint", Body=bytes(limit)), VARIANT) == limit

    with pytest.raises(Fault, match=f"HTTP content length exceeded {limit} bytes") as caught:
        limits.check_body(call("InvokeEndpoint", Body=bytes(limit + 1)), VARIANT)
    assert (caught.value.code, caught.value.status) == ("413", 413)


def test_the_strict_limit_is_none_for_serverless() -> None:
    limits = Limits(realtime_payload_bytes=1)

    assert limits.check_body(call("InvokeEndpoint", Body=bytes(4 * MIB)), SERVERLESS) == 4 * MIB


def test_a_call_without_a_body_is_as_small_as_can_be() -> None:
    assert Limits().check_body(call("InvokeEndpoint"), replace(VARIANT)) == 25 * MIB
