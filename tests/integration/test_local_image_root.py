"""Pushed images as processes: their own root, user, rights and limits, entered for real.

The image is a Debian with a server of some lines, as a layer over it. Tests are skipped where the
machine does not let a process have a root of its own.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import subprocess
import sys
import textwrap
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import portside
from portside.image.oci import (
    Config,
    Descriptor,
    Execution,
    Manifest,
    MediaType,
    RootFs,
    digest_of,
    encode,
)
from portside.image.reference import Reference
from portside.local.clock import SystemClock
from portside.local.instance import confinement
from portside.local.instance.child_process import ChildProcess
from portside.local.instance.image import root_entry
from portside.local.instance.image.pushed_image import PushedImages
from portside.local.instance.image.root_probe import RootProbe
from portside.local.instance.instance import InstanceSpec
from portside.local.instance.memory_cgroup import MemoryCgroups
from portside.local.instance.process import ProcessLauncher
from portside.local.log.log_store import LogStore
from tests.integration.image_parts import debian
from tests.unit.local.image_fakes import HERE

HOSTS = Path("/etc/hosts").read_text()
NAME = "000000000000.dkr.ecr.us-east-1.amazonaws.com/root:1"
PORTSIDE = str(Path(portside.__file__).parents[1])

# Says what its instance is like; `eat` and `leave` do what they say.
SERVER = """
import ctypes, json, os, subprocess, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

def attempt(path):
    try:
        open(path, "w").close()
    except OSError as error:
        return error.strerror
    return "written"

def act(body):
    if body == "eat":
        b"x" * (4 << 30)
    if body == "leave":
        sleep = "import time; time.sleep(1000)"
        subprocess.Popen([sys.executable, "-c", sleep], start_new_session=True)
    status = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
    machine = ("/proc/sys/kernel/hostname", "/proc/sysrq-trigger")
    tried = ("/opt/ml/model/x", "/x", "/tmp/x", "/dev/shm/x", "/dev/null", "/sys/x")
    return {
        "arguments": sys.argv[1:],
        "environment": dict(os.environ),
        "user": [os.getuid(), os.getgid()],
        "cwd": os.getcwd(),
        "root": sorted(os.listdir("/")),
        "owner": os.stat("/srv/server.py").st_uid,
        "model": sorted(os.listdir("/opt/ml/model")),
        "dev": sorted(os.listdir("/dev")),
        "hosts": open("/etc/hosts").read(),
        "written": {path: attempt(path) for path in tried},
        "of_machine": [attempt(path) for path in machine],
        "renamed": attempt("/proc/self/comm"),
        "privileged": status["NoNewPrivs"].strip() == "0",
        "mounts": ctypes.CDLL(None).mount(b"none", b"/srv", b"tmpfs", 0, None) == 0,
    }

class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = json.dumps(act(body.decode())).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass

