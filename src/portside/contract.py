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

EXECUTION_PARAMETERS_PATH: Final = "/execution-parameters"
"""Asked before a batch transform job begins. DG your-algorithms-batch-code."""

METRICS_PATH: Final = "/metrics"
"""Scraped every minute where detailed observability is on. BC MetricsConfig."""

MODELS_PATH: Final = "/models"
"""Of multi-model endpoints. DG mms-container-apis."""

MODELS_DIR: Final = "/opt/ml/models"
"""Where the artifacts of a multi-model endpoint are unpacked, each in `<name>/model`.
DG mms-container-apis."""

MODELS_PAGE_SIZE: Final = 100
"""Most models that one answer lists. awslabs/multi-model-server, ManagementRequestHandler."""

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

ENV_DEFAULT_ACCEPT: Final = "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT"
"""The content type of answers whose caller names none. AWS's inference toolkit reads it too."""

ENV_MAX_PAYLOAD_MB: Final = "SAGEMAKER_MAX_PAYLOAD_IN_MB"
"""Largest body in batch transform, where the job sets it. DG your-algorithms-batch-code."""

ENV_MULTI_MODEL: Final = "SAGEMAKER_MULTI_MODEL"
"""`true` where one container serves many models. DG build-multi-model-build-container."""

ENV_MODELS_DIR: Final = "PORTSIDE_MODELS_DIR"
"""The only folder that models are loaded from, where it is not `/opt/ml/models`."""

ENV_MODEL_MEMORY_MB: Final = "PORTSIDE_MODEL_MEMORY_MB"
"""What all models of a multi-model endpoint may take together; else what the machine has free."""

ENV_SESSIONS: Final = "SAGEMAKER_ENABLE_STATEFUL_SESSIONS"
"""`true` where requests may belong to sticky sessions. aws/model-hosting-container-standards."""

ENV_SESSIONS_EXPIRATION: Final = "SAGEMAKER_SESSIONS_EXPIRATION"
"""From a session's begin to its end, in seconds; 1200 unless set. Same source."""

ENV_APP: Final = "PORTSIDE_APP"
"""An ASGI or WSGI application to serve, as `module:attribute`."""

ENV_TIMEOUT: Final = "PORTSIDE_TIMEOUT_S"
"""From a request's arrival to its answer, in seconds; 60 unless set."""

ENV_MAX_QUEUE_SIZE: Final = "PORTSIDE_MAX_QUEUE_SIZE"
"""Most requests that wait or run; 1024 unless set."""

ENV_THREADS: Final = "PORTSIDE_THREADS"
"""Requests that the user's functions work on at the same time; 1 unless set."""

ENV_AGGREGATION_STRATEGY: Final = "PORTSIDE_AGGREGATION_STRATEGY"
"""How token classification joins tokens to entities, where a request does not say."""

# --- Headers -----------------------------------------------------------------

HEADER_CUSTOM_ATTRIBUTES: Final = "X-Amzn-SageMaker-Custom-Attributes"
HEADER_TRACE_ID: Final = "X-Amzn-Trace-Id"
"""Of AWS X-Ray; set by load balancers and clients that trace."""

HEADER_INFERENCE_ID: Final = "X-Amzn-SageMaker-Inference-Id"
HEADER_TARGET_MODEL: Final = "X-Amzn-SageMaker-Target-Model"
HEADER_SESSION_ID: Final = "X-Amzn-SageMaker-Session-Id"
"""The session that a request belongs to, or `NEW_SESSION`. BC InvokeEndpoint."""

HEADER_NEW_SESSION_ID: Final = "X-Amzn-SageMaker-New-Session-Id"
"""Of an answer: `<id>; Expires=<UTC>`. BC; DG stateful-sessions names the header above instead, but
AWS's own container library (aws/model-hosting-container-standards) sends this one."""

HEADER_CLOSED_SESSION_ID: Final = "X-Amzn-SageMaker-Closed-Session-Id"
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

