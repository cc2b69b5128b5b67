"""Every check of a project: one project that it finds something in, and one that it does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from portside import config
from portside.doctor import table
from portside.doctor.finding import Severity, examine
from portside.doctor.project.fact import (
    Archive,
    ArchiveMember,
    Endpoint,
    LocalModule,
    MemberKind,
    Project,
    Refusal,
    Text,
    parse,
)
from portside.doctor.project.handler import OWN, TAKEN, TOOLKIT
from portside.serving.handlers import function, toolkit

HANDLER = """\
def load_model(model_dir):
    return None


def predict(data, model):
    return data
"""


def project(
    code: str = HANDLER,
    *,
    requirements: str | None = None,
    dockerfile: str | None = None,
    settings: config.EndpointKind | None = None,
) -> Project:
    return Project(
        where=".",
        endpoints=(Endpoint(where="endpoint", settings=settings or config.Serverless()),),
        handler=parse("inference.py", code),
        requirements=_text("requirements.txt", requirements),
        dockerfile=_text("Dockerfile", dockerfile),
    )


def _text(where: str, text: str | None) -> Text | None:
    return None if text is None else Text(where=where, lines=tuple(text.splitlines()))


def within(body: str, *, before: str = "") -> Project:
    """A project whose `load_model` does something."""
    return project(f"{before}\n\ndef load_model(model_dir):\n    {body}\n\n\n{PREDICT}")


PREDICT = "def predict(data, model):\n    return data\n"


def archived(*names: str, kind: MemberKind = MemberKind.FILE, flaw: str = "") -> Project:
    members = tuple(ArchiveMember(name=name, kind=kind) for name in names)
    return replace(project(), archives=(Archive(where="model.tar.gz", members=members, flaw=flaw),))


def weighing(model_bytes: int, **more: object) -> Project:
    made = project(settings=config.Serverless(memory_size_mb=1024))
    return replace(made, model_bytes=model_bytes, **more)


def beside(code: str, *, packed: tuple[str, ...] = ("beside",)) -> Project:
    """A project with modules of its own, some of which go along."""
    return replace(
        project(code, requirements="scipy==1.0\n"),
        name="shout",
        module_names=frozenset(packed),
        local_modules={
            "beside": LocalModule(where="beside.py"),
            "lib": LocalModule(where="src/lib"),
            "scipy": LocalModule(where="tools/scipy.py"),
        },
    )


GB = 1024**3
SERVED = 'FROM python:3.11\nENTRYPOINT ["python", "server.py"]\n'
FLASK = """\
from flask import Flask
app = Flask(__name__)
if __name__ == '__main__':
    app.run(host='0.0.0.0')
