"""The doctor by the command line: before a deployment, and at an endpoint that crashes."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.conftest import Portside

CRASHES = "import surely_not_installed\n\n\ndef predict(data, model):\n    return data\n"


def test_what_crashes_is_told_before_and_diagnosed_after(
    portside: Portside, tmp_path: Path
) -> None:
    project = tmp_path / "shout"
    portside("init", project)
    sound = portside("doctor", project, "--json")
    mended = (project / "inference.py").read_text()
    (project / "inference.py").write_text(CRASHES)

    before = portside("doctor", project, "--json")
    deployed = portside.run("deploy", project)
    after = portside.run("doctor", "--endpoint", "shout", "--json")
    unknown = portside.run("doctor", "--endpoint", "nobody")
    (project / "inference.py").write_text(mended)
    portside("deploy", project)
    well = portside("doctor", "--endpoint", "shout", "--json")

    assert [each["severity"] for each in sound.json if each["check"].startswith("handler")] == []
    assert ("requirement-missing", f"{project / 'inference.py'}:1") in [
        (each["check"], each["where"]) for each in before.json
    ]
    assert deployed.code == 1
    assert deployed.err.count("import surely_not_installed\n") == 1, "once, however often it ends"
    assert "times: ModuleNotFoundError: No module named 'surely_not_installed'" in deployed.err
    assert well.json == [], "the log still has what went wrong before"
    assert after.code == 1
    (found,) = after.json
    assert found["check"] == "module-missing"
    assert "`import surely_not_installed`" in found["what"]
    assert found["where"].startswith("/aws/sagemaker/Endpoints/shout:")
    assert unknown.code == 1
    assert "there is no endpoint `nobody`" in unknown.err


def test_an_error_among_the_findings_is_exit_code_1(portside: Portside, tmp_path: Path) -> None:
    (tmp_path / "inference.py").write_text("def predict(:\n")
    log = tmp_path / "log.txt"
    log.write_text("OSError: [Errno 38] Function not implemented\n")

    project = portside.run("doctor", tmp_path)
    pasted = portside.run("doctor", "--log", log)
    both = portside.run("doctor", "--endpoint", "nobody", "--log", log)
    nowhere = portside.run("doctor", tmp_path / "nowhere")

    assert (project.code, pasted.code) == (1, 1)
    assert f"✗ {tmp_path / 'inference.py'}:1 error" in project.out
    assert f"{log}:1" in pasted.out
    assert (both.code, nowhere.code) == (2, 2)


def test_without_keys_the_account_is_a_finding(portside: Portside, tmp_path: Path) -> None:
    environment = portside.environment | {
        "HOME": str(tmp_path),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_REGION": "us-east-1",
    }
    nobody = Portside(environment=environment, data=portside.data)
    project = tmp_path / "shout"
    portside("init", project)

    done = nobody.run("doctor", project, "--target", "aws", "--json")

    (found,) = (each for each in done.json if each["check"] == "aws-credentials")
    assert done.code == 1
    assert found["where"] == "sts:GetCallerIdentity"
    assert "aws sso login" in found["mend"]
