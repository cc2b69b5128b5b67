"""The well-known ways in which an instance fails, by what it prints or SageMaker says of it.

A symptom's words may name groups of its pattern, as in `{module}`, and where the traceback points
to that ends with the line: `{place}` and `{file}`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from portside.doctor.finding import Severity

NOWHERE: Final = {"place": "a file of the code", "file": "FILE"}
"""What stands for the place where no traceback tells one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Symptom:
    """What is looked for in a line, what it means, what to do about it, and who says so.

    `is_general` is one that says only that something is wrong: it is told where nothing else is.
    `is_whole` is one that explains its line whole: no other is looked for in it.
    """

    name: str
    pattern: re.Pattern[str]
    cause: str
    mend: str
    source: str
    severity: Severity = Severity.ERROR
    is_general: bool = False
    is_whole: bool = False


def _symptom(
    name: str,
    pattern: str,
    *,
    cause: str,
    mend: str,
    source: str,
    severity: Severity = Severity.ERROR,
    is_general: bool = False,
    is_whole: bool = False,
) -> Symptom:
    return Symptom(
        name=name,
        pattern=re.compile(pattern, re.IGNORECASE),
        cause=cause,
        mend=mend,
        source=source,
        severity=severity,
        is_general=is_general,
        is_whole=is_whole,
    )


_ENGINE: Final = (
    _symptom(
        "engine-limits",
        r"error setting rlimit|(\bcrun\b|OCI \w+|daemon).*(rlimit|ulimit)",
        cause="the engine may not set the limits that it starts every container with; it is not "
        "the image's fault",
        mend="lower them under `[containers]` of `/etc/containers/containers.conf`: "
        '`default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]`; or do without: '
        "`portside local start --engine process`",
        source="containers/podman#6668",
        is_whole=True,
    ),
    _symptom(
        "engine",
        r"(\bcrun\b|\brunc\b|OCI (runtime|permission)|Error response from daemon).*"
        r"(cgroup|id_?map|subuid|namespace|seccomp|apparmor|sysctl|keyring|\bmount)"
        r"|permission denied while trying to connect to the Docker|cannot set up namespace"
        r"|no subuid ranges|cannot clone: Operation not permitted",
        cause="the engine cannot start containers on this machine; it is not the image's fault",
        mend="see what it says of an image that is known to work (`podman run --rm IMAGE true`), "
        "or do without: `portside local start --engine process`",
        source="containers/podman, troubleshooting.md",
        is_whole=True,
    ),
)