"""
LAZY = "import torch\n\n\ndef predict(data, model):\n    return {}\n"

CASES: dict[str, tuple[Project, str, Project]] = {
    "project-refused": (
        replace(project(), refusals=(Refusal(where="endpoint.kind", what="no", mend="yes"),)),
        "endpoint.kind",
        project(),
    ),
    "model-pickle": (replace(project(), pickles=("model/a.bin",)), "model/a.bin", project()),
    "archive-folder": (
        archived("model/config.json", "model/a.onnx"),
        "model.tar.gz: model/",
        archived("config.json", "code/inference.py"),
    ),
    "archive-junk": (archived("a.onnx", "._a.onnx"), "model.tar.gz: ._a.onnx", archived("a.onnx")),
    "archive-link": (
        archived("a.onnx", kind=MemberKind.LINK),
        "model.tar.gz: a.onnx",
        archived("a.onnx"),
    ),
    "archive-code": (
        archived("inference.py", "a.onnx"),
        "model.tar.gz: inference.py",
        archived("code/inference.py", "a.onnx"),
    ),
    "archive-broken": (archived(flaw="not a gzip file"), "model.tar.gz", archived("a.onnx")),
    "endpoint-memory": (weighing(2 * GB), "endpoint.memory_size_mb", weighing(GB // 2)),
    "endpoint-disk": (weighing(6 * GB), "endpoint", weighing(4 * GB)),
    "endpoint-payload": (
        replace(project(), requests={"request.json": 5 * 1024**2}),
        "request.json",
        replace(project(settings=config.Realtime()), requests={"request.json": 5 * 1024**2}),
    ),
    "endpoint-timeout": (
        project(settings=config.Serverless(environment={"PORTSIDE_TIMEOUT_S": "300"})),
        "endpoint.environment.PORTSIDE_TIMEOUT_S",
        project(settings=config.Async(environment={"PORTSIDE_TIMEOUT_S": "300"})),
    ),
    "secret-file": (
        replace(project(), code_files={"code/key.pem": Path("code/key.pem")}),
        "code/key.pem",
        replace(project(), code_files={"code/cacert.pem": Path("code/cacert.pem")}),
    ),
    "secret-text": (
        project(f"{HANDLER}KEY = 'AKIAIOSFODNN7EXAMPLE'\n"),
        "inference.py:7",
        project(f"{HANDLER}KEY = os.environ['KEY']\n"),
    ),
    "handler-syntax": (project("def predict(:\n"), "inference.py:1", project()),
    "handler-functions": (
        project("def answer(text):\n    return text\n"),
        "inference.py:1",
        project("from mine import predict\n"),
    ),
    "handler-arity": (
        project("\ndef predict_fn(data):\n    return data\n"),
        "inference.py:2",
        project("def predict_fn(data, model, context):\n    return data\n"),
    ),
    "handler-mix": (
        project("def transform_fn(m, d, c, a): ...\ndef output_fn(p, a): ...\n"),
        "inference.py:1",
        project("def input_fn(d, c): ...\ndef output_fn(p, a): ...\n"),
    ),
    "module-left-behind": (
        beside(f"import beside\nimport lib.text\n{HANDLER}"),
        "inference.py:2",
        beside(f"import beside, scipy, lib.text\n{HANDLER}", packed=("beside", "lib")),
    ),
    "module-relative": (
        project(f"from . import beside\n{HANDLER}"),
        "inference.py:1",
        project(f"import beside\n{HANDLER}"),
    ),
    "handler-writes": (
        within("open(os.path.join(model_dir, 'cache'), 'w')", before="import os"),
        "inference.py:4",
        within("open('/tmp/cache', 'w'); open(model_dir + '/labels')"),
    ),
    "handler-downloads": (
        within("AutoModel.from_pretrained('bert-base')", before="from transformers import *"),
        "inference.py:4",
        within("AutoModel.from_pretrained(model_dir)", before="from transformers import *"),
    ),
    "handler-installs": (
        within(
            "subprocess.run([sys.executable, '-m', 'pip', 'install', 'x'])", before="import sys"
        ),
        "inference.py:4",
        within("subprocess.run(['nvidia-smi'])"),
    ),
    "handler-semaphores": (
        within("return mp.Pool(2)", before="import multiprocessing as mp"),
        "inference.py:4",
        within("return ThreadPoolExecutor()", before="from concurrent.futures import *"),
    ),
    "handler-lazy-load": (
        project(LAZY.replace("{}", "model or torch.load('m.pt')")),
        "inference.py:5",
        project(f"{LAZY.format('model')}\n\ndef load_model(model_dir):\n    torch.load('m.pt')\n"),
    ),
    "handler-exact-type": (
        project("def input_fn(data, content_type):\n    return content_type == 'text/csv'\n"),
        "inference.py:2",
        project("def input_fn(data, content_type):\n    return 'csv' in content_type\n"),
    ),
    "requirement-missing": (
        project(f"from sklearn import svm\n{HANDLER}", requirements="scipy==1.0\n"),
        "inference.py:1",
        project(
            f"import json, numpy\nfrom sklearn import svm\ntry:\n    import torch\n"
            f"except ImportError:\n    pass\n{HANDLER}",
            requirements="Scikit_Learn==1.5  # svm\n",
        ),
    ),
    "requirements-unused": (
        replace(project(requirements="scipy\n"), requirements_are_used=False),
        "requirements.txt",
        project(requirements="scipy\n"),
    ),
    "requirement-cuda": (
        project(requirements="# weights\ntorch==2.8\n"),
        "requirements.txt:2",
        project(requirements="--extra-index-url https://torch.example/whl/cpu\ntorch==2.8+cpu\n"),
    ),
    "requirement-unreadable": (
        project(requirements="scipy>=1,<2\nscikit learn\n"),
        "requirements.txt:2",
        project(requirements="scipy >= 1.0, !=1.5.*\na[b]~=1.0\nc===1\nd (==1.0)\ne\n-r f.txt\n"),
    ),
    "requirement-source": (
        project(requirements="git+https://github.com/a/b\n"),
        "requirements.txt:1",
        project(requirements="a @ https://example.com/a-1-py3-none-any.whl\n"),
    ),
    "requirement-desktop": (
        project(requirements="opencv-python==4\n"),
        "requirements.txt:1",
        project(requirements="opencv-python-headless==4\n"),
    ),
    "requirement-unpinned": (
        project(requirements="scipy==1.0\npandas>=2\n"),
        "requirements.txt:2",
        project(requirements='scipy==1.0 ; python_version > "3"\npandas[all]==2\n'),
    ),
    "dockerfile-entrypoint": (
        project(dockerfile="FROM python:3.11\n\nENTRYPOINT python server.py\n"),
        "Dockerfile:3",
        project(dockerfile=SERVED),
    ),
    "dockerfile-port": (
        project(dockerfile=SERVED + 'CMD ["gunicorn", "--bind", \\\n "0.0.0.0:5000"]\n'),
        "Dockerfile:3",
        project(dockerfile=SERVED + 'EXPOSE 8080\nCMD ["gunicorn", "--bind", "0.0.0.0:8080"]\n'),
    ),
    "dockerfile-flask": (
        replace(project(dockerfile=SERVED), scripts=(parse("server.py", FLASK),)),
        "server.py:4",
        replace(project(dockerfile=SERVED), scripts=(parse("other.py", FLASK),)),
    ),
    "dockerfile-architecture": (
        project(dockerfile="FROM arm64v8/python:3.11\nENTRYPOINT []\n"),
        "Dockerfile:1",
        project(
            dockerfile="FROM --platform=linux/arm64 python:3.11\nENTRYPOINT []\n",
            settings=config.Realtime(instance_type="ml.c7g.large"),
        ),
    ),
    "dockerfile-model": (
        project(dockerfile=SERVED + "COPY model /opt/ml/model\n"),
        "Dockerfile:3",
        project(dockerfile=SERVED + "COPY model /opt/program/model\n"),
    ),
    "dockerfile-secret": (
        replace(project(dockerfile=SERVED + "COPY . /srv\n"), root_files=(".env", "a.py")),
        "Dockerfile:3",
        replace(project(dockerfile=SERVED + "COPY a.py /srv\n"), root_files=(".env", "a.py")),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_check_finds_what_is_wrong_and_nothing_where_all_is_well(name: str) -> None:
    wrong, where, well = CASES[name]
    (check,) = (check for check in table.PROJECT if check.name == name)

    found = check.findings(wrong)

    assert [finding.where for finding in found] == [where]
    assert all(each.what and each.mend and not each.what.endswith(".") for each in found)
    assert check.findings(well) == ()


@pytest.mark.parametrize(
    ("line", "better"),
    [
        ("from code.beside import x", "`beside`"),
        ("from shout.beside import x", "`beside`"),
        ("from .beside import x", "`from beside import x`"),
        ("from .. import beside", "`import beside`"),
    ],
)
def test_an_import_by_the_folder_is_mended_by_the_name_alone(line: str, better: str) -> None:
    (found,) = examine(table.PROJECT, beside(f"{line}\n{HANDLER}"))

    assert found.check.startswith("module-")
    assert better in found.mend


def test_every_check_has_a_case() -> None:
    assert sorted(CASES) == sorted(check.name for check in table.PROJECT)


def test_a_sound_project_has_no_finding() -> None:
    assert examine(table.PROJECT, project()) == ()


def test_the_worst_comes_first() -> None:
    found = examine(
        table.PROJECT,
        project("def input_fn(data, content_type):\n  content_type == 'a/b'\n  open('x', 'w')\n"),
    )

    assert [finding.severity for finding in found] == [Severity.ERROR, Severity.NOTE]


def test_the_functions_are_those_that_serving_looks_for() -> None:
    assert sorted(OWN) == sorted(function.FUNCTIONS)
    assert sorted(TOOLKIT) == sorted(toolkit.FUNCTIONS)
    assert {name: TAKEN[name] for name in TOOLKIT} == toolkit.FUNCTIONS


@pytest.mark.parametrize(
    ("signature", "fits"),
    [
        ("data, model", True),
        ("data, model, context", True),
        ("data, model, top_k=3", True),
        ("*arguments", True),
        ("data", True),
        ("", False),
        ("data, model, context, more", False),
        ("data, model, *, key", False),
    ],
)
def test_what_predict_may_take(signature: str, fits: bool) -> None:
    (check,) = (check for check in table.PROJECT if check.name == "handler-arity")

    found = check.findings(project(f"def predict({signature}):\n    return 1\n"))

    assert (found == ()) is fits


def test_what_runs_only_as_a_script_is_not_the_instances() -> None:
    script = f"{HANDLER}\n\nif __name__ == '__main__':\n    open('answer.json', 'w')\n"

    assert examine(table.PROJECT, project(script)) == ()
