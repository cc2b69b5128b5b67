"""Why a request is not answered."""

from __future__ import annotations

from typing import Final

from portside.doctor.log.symptom import symptom

REQUEST: Final = (
    symptom(
        "not-json",
        r"(float32|float16|int64|ndarray|Tensor|bfloat16) is not JSON serializable",
        cause="the handler returns numbers of numpy or torch, which Python's `json` cannot write",
        mend="return `.item()` or `.tolist()` of them; Portside's own serving writes them as they "
        "are",
        source="SeldonIO/MLServer#656",
    ),
    symptom(
        "content-type",
        r"UnsupportedFormatError|Content[- ]type .{0,60}(is not|not) supported"
        r"|Unsupported (content|media) type: ",
        cause="the request's content type is not one that the handler compares with, parameters "
        "such as `; charset=utf-8` included",
        mend="send the type that it wants (`--content-type`), or compare without what follows `;`",
        source="aws/amazon-sagemaker-examples#3235",
    ),
    symptom(
        "timed-out",
        r"Your invocation timed out while waiting|upstream timed out|Read timeout on endpoint"
        r"|\bstatus=504\b|did not answer within [\d.]+ s|a prediction hangs|WORKER TIMEOUT"
        r'|"(GET|POST) /invocations[^"]*" 504\b|\b504 Gateway',
        cause="a request was not answered in time: SageMaker waits 60 s, and the handler has "
        "`PORTSIDE_TIMEOUT_S`",
        mend="send fewer texts at once, give it more memory (and with it processors), load the "
        'model at the start, or let answers take up to an hour with `endpoint.kind = "async"`',
        source="API InvokeEndpoint",
    ),
    symptom(
        "no-answer",
        r"could not get a response from the .* endpoint",
        cause="the container ended, or hung, in the middle of the request: memory, most often",
        mend="look for what ended it above in the log, and give it more memory",
        source="aws/amazon-sagemaker-examples#2815",
    ),
    symptom(
        "too-large",
        r"has oversize body|content length exceeded \d+ bytes|Request Entity Too Large|\b413\b.*"
        r"(large|length|exceed)|RequestEntityTooLarge",
        cause="the request or its answer is larger than the endpoint takes: 4 MB serverless, 25 MB "
        "realtime, 6.5 MB in AWS's model servers",
        mend="send less at a time, or use an asynchronous endpoint",
        source="aws/sagemaker-python-sdk#4271",
    ),
    symptom(
        "throttled",
        r"ThrottlingException|Rate exceeded|TooManyRequestsException",
        cause="more requests at once than `max_concurrency`; the message is null, and the status "
        "400, so that clients do not take it for what it is",
        mend="raise `endpoint.max_concurrency`, and retry on the code `ThrottlingException`",
        source="opensearch-project/ml-commons#2429",
    ),
    symptom(
        "endpoint-name",
        r"Endpoint \S+ of account \d{12} not found",
        cause="there is no endpoint of this very name here: case counts, and so does the region",
        mend="see the names with `portside status`",
        source="aws/amazon-sagemaker-examples#293",
    ),
    symptom(
        "signature",
        r"Credential should be scoped to correct service|SignatureDoesNotMatch"
        r"|InvalidSignatureException|signature we calculated does not match",
        cause="the request is signed for another service, region or time: the service is "
        "`sagemaker`, also for invocations",
        mend="sign for `sagemaker` in the endpoint's region; `portside export curl` shows how",
        source="aws/aws-cli#6377",
    ),
    symptom(
        "token",
        r"ExpiredToken|security token included in the request is (expired|invalid)",
        cause="the keys have expired, or a session token was left out",
        mend="sign in again (`aws sso login`), and send `X-Amz-Security-Token` with temporary keys",
        source="API CommonErrors",
    ),
)