_START: Final = (
    _symptom(
        "serve-not-found",
        r'exec: "serve": executable file not found|exec:? .*\bserve\b.*(not found|no such file)'
        r"|executable file `serve` not found",
        cause="the image has no command `serve`, which SageMaker starts it with",
        mend="add an ENTRYPOINT in exec form, or `COPY serve /usr/local/bin/` and "
        "`RUN chmod +x /usr/local/bin/serve`; `portside build` makes an image that has one",
        source="aws/amazon-sagemaker-examples#628",
    ),
    _symptom(
        "serve-not-understood",
        r"(unexpected|unrecognized) arguments?:? '?serve|invalid choice: 'serve'"
        r"|can't open file '[^']*\bserve'",
        cause="the image's ENTRYPOINT takes the argument `serve` for one of its own",
        mend="let the ENTRYPOINT be a script that ignores its arguments",
        source="huggingface/text-generation-inference#885",
    ),
    _symptom(
        "exec-format",
        r"exec format error",
        cause="the image, or a program in it, is for another processor, as one built on an Apple "
        "silicon Mac is",
        mend="build it anew: `portside build --platform linux/amd64`, or "
        "`docker build --platform linux/amd64`",
        source="aws-samples/sagemaker-studio-custom-image-samples#28",
    ),
    _symptom(
        "module-missing",
        r"ModuleNotFoundError: No module named '(?!numpy\._core)(?P<module>[\w.]+)'",
        cause="the image has no package for `import {module}`",
        mend="add it to the file that `image.requirements` names, and deploy again; a module of "
        "your own goes beside `inference.py`, or into the folder `code/` with it",
        source="aws/sagemaker-python-sdk#4115",
    ),
    _symptom(
        "relative-import",
        r"attempted relative import with no known parent package",
        cause="{place} imports with a dot, and the handler is in no package",
        mend="leave the dot out: `import helper` in place of `from . import helper`",
        source="sagemaker-inference-toolkit, `transformer.py`",
    ),
    _symptom(
        "syntax",
        r"\b(SyntaxError|IndentationError|TabError): ",
        cause="{place} is not Python, or not of the image's version",
        mend="mend what `python -m py_compile {file}` says, and deploy again",
        source="aws/amazon-sagemaker-examples#210",
    ),
    _symptom(
        "name-missing",
        r"ImportError: cannot import name '(?P<name>\w+)' from '(?P<module>[\w.]+)'"
        r"|AttributeError: module '(?P<module2>[\w.]+)' has no attribute",
        cause="the image has another version of a package than the code was written with",
        mend="pin the versions of the training environment: `pip freeze` there tells them",
        source="aws/sagemaker-python-sdk#4115",
    ),
    _symptom(
        "pickle-versions",
        r"numpy\.core\.multiarray failed to import|numpy\._core|InconsistentVersionWarning"
        r"|Can't get attribute '\w+' on <module|ValueError: unsupported pickle protocol",
        cause="the artifact is a pickle that another version of its libraries, or of Python, wrote",
        mend="pin those versions in `image.requirements`, or save the model as safetensors or ONNX",
        source="aws/amazon-sagemaker-from-idea-to-production#9",
    ),
    _symptom(
        "library-missing",
        r"(?P<library>lib[\w.+-]+\.so[\w.]*): cannot open shared object file",
        cause="the image has no `{library}`",
        mend="install the system package that has it in the base (libgomp1 for `libgomp.so.1`; "
        "for `libGL.so.1` require `opencv-python-headless`)",
        source="david-cortes/cmfrec#37",
    ),
    _symptom(
        "libgomp-fork",
        r"libgomp: (Thread creation failed|Invalid value|Affinity not supported)",
        cause="OpenMP could not make its threads: a server forked after the model was loaded, or "
        "the instance allows no more processes",
        mend='load the model after the fork, or set `OMP_NUM_THREADS = "1"` in '
        "`endpoint.environment`",
        source="benoitc/gunicorn#2417",
    ),
    _symptom(
        "cuda",
        r"CUDA driver version is insufficient|no CUDA-capable device|Found no NVIDIA driver"
        r"|CUDA error: no kernel image|libcuda\.so\.1|Torch not compiled with CUDA enabled",
        cause="the build of torch and the instance's GPU, or its driver, do not fit",
        mend='use an instance with a GPU (`instance_type = "ml.g5.xlarge"`), a build for its '
        'driver, or `torch.load(…, map_location="cpu")`',
        source="DG deploy-model-troubleshoot",
    ),
    _symptom(
        "cuda-memory",
        r"CUDA out of memory|torch\.OutOfMemoryError",
        cause="the model and its requests need more memory than the GPU has",
        mend="choose a larger `instance_type`, load in half precision, or send smaller batches",
        source="DG deploy-model-troubleshoot",
    ),
    _symptom(
        "address-in-use",
        r"Address already in use|\[Errno (98|48)\]",
        cause="something else in the container listens on the port: two servers were started",
        mend="start one process that listens on 8080, once",
        source="DG your-algorithms-inference-code",
    ),
    _symptom(
        "wrong-address",
        r"(Running on|Listening at:?|running on) https?://(127\.0\.0\.1|localhost):\d+"
        r"|(Running on|Listening at:?|running on) https?://[\w.\[\]:]+:(?!8080\b)\d{2,5}\b(?!\d)",
        cause="the server listens on 127.0.0.1 or on another port, and SageMaker asks on port 8080 "
        "from outside",
        mend="listen on `0.0.0.0:8080`",
        source="DG your-algorithms-inference-code",
        severity=Severity.WARNING,
    ),
    _symptom(
        "flask-server",
        r"This is a development server\. Do not use it in a production",
        cause="Flask's development server answers `/ping` late while it works",
        mend="start the app with a real server, or with Portside by `PORTSIDE_APP`",
        source="aws/amazon-sagemaker-examples#1113",
        severity=Severity.WARNING,
    ),
    _symptom(
        "handler-missing",
        r"defines no handler|Please provide a model_fn implementation|model_fn.*NotImplementedError"
        r"|No module named inference",
        cause="the user's code was not found, or has none of the functions that are looked for",
        mend="put it at `code/inference.py` of the artifact, with `load_model` and `predict`; "
        "`portside doctor` looks at your copy",
        source="aws/sagemaker-huggingface-inference-toolkit#51",
    ),
    _symptom(
        "handler-signature",
        r"takes `\([^`]*\)` and is called with|defines `transform_fn` and"
        r"|takes \d+ positional arguments? but \d+ (was|were) given",
        cause="a function of the code cannot be called with what it is called with, or stands in "
        "the way of another",
        mend="see which, and what it has to take: `portside doctor` in the project's folder",
        source="sagemaker-inference-toolkit, `transformer.py`",
    ),
    _symptom(
        "file-missing",
        r"(config\.json|tokenizer\.json|model_index\.json|pytorch_model\.bin|model\.safetensors)"
        r".{0,60}(not found|does not appear|no such file)|no file named (pytorch_model|model)",
        cause="the artifact lacks a file, or has it one folder too deep",
        mend="pack from inside the folder: `tar czf model.tar.gz -C model .`, or `portside "
        "package`",
        source="aws/sagemaker-huggingface-inference-toolkit#51",
    ),
)

