"""SageMaker's facts in code: paths, ports, variables, headers, limits, time-outs.

Each fact names its source. Short forms: DG = the SageMaker AI Developer Guide
(page), API = the API Reference (page), BC = botocore's service model.
Facts that the sources leave open are marked so and can be configured where
they are used.
"""

from __future__ import annotations

from typing import Final

# --- The container, as SageMaker starts it -----------------------------------

SERVE_ARGUMENT: Final = "serve"
"""The argument that replaces CMD: `docker run IMAGE serve`. DG your-algorithms-inference-code."""

PORT: Final = 8080
"""Where the container listens, on all interfaces. DG your-algorithms-inference-code."""

PING_PATH: Final = "/ping"
INVOCATIONS_PATH: Final = "/invocations"

MODEL_DIR: Final = "/opt/ml/model"
"""Where `model.tar.gz` is unpacked, read-only. DG your-algorithms-inference-code."""

CODE_DIR_NAME: Final = "code"
"""Folder beside the weights with `inference.py`; a convention of AWS's framework containers."""

DEFAULT_PROGRAM: Final = "inference.py"

RUNTIME_REPOSITORY: Final = "portside-runtime"
"""ECR repository name of the image that holds Portside's own serving runtime and nothing else."""

# --- Environment -------------------------------------------------------------

ENV_MODEL_DIR: Final = "SM_MODEL_DIR"
"""The model folder, where it is not `/opt/ml/model`; AWS's framework containers read it too."""

ENV_BIND_TO_PORT: Final = "SAGEMAKER_BIND_TO_PORT"
"""The port, where it is not 8080. DG inference-pipeline-real-time."""

ENV_PROGRAM: Final = "SAGEMAKER_PROGRAM"
"""File name of the user's code; set by the SageMaker Python SDK, not by the platform."""

ENV_BIND_HOST: Final = "PORTSIDE_BIND_HOST"
"""The address to listen on; 0.0.0.0 unless set. The local SageMaker sets 127.0.0.1."""

ENV_AGGREGATION_STRATEGY: Final = "PORTSIDE_AGGREGATION_STRATEGY"
"""How token classification joins tokens to entities, where a request does not say."""

# --- Headers -----------------------------------------------------------------

HEADER_CUSTOM_ATTRIBUTES: Final = "X-Amzn-SageMaker-Custom-Attributes"
HEADER_INFERENCE_ID: Final = "X-Amzn-SageMaker-Inference-Id"
HEADER_TARGET_MODEL: Final = "X-Amzn-SageMaker-Target-Model"
HEADER_TARGET_VARIANT: Final = "X-Amzn-SageMaker-Target-Variant"
HEADER_INVOKED_VARIANT: Final = "x-Amzn-Invoked-Production-Variant"

# --- Limits and time-outs ----------------------------------------------------

PING_TIMEOUT_S: Final = 2.0
"""An attempt of `/ping` must answer in this time. DG your-algorithms-inference-code."""

STARTUP_TIMEOUT_S: Final = 480.0
"""Launch to the first healthy `/ping`: eight minutes. DG your-algorithms-inference-code."""

SERVERLESS_STARTUP_TIMEOUT_S: Final = 180.0
"""Model download and first healthy `/ping` on serverless. DG serverless-endpoints."""

INVOCATION_TIMEOUT_S: Final = 60.0
"""The container must answer in this time. API InvokeEndpoint."""

STOP_GRACE_S: Final = 30.0
"""SIGTERM to SIGKILL. DG your-algorithms-inference-code."""

REALTIME_PAYLOAD_BYTES: Final = 25 * 1024 * 1024
"""Largest body, real-time. Configurable: API says 6 MiB, DG hosting-faqs says 25 MB."""

SERVERLESS_PAYLOAD_BYTES: Final = 4 * 1024 * 1024
"""Largest body, serverless, both ways. DG serverless-endpoints."""

SERVERLESS_MEMORY_MB: Final = (1024, 2048, 3072, 4096, 5120, 6144)
"""Memory sizes to choose from. BC ProductionVariantServerlessConfig, DG serverless-endpoints."""

SERVERLESS_MAX_CONCURRENCY: Final = 200
"""Of one endpoint. BC ProductionVariantServerlessConfig."""

ENVIRONMENT_LENGTH: Final = 1024
"""Longest name and longest value of a container's variable. BC ContainerDefinition."""

NAME_LENGTH: Final = 63
"""Longest name of a Model, EndpointConfig, Endpoint or ProductionVariant. BC."""

NAME_PATTERN: Final = r"[a-zA-Z0-9](-*[a-zA-Z0-9])*"
"""Names of endpoints, endpoint configurations and variants. BC EndpointName."""

LOG_GROUP_PREFIX: Final = "/aws/sagemaker/Endpoints/"
"""Before the endpoint's name; streams are `variant/instance`. DG logging-cloudwatch."""

DEFAULT_VARIANT: Final = "AllTraffic"
"""Name of the only variant where nobody chose one; the console and AWS's SDK use the same."""
