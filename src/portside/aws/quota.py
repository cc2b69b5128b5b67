"""Service Quotas: how many instances an account may have."""

from __future__ import annotations

from portside.aws.session import Session, explained


def endpoint_quota(session: Session, instance_type: str) -> float | None:
    """How many instances of a type endpoints may have; None where no quota has its name.

    The name is that in SageMaker's own refusal: `'ml.m5.large for endpoint usage'`.
    """
    wanted = f"{instance_type} for endpoint usage"
    with explained("service-quotas", "ListServiceQuotas"):
        pages = session.service_quotas.get_paginator("list_service_quotas").paginate(
            ServiceCode="sagemaker"
        )
        for page in pages:
            for quota in page["Quotas"]:
                if quota.get("QuotaName") == wanted:
                    return quota.get("Value")
    return None