_MACHINE: Final = (
    _symptom(
        "read-only",
        r"\[Errno 30\]|Read-only file system",
        cause="the code writes where nothing may be written: `/opt/ml/model` is read-only, and on "
        "serverless everything but `/tmp`",
        mend='write below `/tmp`; for caches set `HF_HOME = "/tmp/hf"` in `endpoint.environment`',
        source="aws/sagemaker-python-sdk#5698",
    ),
    _symptom(
        "permission",
        r"\[Errno 13\]|PermissionError|Permission denied",
        cause="a file may not be read, written or run by the user that the instance runs as; "
        "serverless runs as another one than root",
        mend="make the image's files readable for all (`RUN chmod -R a+rX /opt`), scripts "
        "executable, and write below `/tmp` alone",
        source="mlflow/mlflow#5544",
    ),
    _symptom(
        "no-semaphores",
        r"\[Errno 38\]|Function not implemented",
        cause="multiprocessing needs `/dev/shm`, which serverless endpoints do not have",
        mend="use threads in place of processes, pools and locks of `multiprocessing`",
        source="inferred from AWS Lambda, which serverless endpoints build on",
    ),
    _symptom(
        "no-space",
        r"No space left on device|\[Errno 28\]",
        cause="the disk is full: a serverless instance has 5 GB, for the model too",
        mend="fetch nothing at the start, bake requirements into the image, or use a realtime "
        "endpoint",
        source="aws/sagemaker-python-sdk#4665",
    ),
    _symptom(
        "out-of-memory",
        r"(?<!CUDA )Out of memory|OOMKilled|oom-kill|went over its memory limit|\bMemoryError\b"
        r"|exit(ed with)?( code|status)? 137|std::bad_alloc|Cannot allocate memory",
        cause="the instance needed more memory than it has, and was ended",
        mend="raise `endpoint.memory_size_mb` (or take a larger `instance_type`), or load one copy "
        "of the model alone",
        source="aws/sagemaker-python-sdk#1275",
    ),
    _symptom(
        "worker-died",
        r"Worker died|Worker exited|was sent SIGKILL|signal 9|Backend worker process died"
        r"|Worker \(pid:\d+\) exited",
        cause="a process of the model server was killed, most often for its memory: such servers "
        "load a copy of the model for each processor",
        mend='set `SAGEMAKER_MODEL_SERVER_WORKERS = "1"` in `endpoint.environment`, or give it '
        "more memory",
        source="awslabs/multi-model-server#974",
    ),
    _symptom(
        "pip-at-start",
        r"(Could not (find a version|install)|No matching distribution|Failed to establish a new "
        r"connection).*|/miniconda3/bin/python -m pip install .* returned non-zero",
        cause="packages are installed when the instance starts, and that failed: no way out to the "
        "index, or a version that is not there",
        mend="bake them into the image: `image.requirements`",
        source="aws/sagemaker-python-sdk#4310",
    ),
    _symptom(
        "download-at-start",
        r"huggingface\.co|Max retries exceeded with url|Temporary failure in name resolution"
        r"|We couldn't connect to|LocalEntryNotFoundError",
        cause="the code fetches something from the network, and cannot reach it from the instance",
        mend="put the files into the artifact, and load them from `model_dir`",
        source="aws/sagemaker-huggingface-inference-toolkit#62",
    ),
)

