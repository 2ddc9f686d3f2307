"""The steps of the container file, in fresh roots: all but the base image, which is this machine's.

Each stage is a folder that becomes the root (``chroot``), with this machine's programs mounted for
reading and a Python environment of its own in the place of the image's.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docs" / "deploy" / "Containerfile"
PATH = "/python/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
PASSED_ON = re.compile(r"PIP_.*|https?_proxy|SSL_CERT_FILE|REQUESTS_CA_BUNDLE", re.I)


@dataclass
class Stage:
    """One ``FROM`` of the file, with the instructions after it."""

    name: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def words(self, instruction: str) -> list[str]:
        """Return the words of an instruction in the form of a JSON list."""
        (text,) = (rest for each, rest in self.steps if each == instruction)
        found: list[str] = json.loads(text.removeprefix("CMD "))
        return found


def stages() -> list[Stage]:
    found: list[Stage] = []
    for line in FILE.read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        instruction, _, rest = line.partition(" ")
        if instruction == "FROM":
            found.append(Stage(rest.partition(" AS ")[2]))
        else:
            found[-1].steps.append((instruction, rest))
    return found


def can_change_root() -> bool:
    if os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "chroot", "useradd", "ip"))):
        return False
    words = ["unshare", "-mn", "sh", "-c", "mount --bind /usr /usr && ip link set lo up"]
    return subprocess.run(words, capture_output=True, timeout=60).returncode == 0


class Image:
    """A folder that commands have as their root.

    Args:
        folder: The folder, which need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.user = ""
        self.place = "/"
        for name in ("tmp", "dev", "proc", "home", "var/lib", "root"):
            (folder / name).mkdir(parents=True)
        (folder / "tmp").chmod(0o1777)
        shutil.copytree("/etc", folder / "etc", symlinks=True, ignore_dangling_symlinks=True)
        self._mounted = ["/usr", "/dev"]
        for name in ("bin", "sbin", "lib", "lib64"):
            if Path("/", name).is_symlink():
                (folder / name).symlink_to(os.readlink(Path("/", name)))
            elif Path("/", name).is_dir():
                self._mounted.append(f"/{name}")
        self._mounted += [each for each in (sys.base_prefix, "/opt") if Path(each).is_dir()]
        for each in self._mounted:
            self.inside(each).mkdir(parents=True, exist_ok=True)
        self.run(f"{sys.base_prefix}/bin/python3 -m venv /python")

    def inside(self, path: str) -> Path:
        """Return where a path of the image is on this machine."""
        return self.folder / path.lstrip("/")

    def run(self, command: str, mounts: dict[str, Path] | None = None) -> str:
        """Run a shell command as the image's user, and return what it printed."""
        binds = {each: Path(each) for each in self._mounted} | (mounts or {})
        lines = ["ip link set lo up"] if "serve" in command else []
        for target, source in binds.items():
            self.inside(target).mkdir(parents=True, exist_ok=True)
            lines.append(f"mount --rbind {shlex.quote(str(source))} "
                         f"{shlex.quote(str(self.inside(target)))}")  # fmt: skip
        who = f"--userspec={self.user} " if self.user else ""
        inner = shlex.quote(f"cd {self.place} && {command}")
        lines.append(f"exec chroot {who}{shlex.quote(str(self.folder))} /bin/sh -c {inner}")
        env = {name: value for name, value in os.environ.items() if PASSED_ON.fullmatch(name)}
        done = subprocess.run(
            ["unshare", "-mn" if "serve" in command else "-m", "sh", "-ec", "\n".join(lines)],
            capture_output=True, text=True, timeout=1500,
            env={**env, "PATH": PATH, "HOME": "/tmp", "PYTHONUTF8": "1"},
        )  # fmt: skip
        assert done.returncode == 0, command + done.stdout + done.stderr
        return done.stdout


def tracked_files() -> Iterator[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached"], capture_output=True, cwd=ROOT, timeout=120
    )
    if listed.returncode != 0:
        pytest.skip("this is not a git checkout")
    yield from filter(None, listed.stdout.decode().split("\0"))


def build(stage: Stage, image: Image, images: dict[str, Image]) -> None:
    """Do a stage's steps."""
    for instruction, rest in stage.steps:
        if instruction == "WORKDIR":
            image.place = rest
            image.inside(rest).mkdir(parents=True, exist_ok=True)
        elif instruction == "COPY":
            assert rest == ". ."
            for name in tracked_files():
                if (ROOT / name).is_file():
                    target = image.inside(image.place) / name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(ROOT / name, target)
        elif instruction == "USER":
            image.user = rest
        elif instruction == "RUN":
            mounts = {}
            if mount := re.match(r"--mount=type=bind,from=(\w+),source=(\S+),target=(\S+) ", rest):
                mounts[mount[3]] = images[mount[1]].inside(mount[2])
                rest = rest[mount.end() :]
            image.run(rest, mounts)


def test_every_instruction_is_one_that_this_module_does_or_knows() -> None:
    done = {"WORKDIR", "COPY", "USER", "RUN"}
    known = {"ENTRYPOINT", "CMD", "HEALTHCHECK", "VOLUME", "EXPOSE"}
    assert {each for stage in stages() for each, _ in stage.steps} <= done | known


def test_the_image_holds_neither_the_sources_nor_what_builds_them() -> None:
    assert [stage.name for stage in stages()] == ["build", ""]
    last = stages()[-1]
    assert not [rest for each, rest in last.steps if each == "COPY"]
    installs = [rest for each, rest in last.steps if "pip install" in rest]
    assert all("--no-index" in each and "--find-links" in each for each in installs)


@pytest.mark.soak
@pytest.mark.timeout(3000)
@pytest.mark.skipif(not can_change_root(), reason="this needs root, and namespaces")
def test_its_steps_make_a_root_in_which_the_host_serves_and_is_healthy(tmp_path: Path) -> None:
    images: dict[str, Image] = {}
    for stage in stages():
        images[stage.name] = Image(tmp_path / (stage.name or "image"))
        build(stage, images[stage.name], images)
    last, image = stages()[-1], images[""]
    entry = shlex.join(last.words("ENTRYPOINT"))
    assert image.run(f"{entry} --version").startswith("qtforge-host ")
    assert image.run("id -u").strip() == "10001"
    assert not image.inside("/wheels/qtforge_host-1.0.0-py3-none-any.whl").exists()
    assert "site-packages" in image.run(
        "python -c 'import qtforge_host; print(qtforge_host.__file__)'"
    )
    health = shlex.join(last.words("HEALTHCHECK"))
    serve = f"{entry} {shlex.join(last.words('CMD'))}"
    waiting = f"for each in $(seq 120); do {health} 2>/dev/null && break; sleep 1; done; {health}"
    image.run(f"{serve} >/tmp/serve.log 2>&1 & pid=$!; {waiting}; code=$?; kill $pid; "
              "wait $pid; exit $code")  # fmt: skip
