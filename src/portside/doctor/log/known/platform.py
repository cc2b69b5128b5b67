"""What SageMaker says itself, and what says only that something is wrong."""

from __future__ import annotations

from typing import Final

from portside.doctor.log.symptom import symptom

PLATFORM: Final = (
    symptom(
        "manifest",
        r"Unsupported manifest media type",
        cause="the image has an OCI manifest, as buildx makes it, and SageMaker takes Docker's",
        mend="push it with `portside build --push`, or "
        "`docker buildx build --provenance=false --output type=docker`",
        source="aws/amazon-sagemaker-feedback#180",
    ),
    symptom(
        "quota",
        r"ResourceLimitExceeded|account-level service limit",
        cause="the account may not have as many instances of this type; new accounts have none",
        mend="ask for more in Service Quotas, or choose another `instance_type`",
        source="awsdocs/amazon-sagemaker-developer-guide#70",
    ),
    symptom(
        "capacity",
        r"InsufficientInstanceCapacity|insufficient capacity|Unable to provision requested ML "
        r"compute capacity",
        cause="AWS has no such instance free at the moment",
        mend="try later, in another region, or with another `instance_type`",
        source="DG deploy-model-troubleshoot",
    ),
    symptom(
        "model-data",
        r"Failed to download model data|Could not access model data",
        cause="the artifact is not there, or the role may not read it, or it is in another region",
        mend="run `portside deploy` again, which uploads it and mends the role",
        source="philschmid/llm-sagemaker-sample#2",
    ),
    symptom(
        "image-missing",
        r"make sure all images included in the model .* exist",
        cause="the image is not in ECR, or the role may not pull it",
        mend="push it with `portside build --push`, and see that the role allows "
        "`ecr:BatchGetImage`",
        source="aws/amazon-sagemaker-examples#275",
    ),
    symptom(
        "image-size",
        r"Image size \d+ is greater than supported size",
        cause="the image is larger than SageMaker starts, 10 GB unpacked",
        mend="see with `portside build --explain` what takes the room: CUDA's libraries, most "
        "often",
        source="aws/deep-learning-containers#3803",
    ),
    symptom(
        "exists",
        r"Cannot create already existing",
        cause="something of this name is left from before",
        mend="run `portside deploy`, whose names carry a digest, or `portside destroy` first",
        source="aws/sagemaker-python-sdk#987",
    ),
    symptom(
        "in-progress",
        r"Cannot update in-progress endpoint",
        cause="the endpoint is being created or updated, and takes no other order until that ends",
        mend="wait for `portside status` to say InService or Failed, and run the command again",
        source="API UpdateEndpoint",
    ),
    symptom(
        "ping",
        r"did not pass the ping health check",
        cause="the container did not answer `GET /ping` on port 8080 with 200 in time: it ended at "
        "its start, or loads too long, or listens elsewhere",
        mend="read what it printed: `portside logs ENDPOINT`, and give that to "
        "`portside doctor --log FILE`",
        source="aws/amazon-sagemaker-examples#210",
        is_general=True,
    ),
    symptom(
        "exit-code",
        r"(container|process) exited with (code|status) (?P<code>[1-9]\d*)",
        cause="the container ended at its start, with exit code {code}",
        mend="read the last lines that it printed: `portside logs ENDPOINT`",
        source="aws/amazon-sagemaker-examples#210",
        is_general=True,
    ),
    symptom(
        "exception",
        r"^\s*(?P<error>(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception)): (?P<message>.*)"
        r"|raised (?P<error2>[A-Z]\w*(?:Error|Exception)): (?P<message2>.*)",
        cause="the user's code raised an exception",
        mend="mend what its traceback names, and try it here: `portside serve`",
        source="aws/sagemaker-python-sdk#1487",
        is_general=True,
    ),
)