_REQUEST: Final = (
    _symptom(
        "not-json",
        r"(float32|float16|int64|ndarray|Tensor|bfloat16) is not JSON serializable",
        cause="the handler returns numbers of numpy or torch, which Python's `json` cannot write",
        mend="return `.item()` or `.tolist()` of them; Portside's own serving writes them as they "
        "are",
        source="SeldonIO/MLServer#656",
    ),
    _symptom(
        "content-type",
        r"UnsupportedFormatError|Content[- ]type .{0,60}(is not|not) supported"
        r"|Unsupported (content|media) type: ",
        cause="the request's content type is not one that the handler compares with, parameters "
        "such as `; charset=utf-8` included",
        mend="send the type that it wants (`--content-type`), or compare without what follows `;`",
        source="aws/amazon-sagemaker-examples#3235",
    ),
    _symptom(
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
    _symptom(
        "no-answer",
        r"could not get a response from the .* endpoint",
        cause="the container ended, or hung, in the middle of the request: memory, most often",
        mend="look for what ended it above in the log, and give it more memory",
        source="aws/amazon-sagemaker-examples#2815",
    ),
    _symptom(
        "too-large",
        r"has oversize body|content length exceeded \d+ bytes|Request Entity Too Large|\b413\b.*"
        r"(large|length|exceed)|RequestEntityTooLarge",
        cause="the request or its answer is larger than the endpoint takes: 4 MB serverless, 25 MB "
        "realtime, 6.5 MB in AWS's model servers",
        mend="send less at a time, or use an asynchronous endpoint",
        source="aws/sagemaker-python-sdk#4271",
    ),
    _symptom(
        "throttled",
        r"ThrottlingException|Rate exceeded|TooManyRequestsException",
        cause="more requests at once than `max_concurrency`; the message is null, and the status "
        "400, so that clients do not take it for what it is",
        mend="raise `endpoint.max_concurrency`, and retry on the code `ThrottlingException`",
        source="opensearch-project/ml-commons#2429",
    ),
    _symptom(
        "endpoint-name",
        r"Endpoint \S+ of account \d{12} not found",
        cause="there is no endpoint of this very name here: case counts, and so does the region",
        mend="see the names with `portside status`",
        source="aws/amazon-sagemaker-examples#293",
    ),
    _symptom(
        "signature",
        r"Credential should be scoped to correct service|SignatureDoesNotMatch"
        r"|InvalidSignatureException|signature we calculated does not match",
        cause="the request is signed for another service, region or time: the service is "
        "`sagemaker`, also for invocations",
        mend="sign for `sagemaker` in the endpoint's region; `portside export curl` shows how",
        source="aws/aws-cli#6377",
    ),
    _symptom(
        "token",
        r"ExpiredToken|security token included in the request is (expired|invalid)",
        cause="the keys have expired, or a session token was left out",
        mend="sign in again (`aws sso login`), and send `X-Amz-Security-Token` with temporary keys",
        source="API CommonErrors",
    ),
)

_PLATFORM: Final = (
    _symptom(
        "manifest",
        r"Unsupported manifest media type",
        cause="the image has an OCI manifest, as buildx makes it, and SageMaker takes Docker's",
        mend="push it with `portside build --push`, or "
        "`docker buildx build --provenance=false --output type=docker`",
        source="aws/amazon-sagemaker-feedback#180",
    ),
    _symptom(
        "quota",
        r"ResourceLimitExceeded|account-level service limit",
        cause="the account may not have as many instances of this type; new accounts have none",
        mend="ask for more in Service Quotas, or choose another `instance_type`",
        source="awsdocs/amazon-sagemaker-developer-guide#70",
    ),
    _symptom(
        "capacity",
        r"InsufficientInstanceCapacity|insufficient capacity|Unable to provision requested ML "
        r"compute capacity",
        cause="AWS has no such instance free at the moment",
        mend="try later, in another region, or with another `instance_type`",
        source="DG deploy-model-troubleshoot",
    ),
    _symptom(
        "model-data",
        r"Failed to download model data|Could not access model data",
        cause="the artifact is not there, or the role may not read it, or it is in another region",
        mend="run `portside deploy` again, which uploads it and mends the role",
        source="philschmid/llm-sagemaker-sample#2",
    ),
    _symptom(
        "image-missing",
        r"make sure all images included in the model .* exist",
        cause="the image is not in ECR, or the role may not pull it",
        mend="push it with `portside build --push`, and see that the role allows "
        "`ecr:BatchGetImage`",
        source="aws/amazon-sagemaker-examples#275",
    ),
    _symptom(
        "image-size",
        r"Image size \d+ is greater than supported size",
        cause="the image is larger than SageMaker starts, 10 GB unpacked",
        mend="see with `portside build --explain` what takes the room: CUDA's libraries, most "
        "often",
        source="aws/deep-learning-containers#3803",
    ),
    _symptom(
        "exists",
        r"Cannot create already existing",
        cause="something of this name is left from before",
        mend="run `portside deploy`, whose names carry a digest, or `portside destroy` first",
        source="aws/sagemaker-python-sdk#987",
    ),
    _symptom(
        "in-progress",
        r"Cannot update in-progress endpoint",
        cause="the endpoint is being created or updated, and takes no other order until that ends",
        mend="wait for `portside status` to say InService or Failed, and run the command again",
        source="API UpdateEndpoint",
    ),
    _symptom(
        "ping",
        r"did not pass the ping health check",
        cause="the container did not answer `GET /ping` on port 8080 with 200 in time: it ended at "
        "its start, or loads too long, or listens elsewhere",
        mend="read what it printed: `portside logs ENDPOINT`, and give that to "
        "`portside doctor --log FILE`",
        source="aws/amazon-sagemaker-examples#210",
        is_general=True,
    ),
    _symptom(
        "exit-code",
        r"(container|process) exited with (code|status) (?P<code>[1-9]\d*)",
        cause="the container ended at its start, with exit code {code}",
        mend="read the last lines that it printed: `portside logs ENDPOINT`",
        source="aws/amazon-sagemaker-examples#210",
        is_general=True,
    ),
    _symptom(
        "exception",
        r"^\s*(?P<error>(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception)): (?P<message>.*)"
        r"|raised (?P<error2>[A-Z]\w*(?:Error|Exception)): (?P<message2>.*)",
        cause="the user's code raised an exception",
        mend="mend what its traceback names, and try it here: `portside serve`",
        source="aws/sagemaker-python-sdk#1487",
        is_general=True,
    ),
)

SYMPTOMS: Final = (*_ENGINE, *_START, *_MACHINE, *_REQUEST, *_PLATFORM)

GENERAL: Final = frozenset(symptom.name for symptom in SYMPTOMS if symptom.is_general)
"""Names of those that say only that something is wrong."""
