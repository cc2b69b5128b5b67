"""What an instance has not got: a disk to write to, memory, a network."""

from __future__ import annotations

from typing import Final

from portside.doctor.log.symptom import symptom

MACHINE: Final = (
    symptom(
        "read-only",
        r"\[Errno 30\]|Read-only file system",
        cause="the code writes where nothing may be written: `/opt/ml/model` is read-only, and on "
        "serverless everything but `/tmp`",
        mend='write below `/tmp`; for caches set `HF_HOME = "/tmp/hf"` in `endpoint.environment`',
        source="aws/sagemaker-python-sdk#5698",
    ),
    symptom(
        "permission",
        r"\[Errno 13\]|PermissionError|Permission denied",
        cause="a file may not be read, written or run by the user that the instance runs as; "
        "serverless runs as another one than root",
        mend="make the image's files readable for all (`RUN chmod -R a+rX /opt`), scripts "
        "executable, and write below `/tmp` alone",
        source="mlflow/mlflow#5544",
    ),
    symptom(
        "no-semaphores",
        r"\[Errno 38\]|Function not implemented",
        cause="multiprocessing needs `/dev/shm`, which serverless endpoints do not have",
        mend="use threads in place of processes, pools and locks of `multiprocessing`",
        source="inferred from AWS Lambda, which serverless endpoints build on",
    ),
    symptom(
        "no-space",
        r"No space left on device|\[Errno 28\]",
        cause="the disk is full: a serverless instance has 5 GB, for the model too",
        mend="fetch nothing at the start, bake requirements into the image, or use a realtime "
        "endpoint",
        source="aws/sagemaker-python-sdk#4665",
    ),
    symptom(
        "out-of-memory",
        r"(?<!CUDA )Out of memory|OOMKilled|oom-kill|went over its memory limit|\bMemoryError\b"
        r"|exit(ed with)?( code|status)? 137|std::bad_alloc|Cannot allocate memory",
        cause="the instance needed more memory than it has, and was ended",
        mend="raise `endpoint.memory_size_mb` (or take a larger `instance_type`), or load one copy "
        "of the model alone",
        source="aws/sagemaker-python-sdk#1275",
    ),
    symptom(
        "worker-died",
        r"Worker died|Worker exited|was sent SIGKILL|signal 9|Backend worker process died"
        r"|Worker \(pid:\d+\) exited",
        cause="a process of the model server was killed, most often for its memory: such servers "
        "load a copy of the model for each processor",
        mend='set `SAGEMAKER_MODEL_SERVER_WORKERS = "1"` in `endpoint.environment`, or give it '
        "more memory",
        source="awslabs/multi-model-server#974",
    ),
    symptom(
        "pip-at-start",
        r"(Could not (find a version|install)|No matching distribution|Failed to establish a new "
        r"connection).*|/miniconda3/bin/python -m pip install .* returned non-zero",
        cause="packages are installed when the instance starts, and that failed: no way out to the "
        "index, or a version that is not there",
        mend="bake them into the image: `image.requirements`",
        source="aws/sagemaker-python-sdk#4310",
    ),
    symptom(
        "download-at-start",
        r"huggingface\.co|Max retries exceeded with url|Temporary failure in name resolution"
        r"|We couldn't connect to|LocalEntryNotFoundError",
        cause="the code fetches something from the network, and cannot reach it from the instance",
        mend="put the files into the artifact, and load them from `model_dir`",
        source="aws/sagemaker-huggingface-inference-toolkit#62",
    ),
)
