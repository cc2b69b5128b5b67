"""Every symptom, by a line that somebody really got, and none in a log where all is well."""

from __future__ import annotations

import pytest

from portside.doctor.finding import Severity
from portside.doctor.log.diagnose import diagnose
from portside.doctor.log.known.table import GENERAL, SYMPTOMS
from portside.doctor.project.module import LeftBehind

LINES = {
    "serve-not-found": 'starting container process caused: exec: "serve": executable file not '
    "found in $PATH: unknown",
    "serve-not-understood": "error: unexpected argument 'serve' found",
    "exec-format": "exec /usr/local/bin/serve: exec format error",
    "module-missing": "ModuleNotFoundError: No module named 'sentencepiece'",
    "relative-import": "ImportError: attempted relative import with no known parent package",
    "syntax": "SyntaxError: '[' was never closed",
    "engine-limits": "Error: runc: runc create failed: unable to start container process: error "
    "during container init: error setting rlimits for ready process: error setting rlimit type 7: "
    "operation not permitted: OCI permission denied",
    "engine": "Error: crun: writing file `/sys/fs/cgroup/cgroup.subtree_control`: Permission "
    "denied: OCI permission denied",
    "name-missing": "ImportError: cannot import name 'cached_download' from 'huggingface_hub' (x)",
    "pickle-versions": "ModuleNotFoundError: No module named 'numpy._core'",
    "library-missing": "libgomp.so.1: cannot open shared object file: No such file or directory",
    "libgomp-fork": "libgomp: Thread creation failed: Resource temporarily unavailable",
    "cuda": "RuntimeError: The NVIDIA driver on your system is too old; CUDA driver version is "
    "insufficient for CUDA runtime version",
    "cuda-memory": "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB",
    "address-in-use": "OSError: [Errno 98] Address already in use",
    "wrong-address": " * Running on http://127.0.0.1:8080",
    "flask-server": "WARNING: This is a development server. Do not use it in a production "
    "deployment.",
    "handler-missing": "ERROR `/opt/ml/model/code/inference.py` defines no handler",
    "handler-signature": "ERROR `predict_fn` in `inference.py` takes `(data)` and is called with "
    "`(data, model)`",
    "file-missing": "OSError: Error no file named pytorch_model.bin, model.safetensors found in "
    "dir",
    "read-only": "OSError: [Errno 30] Read-only file system: '/opt/ml/model/.cache'",
    "permission": "PermissionError: [Errno 13] Permission denied: '/home/model-server'",
    "no-semaphores": "OSError: [Errno 38] Function not implemented",
    "no-space": "OSError: [Errno 28] No space left on device",
    "out-of-memory": "The container exited with code 137: it went over its memory limit of 2048 MB",
    "worker-died": "[ERROR] Worker (pid:23) was sent SIGKILL! Perhaps out of memory?",
    "pip-at-start": "ERROR: No matching distribution found for torch==9.9",
    "download-at-start": "requests.exceptions.ConnectionError: HTTPSConnectionPool(host="
    "'huggingface.co', port=443)",
    "not-json": "TypeError: Object of type float32 is not JSON serializable",
    "content-type": "Content type text/csv; charset=utf-8 is not supported by this framework.",
    "timed-out": 'Received server error (0) from primary with message "Your invocation timed out '
    'while waiting for a response from container primary."',
    "no-answer": "Amazon SageMaker could not get a response from the ner endpoint.",
    "too-large": "Request 4f0c has oversize body.",
    "throttled": "An error occurred (ThrottlingException) when calling InvokeEndpoint: None",
    "endpoint-name": "Endpoint Ner of account 123456789012 not found.",
    "signature": "Credential should be scoped to correct service: 'sagemaker'.",
    "token": "ExpiredTokenException: The security token included in the request is expired",
    "manifest": "Unsupported manifest media type application/vnd.oci.image.manifest.v1+json for",
    "quota": "The account-level service limit 'ml.m5.large for endpoint usage' is 0 Instances",
    "capacity": "Unable to provision requested ML compute capacity due to InsufficientInstance"
    "Capacity error.",
    "model-data": 'Failed to download model data for container "container_1" from URL: "s3://b/k".',
    "image-missing": "Please make sure all images included in the model for the production variant "
    "AllTraffic exist",
    "image-size": "Image size 13279248421 is greater than supported size 10737418240",
    "exists": 'Cannot create already existing endpoint configuration "arn:aws:x".',
    "in-progress": 'Cannot update in-progress endpoint "arn:aws:x".',
    "ping": "The primary container for production variant AllTraffic did not pass the ping health "
    "check.",
    "exit-code": "The container exited with code 3",
    "exception": "ValueError: no such label",
}