STREAM_TIMEOUT_S: Final = 480.0
"""A streamed answer must end in this time: eight minutes. DG hosting-faqs."""

MODEL_LOAD_TIMEOUT_S: Final = 360.0
"""Of one model of a multi-model endpoint. DG invoke-multi-model-endpoint."""

SESSION_EXPIRATION_S: Final = 1200.0
"""Of a sticky session: twenty minutes. aws/model-hosting-container-standards."""

STOP_GRACE_S: Final = 30.0
"""SIGTERM to SIGKILL. DG your-algorithms-inference-code."""

REALTIME_PAYLOAD_BYTES: Final = 25 * 1024 * 1024
"""Largest body, real-time. Configurable: API says 6 MiB, DG hosting-faqs says 25 MB."""

BATCH_MAX_PAYLOAD_MB: Final = 6
BATCH_MAX_CONCURRENT_TRANSFORMS: Final = 16
"""What an instance asks for in batch transform: the default payload, and as many requests at once
as the two may multiply to, 100 MB. DG your-algorithms-batch-code."""

SERVERLESS_PAYLOAD_BYTES: Final = 4 * 1024 * 1024
"""Largest body, serverless, both ways. DG serverless-endpoints."""

SERVERLESS_MEMORY_MB: Final = (1024, 2048, 3072, 4096, 5120, 6144)
"""Memory sizes to choose from. BC ProductionVariantServerlessConfig, DG serverless-endpoints."""

SERVERLESS_MAX_CONCURRENCY: Final = 200
"""Of one endpoint. BC ProductionVariantServerlessConfig."""

ASYNC_PAYLOAD_BYTES: Final = 1024**3
"""Largest body of an asynchronous endpoint, by way of S3. DG async-inference."""

ASYNC_MAX_CONCURRENT_INVOCATIONS: Final = 1000
"""Of one instance. BC AsyncInferenceClientConfig."""

ENVIRONMENT_LENGTH: Final = 1024
"""Longest name and longest value of a container's variable. BC ContainerDefinition."""

PRODUCTION_VARIANTS: Final = 10
"""Most of one EndpointConfig. BC CreateEndpointConfig."""

VPC_SUBNETS: Final = 16
VPC_SECURITY_GROUPS: Final = 5
"""Most of one Model. BC VpcConfig."""

ROLLOUT_WAIT_S: Final = 3600
"""Longest wait of a rollout. BC WaitIntervalInSeconds, TerminationWaitInSeconds."""

CANARY_PERCENT: Final = (1, 50)
LINEAR_STEP_PERCENT: Final = (10, 50)
"""Least and most of the new fleet that moves at once. BC TrafficRoutingConfig."""

ROLLBACK_ALARMS: Final = 10
"""Most that watch over one update. BC AutoRollbackConfig."""

TAG_COUNT: Final = 50
TAG_KEY_LENGTH: Final = 128
TAG_VALUE_LENGTH: Final = 256
"""Most tags of one resource, and their longest keys and values. BC TagList, Tag."""

LIST_PAGE_SIZE: Final = 100
"""Most that one answer lists; 10 unless it is asked for more. BC MaxResults."""

REPOSITORY_NAME_LEAST: Final = 2
REPOSITORY_NAME_LENGTH: Final = 256
"""Characters of the name of one of ECR's repositories. BC ecr, RepositoryName."""

NAME_LENGTH: Final = 63
"""Longest name of a Model, EndpointConfig, Endpoint or ProductionVariant. BC."""

NAME_PATTERN: Final = r"[a-zA-Z0-9](-*[a-zA-Z0-9])*"
"""Names of endpoints, endpoint configurations and variants. BC EndpointName."""

LOG_GROUP_PREFIX: Final = "/aws/sagemaker/Endpoints/"
"""Before the endpoint's name; streams are `variant/instance`. DG logging-cloudwatch."""

DEFAULT_VARIANT: Final = "AllTraffic"
"""Name of the only variant where nobody chose one; the console and AWS's SDK use the same."""
