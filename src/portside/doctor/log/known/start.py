"""Why a container ends at its start: its entry point, its libraries, its code."""

from __future__ import annotations

from typing import Final

from portside.doctor.finding import Severity
from portside.doctor.log.symptom import symptom

START: Final = (
    symptom(
        "serve-not-found",
        r'exec: "serve": executable file not found|exec:? .*\bserve\b.*(not found|no such file)'
        r"|executable file `serve` not found",
        cause="the image has no command `serve`, which SageMaker starts it with",
        mend="add an ENTRYPOINT in exec form, or `COPY serve /usr/local/bin/` and "
        "`RUN chmod +x /usr/local/bin/serve`; `portside build` makes an image that has one",
        source="aws/amazon-sagemaker-examples#628",
    ),
    symptom(
        "serve-not-understood",
        r"(unexpected|unrecognized) arguments?:? '?serve|invalid choice: 'serve'"
        r"|can't open file '[^']*\bserve'",
        cause="the image's ENTRYPOINT takes the argument `serve` for one of its own",
        mend="let the ENTRYPOINT be a script that ignores its arguments",
        source="huggingface/text-generation-inference#885",
    ),
    symptom(
        "exec-format",
        r"exec format error",
        cause="the image, or a program in it, is for another processor, as one built on an Apple "
        "silicon Mac is",
        mend="build it anew: `portside build --platform linux/amd64`, or "
        "`docker build --platform linux/amd64`",
        source="aws-samples/sagemaker-studio-custom-image-samples#28",
    ),
    symptom(
        "module-missing",
        r"ModuleNotFoundError: No module named '(?!numpy\._core)(?P<module>[\w.]+)'",
        cause="the image has no package for `import {module}`",
        mend="add it to the file that `image.requirements` names, and deploy again; a module of "
        "your own goes beside `inference.py`, or into the folder `code/` with it",
        source="aws/sagemaker-python-sdk#4115",
    ),
    symptom(
        "relative-import",
        r"attempted relative import with no known parent package",
        cause="{place} imports with a dot, and the handler is in no package",
        mend="leave the dot out: `import helper` in place of `from . import helper`",
        source="sagemaker-inference-toolkit, `transformer.py`",
    ),
    symptom(
        "syntax",
        r"\b(SyntaxError|IndentationError|TabError): ",
        cause="{place} is not Python, or not of the image's version",
        mend="mend what `python -m py_compile {file}` says, and deploy again",
        source="aws/amazon-sagemaker-examples#210",
    ),
    symptom(
        "name-missing",
        r"ImportError: cannot import name '(?P<name>\w+)' from '(?P<module>[\w.]+)'"
        r"|AttributeError: module '(?P<module2>[\w.]+)' has no attribute",
        cause="the image has another version of a package than the code was written with",
        mend="pin the versions of the training environment: `pip freeze` there tells them",
        source="aws/sagemaker-python-sdk#4115",
    ),
    symptom(
        "pickle-versions",
        r"numpy\.core\.multiarray failed to import|numpy\._core|InconsistentVersionWarning"
        r"|Can't get attribute '\w+' on <module|ValueError: unsupported pickle protocol",
        cause="the artifact is a pickle that another version of its libraries, or of Python, wrote",
        mend="pin those versions in `image.requirements`, or save the model as safetensors or ONNX",
        source="aws/amazon-sagemaker-from-idea-to-production#9",
    ),
    symptom(
        "library-missing",
        r"(?P<library>lib[\w.+-]+\.so[\w.]*): cannot open shared object file",
        cause="the image has no `{library}`",
        mend="install the system package that has it in the base (libgomp1 for `libgomp.so.1`; "
        "for `libGL.so.1` require `opencv-python-headless`)",
        source="david-cortes/cmfrec#37",
    ),
    symptom(
        "libgomp-fork",
        r"libgomp: (Thread creation failed|Invalid value|Affinity not supported)",
        cause="OpenMP could not make its threads: a server forked after the model was loaded, or "
        "the instance allows no more processes",
        mend='load the model after the fork, or set `OMP_NUM_THREADS = "1"` in '
        "`endpoint.environment`",
        source="benoitc/gunicorn#2417",
    ),
    symptom(
        "cuda",
        r"CUDA driver version is insufficient|no CUDA-capable device|Found no NVIDIA driver"
        r"|CUDA error: no kernel image|libcuda\.so\.1|Torch not compiled with CUDA enabled",
        cause="the build of torch and the instance's GPU, or its driver, do not fit",
        mend='use an instance with a GPU (`instance_type = "ml.g5.xlarge"`), a build for its '
        'driver, or `torch.load(…, map_location="cpu")`',
        source="DG deploy-model-troubleshoot",
    ),
    symptom(
        "cuda-memory",
        r"CUDA out of memory|torch\.OutOfMemoryError",
        cause="the model and its requests need more memory than the GPU has",
        mend="choose a larger `instance_type`, load in half precision, or send smaller batches",
        source="DG deploy-model-troubleshoot",
    ),
    symptom(
        "address-in-use",
        r"Address already in use|\[Errno (98|48)\]",
        cause="something else in the container listens on the port: two servers were started",
        mend="start one process that listens on 8080, once",
        source="DG your-algorithms-inference-code",
    ),
    symptom(
        "wrong-address",
        r"(Running on|Listening at:?|running on) https?://(127\.0\.0\.1|localhost):\d+"
        r"|(Running on|Listening at:?|running on) https?://[\w.\[\]:]+:(?!8080\b)\d{2,5}\b(?!\d)",
        cause="the server listens on 127.0.0.1 or on another port, and SageMaker asks on port 8080 "
        "from outside",
        mend="listen on `0.0.0.0:8080`",
        source="DG your-algorithms-inference-code",
        severity=Severity.WARNING,
    ),
    symptom(
        "flask-server",
        r"This is a development server\. Do not use it in a production",
        cause="Flask's development server answers `/ping` late while it works",
        mend="start the app with a real server, or with Portside by `PORTSIDE_APP`",
        source="aws/amazon-sagemaker-examples#1113",
        severity=Severity.WARNING,
    ),
    symptom(
        "handler-missing",
        r"defines no handler|Please provide a model_fn implementation|model_fn.*NotImplementedError"
        r"|No module named inference",
        cause="the user's code was not found, or has none of the functions that are looked for",
        mend="put it at `code/inference.py` of the artifact, with `load_model` and `predict`; "
        "`portside doctor` looks at your copy",
        source="aws/sagemaker-huggingface-inference-toolkit#51",
    ),
    symptom(
        "handler-signature",
        r"takes `\([^`]*\)` and is called with|defines `transform_fn` and"
        r"|takes \d+ positional arguments? but \d+ (was|were) given",
        cause="a function of the code cannot be called with what it is called with, or stands in "
        "the way of another",
        mend="see which, and what it has to take: `portside doctor` in the project's folder",
        source="sagemaker-inference-toolkit, `transformer.py`",
    ),
    symptom(
        "file-missing",
        r"(config\.json|tokenizer\.json|model_index\.json|pytorch_model\.bin|model\.safetensors)"
        r".{0,60}(not found|does not appear|no such file)|no file named (pytorch_model|model)",
        cause="the artifact lacks a file, or has it one folder too deep",
        mend="pack from inside the folder: `tar czf model.tar.gz -C model .`, or `portside "
        "package`",
        source="aws/sagemaker-huggingface-inference-toolkit#51",
    ),
)