address = (os.environ["PORTSIDE_BIND_HOST"], int(os.environ["SAGEMAKER_BIND_TO_PORT"]))
print("listening", flush=True)
HTTPServer(address, Handler).serve_forever()
"""


@dataclass(frozen=True, kw_only=True)
class Made:
    """An image of some layers, found by every name."""

    digest: str
    manifest: Manifest
    config: Config
    files: dict[str, Path]

    def path(self, blob: Descriptor, /) -> Path:
        return self.files[blob.digest]

    def find(self, _: Reference, /) -> Made:
        return self


class Layers:
    """Makes images over the same Debian, which is packed once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.debian = self.layer("debian", debian(HERE).read_bytes())

    def layer(self, name: str, tar: bytes) -> tuple[Descriptor, str, Path]:
        path = self.folder / name
        path.write_bytes(gzip.compress(tar, compresslevel=1, mtime=0))
        data = path.read_bytes()
        blob = Descriptor(media_type=MediaType.DOCKER_LAYER, size=len(data), digest=digest_of(data))
        return blob, digest_of(tar), path

    def image(self, execution: Execution, *more: str, is_whole: bool = True) -> Made:
        """`more` are shell commands in the folder that becomes the upper layer."""
        upper = self.folder / "upper"
        script = f"""
            rm -rf {upper} && mkdir -p {upper}/srv && cd {upper}
            cat > srv/server.py
            mkdir etc; echo 'root:x:0:0::/root:' > etc/passwd; echo 'daemon:x:1:1::/:' >> etc/passwd
            {"; ".join(more)}
            tar -C {upper} -cf {upper}.tar .
            """
        run = textwrap.dedent(script)
        subprocess.run(["sh", "-ec", run], input=SERVER.encode(), check=True)
        layers = [self.debian] if is_whole else []
        layers.append(self.layer("top", Path(f"{upper}.tar").read_bytes()))
        config = Config(
            architecture=HERE,
            os="linux",
            config=execution,
            rootfs=RootFs(diff_ids=tuple(diff_id for _, diff_id, _ in layers)),
        )
        manifest = Manifest(
            schema_version=2,
            config=Descriptor(media_type="", size=0, digest=digest_of(encode(config))),
            layers=tuple(blob for blob, _, _ in layers),
        )
        return Made(
            digest=digest_of(encode(manifest)),
            manifest=manifest,
            config=config,
            files={blob.digest: path for blob, _, path in layers},
        )


SERVE = Execution(
    entrypoint=("python3", "/srv/server.py"), working_dir="/srv/work", env=("OF_IMAGE=1",)
)


@pytest.fixture(scope="module")
def layers(tmp_path_factory: pytest.TempPathFactory) -> Layers:
    reason = asyncio.run(RootProbe().obstacle())
    if reason is not None:
        pytest.skip(reason)
    return Layers(tmp_path_factory.mktemp("layers"))


@pytest.fixture(scope="module")
def image(layers: Layers) -> Made:
    return layers.image(SERVE)


class Bench:
    """A launcher whose local ECR has one image."""

    def __init__(self, folder: Path, trees: Path, image: Made) -> None:
        self.folder = folder
        self.logs = LogStore(folder / "logs")
        self.images = PushedImages(trees, store=image)
        self.launcher = ProcessLauncher(
            folder=folder / "instances",
            logs=self.logs,
            clock=SystemClock(),
            memory_cgroups=MemoryCgroups.find(),
            images=self.images,
        )
        self.model = folder / "model"
        self.model.mkdir(exist_ok=True)
        (self.model / "weights").write_text("abc")
        self.spec = InstanceSpec(
            instance_id="i-1",
            image=NAME,
            environment={"OF_MODEL": "1"},
            model_dir=self.model,
            region="us-east-1",
            log_group="group",
            log_stream="stream",
        )

    @asynccontextmanager
    async def running(self, **changes: Any) -> AsyncIterator[ChildProcess]:
        process = await self.launcher.launch(replace(self.spec, **changes))
        try:
            yield process
        finally:
            process.kill()
            await process.wait()

    def log(self) -> list[str]:
        return [event.message for event in self.logs.events("group", "stream")]


@pytest.fixture
def bench(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, image: Made) -> Bench:
    return Bench(tmp_path, tmp_path_factory.getbasetemp() / "trees", image)


async def ask(process: ChildProcess, body: str = "") -> dict[str, Any]:
    """The instance's answer, as soon as it listens."""

    def post() -> dict[str, Any]:
        url = f"http://127.0.0.1:{process.port}/invocations"
        with urllib.request.urlopen(url, body.encode(), timeout=20) as answer:
            return json.loads(answer.read())

    while process.is_alive:
        try:
            return await asyncio.to_thread(post)
        except urllib.error.URLError as error:
            if not isinstance(error.reason, ConnectionRefusedError):
                raise
        await asyncio.sleep(0.02)
    return {}


SERVERLESS = {"is_confined": True, "memory_limit_bytes": 1 << 30}


