"""The file a user writes, right and wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from portside import config
from portside.errors import ConfigError, UsageError


def project(folder: Path, text: str | None = None) -> config.Project:
    if text is not None:
        (folder / "portside.toml").write_text(text)
    return config.load(folder)


def test_an_empty_folder_is_a_project(tmp_path: Path) -> None:
    found = project(tmp_path)

    assert found.model is None
    assert found.handler is None
    assert found.endpoints == (config.Endpoint(name=found.name, settings=config.Serverless()),)


def test_what_lies_in_the_folder_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "My model (v2)"
    (folder / "model").mkdir(parents=True)
    (folder / "inference.py").touch()

    found = project(folder)

    assert found.name == "My-model-v2"
    assert found.model == folder / "model"
    assert found.handler == folder / "inference.py"


def test_folders_without_a_latin_letter_are_projects_of_their_own(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("模型", "модель", "_")]
    for folder in folders:
        folder.mkdir()

    names = [project(folder).name for folder in folders]

    assert len({*names}) == len(names)
    assert all(re.fullmatch(r"model-[0-9a-f]{6}", name) for name in names)
    assert project(folders[0]).name == names[0]


def test_the_endpoint_says_how_tokens_are_joined(tmp_path: Path) -> None:
    assert project(tmp_path).aggregation_strategy == "average"

    text = """
    [endpoints.one]
    [endpoints.two.environment]
    PORTSIDE_AGGREGATION_STRATEGY = "first"
    """
    assert project(tmp_path, text).aggregation_strategy == "first"


def test_the_folder_itself_may_be_the_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "config.json").touch()

    assert project(tmp_path).model == tmp_path


def test_every_key_is_read(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "app.py").touch()
    (tmp_path / "samples.txt").touch()
    (tmp_path / "requirements.txt").touch()

    found = project(
        tmp_path,
        """
        name = "ner"
        [model]
        path = "weights"
        samples = "samples.txt"
        precision = "int8"
        allow_pickle = true
        gate = { agreement = 0.98, f1_drop = 1 }
        [handler]
        file = "app.py"
        [image]
        requirements = "requirements.txt"
        model_in_image = true
        [endpoint]
        kind = "realtime"
        instance_type = "ml.c7i.large"
        instance_count = 2
        environment = { LOG_LEVEL = "debug" }
        """,
    )

    assert found.model == tmp_path / "weights"
    assert found.handler == tmp_path / "app.py"
    assert (found.requirements, found.model_in_image) == (tmp_path / "requirements.txt", True)
    assert found.endpoints[0] == config.Endpoint(
        name="ner",
        settings=config.Realtime(
            instance_type="ml.c7i.large", instance_count=2, environment={"LOG_LEVEL": "debug"}
        ),
    )


def test_who_makes_the_image_and_from_what(tmp_path: Path) -> None:
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker" / "Serve").touch()
    (tmp_path / "base.tar").touch()

    by_engine = project(tmp_path, '[image]\nbuild = "dockerfile"\ndockerfile = "docker/Serve"')
    on_file = project(tmp_path, '[image]\nbase = "base.tar"')
    on_image = project(tmp_path, '[image]\nbase = "python:3.12-slim"')

    assert by_engine.dockerfile == tmp_path / "docker" / "Serve"
    assert (on_file.base, on_file.dockerfile) == (str(tmp_path / "base.tar"), None)
    assert on_image.base == "python:3.12-slim"


def test_several_endpoints_carry_the_name_of_the_project(tmp_path: Path) -> None:
    found = project(
        tmp_path,
        'name = "ner"\n[endpoints.cheap]\n[endpoints.fast]\nkind = "realtime"',
    )

    assert [endpoint.name for endpoint in found.endpoints] == ["ner-cheap", "ner-fast"]


def test_pyproject_serves_too(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.portside]\nname = "from-pyproject"')

    assert project(tmp_path).name == "from-pyproject"


@pytest.mark.parametrize(
    ("text", "path", "message", "hint"),
    [
        ("[endpoint]\nmemory = 1", "endpoint.memory", "no such key", "memory_size_mb"),
        ("[modle]", "modle", "no such key", "write `model`"),
        ("[model]\nzzz = 1", "model.zzz", "no such key", "path, samples, precision"),
        ("[model]\nprecision = 'half'", "model.precision", "`half` is none", "auto, fp32, int8"),
        ("[model]\ngate = 3", "model.gate", "expected a table, got a whole number", "f1_drop"),
        ("[model]\ngate.agreement = 2", "model.gate.agreement", "a number of at most 1", "change"),
        ("[model]\npath = ''", "model.path", "it is empty", "remove the key"),
        ("[model]\nsamples = ''", "model.samples", "it is empty", "remove the key"),
        ("[image]\nrequirements = 'x.txt'", "image.requirements", "there is no file", "uv.lock"),
        ("[handler]\nfile = ''", "handler.file", "it is empty", "remove the key"),
        ("[image]\nbase = ''", "image.base", "it is empty", "remove the key"),
        ("[image]\nbuild = 'kaniko'", "image.build", "`kaniko` is none", "portside, dockerfile"),
        ("[image]\nbuild = 'dockerfile'", "image.dockerfile", "no file `Dockerfile`", "path of"),
        ("[image]\ndockerfile = 'D'", "image.dockerfile", "without it", 'build` to "dockerfile"'),
        (
            "[image]\nbuild = 'dockerfile'\nbase = 'x.example/y'",
            "image.base",
            "the Dockerfile says",
            "remove the key",
        ),
        ("[image]\nrequirements = ''", "image.requirements", "it is empty", "remove the key"),
        ("[model]\npath = 'gone'", "model.path", "no `gone`", "checkpoint folder"),
        ("[handler]\nfile = 'gone.py'", "handler.file", "no file `gone.py`", "load_model"),
        ("name = 3", "name", "expected a text, got a whole", "between quotes"),
        ("name = 'no spaces'", "name", "cannot be the name", "letters, digits"),
        (f"name = '{'x' * 53}'", "name", "cannot be the name", "at most 52"),
        ("[endpoint]\nkind = 'batch'", "endpoint.kind", "batch", "serverless, realtime, async"),
        ("[endpoint]\nmemory_size_mb = 1000", "endpoint.memory_size_mb", "1000 MB", "1024, 2048"),
        ("[endpoint]\nmax_concurrency = 0", "endpoint.max_concurrency", "range", "from 1 to 200"),
        ("[endpoint]\nmemory_size_mb = '2 GB'", "endpoint.memory_size_mb", "got a text", "change"),
        ("[endpoint]\ninstance_type = 'x'", "endpoint.instance_type", "no such key", "use one of"),
        (
            "[endpoint]\nkind = 'realtime'\ninstance_type = 'm5'",
            "endpoint.instance_type",
            "not the name",
            "ml.m5.large",
        ),
        ("[endpoint]\nenvironment = {'a b' = '1'}", "endpoint.environment", "`a b`", "letters"),
        (
            f"[endpoint]\nenvironment = {{A = '{'x' * 1025}'}}",
            "endpoint.environment",
            "longer than 1024",
            "into a file",
        ),
        ("[endpoint]\n[endpoints.a]", "endpoints", "either", "remove one"),
        ("endpoint = 3", "endpoint", "expected a table", "`[endpoint]` and set there"),
        ("[endpoint]\nenvironment = 3", "endpoint.environment", "expected a table", "a table"),
        ("[endpoint]\nenvironment = {A = 1}", "endpoint.environment", "a text", "quotes"),
        (
            "[endpoint]\nenvironment = {PORTSIDE_AGGREGATION_STRATEGY = 'mean'}",
            "endpoint.environment.PORTSIDE_AGGREGATION_STRATEGY",
            "no aggregation strategy `mean`",
            "first, average",
        ),
    ],
)
def test_a_wrong_key_is_named(
    tmp_path: Path, text: str, path: str, message: str, hint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        project(tmp_path, text)

    assert caught.value.path == path
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")
    assert caught.value.exit_code == 2


def test_broken_toml_names_the_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="line 2"):
        project(tmp_path, 'name = "ner"\nmodel = = 3\n')


def test_a_table_in_pyproject_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool]\nportside = 3")

    with pytest.raises(ConfigError, match=r"`tool.portside`: expected a table"):
        config.load(tmp_path)


def test_a_missing_folder_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a folder"):
        config.load(tmp_path / "gone")
