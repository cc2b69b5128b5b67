"""What SageMaker costs, in US dollars, as far as it is known.

Source: https://aws.amazon.com/sagemaker/pricing/ (on-demand, real-time inference, serverless
inference, data processing), as known on `AS_OF` from public copies of that page; the page itself
was not fetched by a program. Of some large types there was one copy alone. What is not in these
tables is unknown, and said to be.
"""

from __future__ import annotations

from typing import Final

AS_OF: Final = "2025-10"
SOURCE: Final = "https://aws.amazon.com/sagemaker/pricing/"

_US: Final = {
    "ml.m5.large": 0.115,
    "ml.m5.xlarge": 0.23,
    "ml.m5.2xlarge": 0.461,
    "ml.m5.4xlarge": 0.922,
    "ml.c5.large": 0.102,
    "ml.c5.xlarge": 0.204,
    "ml.c5.2xlarge": 0.408,
    "ml.c5.4xlarge": 0.816,
    "ml.g4dn.xlarge": 0.7364,
    "ml.g4dn.2xlarge": 0.94,
    "ml.g4dn.4xlarge": 1.505,
    "ml.g4dn.8xlarge": 2.72,
    "ml.g4dn.12xlarge": 4.89,
    "ml.g4dn.16xlarge": 5.44,
    "ml.g5.xlarge": 1.408,
    "ml.g5.2xlarge": 1.515,
    "ml.g5.4xlarge": 2.03,
    "ml.g5.8xlarge": 3.06,
    "ml.g5.12xlarge": 7.09,
    "ml.g5.16xlarge": 5.12,
    "ml.g5.24xlarge": 10.18,
    "ml.g5.48xlarge": 20.36,
    "ml.inf2.xlarge": 0.99,
    "ml.inf2.8xlarge": 2.36,
    "ml.inf2.24xlarge": 7.79,
    "ml.inf2.48xlarge": 15.58,
    "ml.p3.2xlarge": 3.825,
    "ml.p3.8xlarge": 14.688,
    "ml.p3.16xlarge": 28.152,
}
"""An instance for an hour, by its type; the same in Virginia, Ohio and Oregon."""

INSTANCE_HOUR: Final[dict[str, dict[str, float]]] = dict.fromkeys(
    ("us-east-1", "us-east-2", "us-west-2"), _US
)
"""By region, then by type."""

SERVERLESS_GB_SECOND: Final[dict[str, float]] = dict.fromkeys(
    ("us-east-1", "us-east-2", "us-west-2"), 0.00002
)
"""A GB of memory for a second in which a request is answered, by region."""

PROVISIONED_GB_SECOND: Final[dict[str, float]] = {}
"""A GB of memory for a second in which it is kept ready, by region: not known for sure."""

DATA_GB: Final[dict[str, float]] = dict.fromkeys(
    ("us-east-1", "us-east-2", "us-west-2", "eu-west-1"), 0.016
)
"""A GB that goes into an endpoint, or comes out, by region."""