async def test_it_is_what_sagemaker_would_run(bench: Bench) -> None:
    async with bench.running() as process:
        seen = await ask(process)

    assert seen["arguments"] == ["serve"]
    assert seen["cwd"] == "/srv/work"
    assert seen["user"] == [0, 0]
    assert seen["owner"] == 0
    assert seen["model"] == ["weights"]
    assert seen["hosts"] == HOSTS
    told = {"OF_IMAGE": "1", "OF_MODEL": "1", "HOME": "/root", "AWS_REGION": "us-east-1"}
    assert told.items() <= seen["environment"].items()
    assert set(seen["environment"]).isdisjoint({"VIRTUAL_ENV", "PYTHONPATH", "SM_MODEL_DIR"})
    assert seen["written"] == {
        "/opt/ml/model/x": "Read-only file system",
        "/x": "written",
        "/tmp/x": "written",
        "/dev/shm/x": "written",
        "/dev/null": "written",
        "/sys/x": "Read-only file system",
    }
    assert "written" not in seen["of_machine"]
    assert seen["renamed"] == "written"
    assert not seen["privileged"]
    assert not seen["mounts"]
    assert "mem" not in seen["dev"]
    assert bench.log() == ["listening"]
    assert list((bench.folder / "instances").iterdir()) == []


async def test_what_one_instance_writes_no_other_sees(bench: Bench) -> None:
    async with bench.running() as one, bench.running(instance_id="i-2") as other:
        first = await ask(one)
        second = await ask(other)

    assert one.port != other.port
    assert first["written"]["/x"] == second["written"]["/x"] == "written"
    assert "x" not in second["root"]
    tree = await bench.images.root(bench.images.find(NAME))  # type: ignore[arg-type]  # it is there
    assert not (tree / "x").exists()


async def test_serverless_may_do_no_more_than_compute(bench: Bench) -> None:
    async with bench.running(**SERVERLESS) as process:
        seen = await ask(process)

    assert seen["user"] == [confinement.USER_ID, confinement.GROUP_ID]
    assert seen["environment"]["USER"] == confinement.USER_NAME
    assert seen["written"] == {
        "/opt/ml/model/x": "Read-only file system",
        "/x": "Read-only file system",
        "/tmp/x": "written",
        "/dev/shm/x": "No such file or directory",
        "/dev/null": "written",
        "/sys/x": "Read-only file system",
    }
    assert bench.log() == ["listening"]


async def test_over_its_memory_size_it_dies_and_says_so(bench: Bench) -> None:
    async with bench.running(**SERVERLESS) as process:
        await ask(process)
        with pytest.raises(OSError, match=r"."):
            await ask(process, "eat")
        await process.wait()

    assert "it went over its memory limit of 1024 MB" in bench.log()[-1]


async def test_it_runs_as_the_user_that_the_image_names(layers: Layers, tmp_path: Path) -> None:
    user = Execution(entrypoint=SERVE.entrypoint, user="daemon")
    bench = Bench(tmp_path, tmp_path / "trees", layers.image(user))

    async with bench.running() as process:
        seen = await ask(process)

    assert seen["user"] == [1, 1]
    assert seen["written"]["/x"] == "written"


async def test_whom_it_left_running_ends_with_it(bench: Bench) -> None:
    mark = str(bench.folder / "instances" / "i-1").encode()

    async with bench.running() as process:
        await ask(process, "leave")
        async with asyncio.timeout(10):  # who is left behind has to start, too
            while len(_marked(mark)) != 2:  # noqa: ASYNC110  nobody tells when
                await asyncio.sleep(0.05)

    assert _marked(mark) == []