HEALTHY = """\
INFO listening  address=0.0.0.0:8080
[2026-11-01 10:00:00] [INFO] Listening at: http://0.0.0.0:8080 (1)
INFO:     Uvicorn running on http://0.0.0.0:8080 (Press CTRL+C to quit)
INFO model loaded  seconds=0.41 memory_mb=212
INFO request  status=200 duration_ms=3.1 bytes=413
10.32.0.2 - - [01/Nov/2026:10:00:01 +0000] "GET /ping HTTP/1.1" 200 0 "-" "AHC/2.0"
"""


@pytest.mark.parametrize("name", LINES)
def test_a_symptom_is_known_by_its_line(name: str) -> None:
    found = {finding.check: finding for finding in diagnose(["INFO starting", LINES[name]])}

    assert name in found
    assert found[name].where == "log:2"
    assert found[name].mend
    assert "{" not in found[name].what.partition(": ")[0]


def test_every_symptom_has_a_line() -> None:
    assert sorted(LINES) == sorted(symptom.name for symptom in SYMPTOMS)


def test_a_healthy_log_has_none() -> None:
    assert diagnose(HEALTHY.splitlines()) == ()


def test_what_is_general_is_told_only_where_nothing_else_is() -> None:
    both = diagnose([LINES["ping"], LINES["module-missing"]])
    alone = diagnose([LINES["ping"]])

    assert [finding.check for finding in both] == ["module-missing"]
    assert [finding.check for finding in alone] == ["ping"]
    assert {"ping", "exit-code", "exception"} == GENERAL


def test_a_crash_loop_is_told_once() -> None:
    (found,) = diagnose([LINES["module-missing"]] * 7)

    assert "(7 times)" in found.what
    assert "`import sentencepiece`" in found.what


@pytest.mark.parametrize("name", ["engine-limits", "engine"])
def test_where_the_engine_fails_nothing_is_said_against_the_image(name: str) -> None:
    (found,) = diagnose([LINES[name], "The container could not be started: see above"])

    assert found.check == name
    assert "not the image's fault" in found.what


@pytest.mark.parametrize(
    "line",
    [
        "Error: crun: executable file `serve` not found in $PATH: No such file or directory",
        'runc create failed: exec: "/opt/serve": permission denied: OCI permission denied',
        "ValueError: not allowed to raise maximum limit of RLIMIT_NOFILE",
    ],
)
def test_what_is_the_images_fault_is_not_the_engines(line: str) -> None:
    assert not {finding.check for finding in diagnose([line])} & {"engine", "engine-limits"}


def test_a_syntax_error_is_told_with_its_file_and_line() -> None:
    (found,) = diagnose(
        [
            "Traceback (most recent call last):",
            '  File "<frozen importlib._bootstrap>", line 241, in _call_with_frames_removed',
            '  File "/opt/ml/model/code/inference.py", line 2',
            "    return [",
            "           ^",
            "SyntaxError: '[' was never closed",
            "ERROR importing `inference.py` raised SyntaxError: '[' was never closed",
        ]
    )

    assert found.what.startswith("`inference.py`, line 2, is not Python")
    assert "`python -m py_compile inference.py`" in found.mend


@pytest.mark.parametrize(
    "line",
    [
        "INFO request  path=/invocations status=504 ms=60034.4",
        "ERROR a prediction hangs: its thread is left behind, another takes its place",
        '127.0.0.1 - - "POST /invocations HTTP/1.1" 504 167 "-" "AHC/2.0"',
        "[CRITICAL] WORKER TIMEOUT (pid:23)",
    ],
)
def test_what_took_too_long_is_known_by_what_the_server_prints(line: str) -> None:
    (found,) = diagnose([line])

    assert found.check == "timed-out"


def test_a_module_of_the_project_is_not_asked_of_the_index() -> None:
    own = {"lib": LeftBehind("`lib` is in the project", "move it")}

    (found,) = diagnose(["ModuleNotFoundError: No module named 'lib.text'"], own=own)

    assert found.what.startswith("`lib` is in the project: ")
    assert found.mend == "move it"


def test_two_modules_are_two_findings() -> None:
    lines = [f"ModuleNotFoundError: No module named '{name}'" for name in ("a", "b")]

    assert [finding.where for finding in diagnose(lines)] == ["log:1", "log:2"]


def test_warnings_come_last() -> None:
    found = diagnose([LINES["flask-server"], LINES["no-space"]])

    assert [finding.severity for finding in found] == [Severity.ERROR, Severity.WARNING]


def test_a_line_without_an_end_is_cut() -> None:
    (found,) = diagnose([f"OSError: [Errno 28] No space left on device {'x' * 10_000}"])

    assert len(found.what) < 400


def test_of_a_long_line_the_part_is_shown_that_tells() -> None:
    (found,) = diagnose([f"Error: runc: {'x' * 150}: error setting rlimit type 7: no {'x' * 200}"])

    shown = found.what.partition("fault: ")[2]
    assert shown.startswith("…xxx")
    assert "error setting rlimit type 7" in shown
    assert shown.endswith("x…")