def _marked(mark: bytes) -> list[str]:
    """Processes that have this in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark in (process / "environ").read_bytes():
                found.append(process.name)
    return found


async def test_links_in_the_places_of_mounts_lead_nowhere(layers: Layers, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    links = [f"ln -s {outside}/{place} {place}" for place in ("proc", "sys", "dev", "opt")]
    files = (f"ln -s {outside}/kept etc/hosts", f"ln -s ../../../{outside}/x etc/resolv.conf")
    bench = Bench(tmp_path, tmp_path / "trees", layers.image(SERVE, *links, *files))

    async with bench.running() as process:
        seen = await ask(process)

    assert seen, bench.log()
    assert seen["model"] == ["weights"]
    assert "null" in seen["dev"]
    assert "localhost" in seen["hosts"]
    assert seen["written"]["/tmp/x"] == "written"
    assert {path.name: path.read_text() for path in outside.iterdir()} == {"kept": "kept"}


@pytest.mark.parametrize(
    ("execution", "command", "words"),
    [
        (
            Execution(entrypoint=("/srv/none",), working_dir="/srv/work"),
            "ln -s /proc/1/root srv/work",
            "chdir /srv/work: permission denied",
        ),
        (Execution(), ":", "exec serve: no such file or directory"),
        (Execution(entrypoint=("/srv/none",)), ":", "exec /srv/none: no such file or directory"),
        (
            Execution(entrypoint=("/srv/odd",)),
            "printf '\\177ELF odd' > srv/odd; chmod +x srv/odd",
            "exec /srv/odd: exec format error",
        ),
        (Execution(entrypoint=("/srv/server.py",)), ":", "exec /srv/server.py: permission denied"),
        (
            Execution(entrypoint=("/srv/none",), env=("=nameless",)),
            ":",
            "exec /srv/none: illegal environment variable name",
        ),
    ],
)
async def test_why_a_program_did_not_start_stands_in_the_log(
    layers: Layers, tmp_path: Path, execution: Execution, command: str, words: str
) -> None:
    bench = Bench(tmp_path, tmp_path / "trees", layers.image(execution, command, is_whole=False))

    async with bench.running() as process:
        code = await process.wait()

    assert bench.log() == [words, f"The container exited with code {code}"]
    assert code == (127 if "no such" in words else 126)


async def test_a_user_that_the_image_does_not_know_stands_in_the_log(
    layers: Layers, tmp_path: Path
) -> None:
    image = layers.image(Execution(user="nobody"), is_whole=False)
    bench = Bench(tmp_path, tmp_path / "trees", image)

    with pytest.raises(OSError, match="nobody"):
        await bench.launcher.launch(bench.spec)

    assert bench.log() == ["The image could not be started: the image has no user `nobody`"]


async def test_an_image_that_cannot_be_unpacked_says_so_and_leaves_nothing(
    layers: Layers, tmp_path: Path
) -> None:
    image = layers.image(SERVE, is_whole=False)
    next(iter(image.files.values())).write_bytes(b"broken")
    bench = Bench(tmp_path, tmp_path / "trees", image)

    with pytest.raises(OSError, match="Not a gzipped file"):
        await bench.launcher.launch(bench.spec)

    assert bench.log()[0].startswith("The image could not be started: layer `top`")
    assert list((tmp_path / "trees").iterdir()) == []


@pytest.mark.parametrize("module", [confinement, root_entry])
def test_what_stands_before_an_instance_needs_nothing_installed(module: ModuleType) -> None:
    program = (
        "import sys; known = set(sys.stdlib_module_names); import importlib;"
        f"sys.path.append({PORTSIDE!r}); importlib.import_module({module.__name__!r});"
        "print({name.partition('.')[0] for name in sys.modules} - known - {'__main__'})"
    )

    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout == "{'portside'}\n"


def test_a_machine_that_allows_no_namespaces_says_why() -> None:
    """One is made of one that does."""
    forbid = 'echo 0 > /proc/sys/user/max_user_namespaces; exec "$@"'
    unshare = ("unshare", "--user", "--map-root-user", "sh", "-c", forbid, "sh")
    program = (
        "import asyncio; from portside.local.instance.image.root_probe import RootProbe;"
        "print(asyncio.run(RootProbe().obstacle()))"
    )

    done = subprocess.run(
        [*unshare, sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": PORTSIDE},
    )

    if done.returncode != 0:
        pytest.skip(done.stderr.strip())
    assert done.stdout.startswith("this machine allows no user namespaces: ")
