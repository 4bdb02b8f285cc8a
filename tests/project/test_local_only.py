"""Local only: no code of this template, nor any that it generates, writes to something that is not this machine."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tao_hf.base import git as git_command
from tao_hf.runtime import docker, engine
from tao_hf.runtime.kinds import get_runtime
from tests.support.copies import MODEL, copier_copy
from tests.support.paths import ROOT
from tests.support.remote_writes import Finding, findings, is_python

CLONES = ("tao-core", "tao-pytorch", "tao-deploy")
# Not run by anybody: tests, and text for people.
NOT_CODE = ("tests/", "docs/")
TEXT = (".md", "LICENSE", ".gitignore")

# A template of what every model gets, and one of a network's.
TEMPLATES = [
    "template/tao-pytorch/nvidia_tao_pytorch/cv/{{model_name}}/utils/onnx_export.py.jinja",
    "networks/backbone/tao-pytorch/nvidia_tao_pytorch/cv/{{model_name}}/utils/hf_checkpoint_converter.py.jinja",
]

# What stands in the code all the same, and why it may.
JUSTIFIED = {
    ("hooks/tao_hf/runtime/images.py", "docker login …"): "a sentence for the person; it is not run",
    (
        "standins/tao_pytorch/nvidia_tao_pytorch/core/entrypoint.py",
        "from nvidia_tao_core.telemetry.telemetry import send_telemetry_data",
    ): "as in TAO; it sends nothing when TELEMETRY_OPT_OUT is set, which both runtimes do",
    (
        "standins/tao_pytorch/nvidia_tao_pytorch/core/entrypoint.py",
        "nvidia_tao_core.telemetry.telemetry.send_telemetry_data()",
    ): "the same",
    ("standins/tao_pytorch/nvidia_tao_pytorch/core/mlops/wandb.py", "wandb.login()"): "as in TAO; off with WANDB_MODE",
    ("standins/tao_pytorch/nvidia_tao_pytorch/core/mlops/wandb.py", "wandb login first"): "a message",
}


def own_files() -> dict[str, str]:
    """Return the template's files that are code, with their text: those that git knows or could."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    names = [name for name in listed if name and not name.startswith(NOT_CODE) and not name.endswith(TEXT)]
    return {name: (ROOT / name).read_text(encoding="utf-8") for name in names if (ROOT / name).is_file()}


def generated_files(workdir: Path) -> dict[str, str]:
    """Return the files that a copy wrote or changed in a working directory, with their text."""
    names = json.loads((workdir / ".tao-hf" / MODEL / "model.json").read_text(encoding="utf-8"))["files"]
    names += ["tao-hf", *(path.relative_to(workdir).as_posix() for path in (workdir / ".tao-hf" / "bin").rglob("*"))]
    names += [path.relative_to(workdir).as_posix() for path in (workdir / ".tao-hf").rglob("*.py")]
    for clone in CLONES:
        status = ["git", "status", "--porcelain", "--untracked-files=all", "-z"]
        lines = subprocess.run(status, cwd=workdir / clone, capture_output=True, text=True, check=True).stdout
        names += [f"{clone}/{line[3:]}" for line in lines.split("\0") if line]
    files = [name for name in dict.fromkeys(names) if (workdir / name).is_file() and "__pycache__" not in name]
    return {name: (workdir / name).read_text(encoding="utf-8") for name in files}


def unjustified(found: list[Finding]) -> list[Finding]:
    """Return the findings that JUSTIFIED does not name; what lies in .tao-hf/tools is a copy of hooks."""
    return [
        finding
        for finding in found
        if (finding.path, finding.what) not in JUSTIFIED
        and (re.sub(r"^\.tao-hf/tools/\w+/lib/", "hooks/", finding.path), finding.what) not in JUSTIFIED
    ]


def test_the_templates_own_code() -> None:
    files = own_files()
    assert len(files) > 200
    rooms = {name.partition("/")[0] for name in files}
    assert rooms >= {
        ".ci", "Makefile", "copier.yml", "demo", "extensions", "hooks", "networks", "standins", "tasks", "template",
    }  # fmt: skip
    assert unjustified([finding for name, text in files.items() for finding in findings(name, text)]) == []


def test_every_justification_is_still_needed() -> None:
    files = own_files()
    named = {path for path, _ in JUSTIFIED}
    assert {(found.path, found.what) for name in named for found in findings(name, files[name])} >= set(JUSTIFIED)


@pytest.mark.runtime
def test_generated_code(copied: Path) -> None:
    files = generated_files(copied)
    assert {name.partition("/")[0] for name in files} >= {".tao-hf", "tao-hf", *CLONES}
    assert "tao-pytorch/setup.py" in files and f"tao-deploy/nvidia_tao_deploy/cv/{MODEL}/scripts/evaluate.py" in files
    assert sum(is_python(name, text) for name, text in files.items()) > 100
    assert unjustified([finding for name, text in files.items() for finding in findings(name, text)]) == []


# Mutations: each is planted in a real file and must be found there.

PYTHON = "hooks/tao_hf/lifecycle/copy.py"
PLANTED = [
    'subprocess.run(["git", "push", "origin", branch])',
    'subprocess.run(["git", "-C", str(path), "push"])',
    'subprocess.run(["git"] + ["push", "--force"])',
    'subprocess.run(["git", "-c", "advice.detachedHead=false", "push"])',
    'os.system("git push --set-upstream origin main")',
    'os.system(f"cd {path} && git push")',
    'subprocess.run("git add . ; git push", shell=True)',
    'subprocess.run(["sh", "-c", "cd /workspace && git push"])',
    'git.run("push", "origin", branch, cwd=path)',
    'git.run("remote", "add", "backup", url, cwd=path)',
    'git.run("branch", "--set-upstream-to=origin/main", cwd=path)',
    "git.run(*words, cwd=path)",
    'subprocess.run(["git", "remote", "set-url", "origin", url])',
    'subprocess.run(["git", "remote", "add", "fork", url])',
    'subprocess.run(["git", "config", "remote.origin.url", url])',
    'subprocess.run(["git", "config", "branch.main.remote", "origin"])',
    'subprocess.run(["git", "lfs", "push", "origin"])',
    'subprocess.run(["git", "send-email", "0001.patch"])',
    'subprocess.run(["docker", "push", image])',
    'subprocess.run(["docker", "image", "push", image])',
    'subprocess.run(["docker", "tag", image, "ghcr.io/me/image"])',
    'subprocess.run(["docker", "login", "ghcr.io", "--password-stdin"])',
    'subprocess.run(["docker", "login", "--username", "me", "docker.io"])',
    'subprocess.run(["docker", "login"])',
    'subprocess.run(["docker", "buildx", "build", "--push", "."])',
    'subprocess.run(["docker", "build", "--output=type=registry", "."])',
    'subprocess.run(["podman", "push", image])',
    'engine.run("push", image)',
    'engine.run("login", "docker.io", "--password-stdin")',
    'engine.run("login", host, "--password-stdin")',
    'engine.command("image", "push", image)',
    'options = ["--push"]',
    'subprocess.run(["hf", "upload", "me/model", "."])',
    'subprocess.run(["huggingface-cli", "login"])',
    'subprocess.run(["python", "-m", "twine", "upload", "dist/*"])',
    'subprocess.run([sys.executable, "setup.py", "sdist", "upload"])',
    'subprocess.run(["gh", "pr", "create", "--fill"])',
    'subprocess.run(["gh", "issue", "create"])',
    'subprocess.run(["gh", "release", "create", "v1"])',
    'subprocess.run(["glab", "mr", "create"])',
    'subprocess.run(["/usr/bin/gh", "repo", "fork"])',
    'subprocess.run(["curl", "-T", "model.pth", url])',
    'subprocess.run(["curl", "-sS", "-d", "@report.json", url])',
    'subprocess.run(["curl", "--data-binary", "@report.json", url])',
    'subprocess.run(["curl", "-X", "POST", url])',
    'subprocess.run(["wget", "--post-file=report.json", url])',
    'subprocess.run(["aws", "s3", "cp", "model.pth", "s3://bucket"])',
    'subprocess.run(["rsync", "-a", "results/", "host:results/"])',
    'subprocess.run(["ngc", "registry", "model", "upload-version", "me/model"])',
    "from huggingface_hub import upload_file",
    "from huggingface_hub import login",
    "import huggingface_hub\nhuggingface_hub.upload_folder(folder_path='.', repo_id='me/model')",
    "import huggingface_hub as hub\nhub.create_repo('me/model')",
    "from huggingface_hub import HfApi\nHfApi().create_commit('me/model', [])",
    "from huggingface_hub import HfApi\nHfApi().create_branch('me/model', branch='x')",
    "from huggingface_hub import HfApi\nHfApi().create_pull_request('me/model', title='x')",
    "import huggingface_hub\nhuggingface_hub.HfApi().login()",
    "model.push_to_hub('me/model')",
    "import requests\nrequests.post(url, data=text)",
    "import requests as r\nr.put(url, data=text)",
    "from requests import post",
    "import httpx\nhttpx.patch(url)",
    "import httpx\nhttpx.Client().post(url)",
    "import requests\nrequests.request('POST', url)",
    "import urllib.request\nurllib.request.urlopen(url, data=text)",
    "from urllib.request import Request\nRequest(url, method='PUT')",
    "from http.client import HTTPSConnection\nHTTPSConnection(host).request('POST', '/')",
    "import wandb\nwandb.login()",
    "import wandb\nwandb.log_artifact('model.pth')",
    "import smtplib",
    "import boto3",
]
SHELL = [
    "git push origin HEAD",
    "git -C \"$dir\" push",
    "cd x && git push",
    "if ! git push; then exit 1; fi",
    "pushed=$(git push --porcelain)",
    "git remote add fork \"$url\"",
    "docker push \"$image\"",
    "docker login ghcr.io",
    "echo \"$KEY\" | docker login --username me --password-stdin",
    "docker buildx build --push .",
    "docker tag a ghcr.io/me/a",
    "twine upload dist/*",
    "hf upload me/model .",
    "gh pr create --fill",
    "glab mr create",
    "curl -T report.md https://example.com",
    "curl -X PUT https://example.com",
    "curl \\\n    --data @report.json https://example.com",
    "scp report.md host:",
]  # fmt: skip
JINJA = [
    "model.push_to_hub('{{ model_name }}')",
    "requests.post('https://example.com', json={{ findings }})",
    "api.upload_file(path)",
    "subprocess.run(['git', 'push'])",
    "wandb.login()",
]


def planted(name: str, line: str) -> list[Finding]:
    """Return what is found in a file of ours after the line was added at its end, and was not before."""
    before = (ROOT / name).read_text(encoding="utf-8")
    after = f"{before.rstrip()}\n{line}\n"
    return [finding for finding in findings(name, after) if finding not in findings(name, before)]


@pytest.mark.parametrize("line", PLANTED)
def test_planted_in_python(line: str) -> None:
    imports = "import os, subprocess, sys\nfrom tao_hf.base import git\nfrom tao_hf.runtime import engine\n"
    before = (ROOT / PYTHON).read_text(encoding="utf-8")
    assert planted(PYTHON, imports) == []
    assert planted(PYTHON, imports + line)
    inside = "".join(f"    {part}\n" for part in (imports + line).splitlines())
    assert findings(PYTHON, f"{before}\n\ndef late():\n{inside}"), "it is found in a function too"


@pytest.mark.parametrize("line", SHELL)
@pytest.mark.parametrize("name", [".ci/run", "Makefile", ".ci/docker"])
def test_planted_in_shell(name: str, line: str) -> None:
    assert planted(name, f"\t{line}" if name == "Makefile" else line)


@pytest.mark.parametrize("line", SHELL)
def test_planted_in_a_script_for_a_container(line: str) -> None:
    """Such scripts are strings in Python."""
    assert planted("hooks/tao_hf/runtime/images.py", f"_MORE = {line!r}")


@pytest.mark.parametrize("line", JINJA)
@pytest.mark.parametrize("name", TEMPLATES)
def test_planted_in_a_template(name: str, line: str) -> None:
    assert planted(name, line)


def test_planted_in_a_task_of_copier() -> None:
    assert planted("copier.yml", '  - command: ["git", "push", "origin", "main"]')
    assert planted("copier.yml", "  - git push origin main")


@pytest.mark.parametrize(
    ("name", "line"),
    [
        (PYTHON, 'git.run("fetch", "--quiet", cwd=path)'),
        (PYTHON, 'subprocess.run(["git", "remote", "-v"])'),
        (PYTHON, 'engine.run("login", "nvcr.io", "--username", "$oauthtoken", "--password-stdin")'),
        (PYTHON, 'engine.command("build", "--tag", "tao-pytorch-base:latest", "-")'),
        (PYTHON, "queue.put(line)"),
        (PYTHON, "from urllib.request import urlopen\nurlopen(url)"),
        (PYTHON, "from huggingface_hub import HfApi, hf_hub_download, snapshot_download"),
        (".ci/run", "docker login nvcr.io --username '$oauthtoken' --password-stdin"),
        (".ci/run", "git fetch origin"),
        (".ci/run", "curl -fsSL https://example.com/file"),
        (".ci/run", "# never: git push"),
    ],
)
def test_reading_is_no_finding(name: str, line: str) -> None:
    assert planted(name, line) == []


# The allow-lists of the two wrappers.


def subcommands_used(wrapper: str) -> set[str]:
    """Return the subcommands that our code hands to git or engine."""
    used = set()
    for path in (ROOT / "hooks").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                function = node.func
                named = isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name)
                inside = isinstance(function, ast.Name) and path.stem == wrapper
                if inside or (named and function.value.id == wrapper):
                    used.add(node.args[0].value)
    return used


def test_git_allows_what_is_used_and_writes_to_no_remote() -> None:
    writes = {"push", "send-pack", "http-push", "send-email", "remote", "config", "lfs", "svn", "p4", "request-pull"}
    assert not git_command._ALLOWED & writes
    assert git_command._ALLOWED <= subcommands_used("git")
    for subcommand in sorted(writes):
        with pytest.raises(ValueError, match=subcommand):
            git_command.run(subcommand)


def test_the_engine_allows_what_sends_no_image() -> None:
    writes = {"push", "tag", "buildx", "manifest", "compose", "trust", "plugin", "commit", "save", "context", "swarm"}
    assert not engine._ALLOWED & writes
    for subcommand in sorted(writes):
        with pytest.raises(ValueError, match=subcommand):
            engine.command(subcommand, "image")


# At run time.

RECORD = """\
#!/bin/sh
printf '%s\\n' "$*" >> {log}
exec {git} "$@"
"""


@pytest.fixture
def recorded_git(tmp_path: Path) -> tuple[dict[str, str], Path]:
    """Return an environment in which each git command is recorded, and the record."""
    folder, log = tmp_path / "bin", tmp_path / "git.log"
    folder.mkdir()
    shim = folder / "git"
    shim.write_text(RECORD.format(log=shlex.quote(str(log)), git=shlex.quote(shutil.which("git"))), encoding="utf-8")
    shim.chmod(0o755)
    return {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}, log


def git(path: Path, *words: str) -> str:
    """Return what git prints; nothing where it fails."""
    return subprocess.run(["git", *words], cwd=path, capture_output=True, text=True, check=False).stdout


@pytest.mark.runtime
def test_clones_of_a_copy_have_no_remote_and_no_upstream(copied: Path) -> None:
    """Those made from what is embedded have nowhere to push to."""
    for name in CLONES:
        assert git(copied / name, "remote") == ""
        assert git(copied / name, "config", "--local", "--get-regexp", r"^(remote|branch|url|push|credential)\.") == ""
        assert git(copied / name, "for-each-ref", "--format=%(upstream)%(push)", "refs/heads").strip() == ""


@pytest.mark.runtime
@pytest.mark.slow
def test_a_copy_leaves_the_origin_of_the_persons_clone_alone(
    copied: Path,
    tiny_vit: Path,
    tmp_path: Path,
    recorded_git: tuple[dict[str, str], Path],
) -> None:
    """Not one git command writes to it, its refs and the clone's settings stay, and our branch has no upstream."""
    origin, workdir = tmp_path / "origin.git", tmp_path / "workdir"
    published = tmp_path / "published"
    git(tmp_path, "clone", "-q", "-b", "main", str(copied / "tao-pytorch"), str(published))
    git(tmp_path, "clone", "-q", "--bare", str(published), str(origin))
    workdir.mkdir()
    clone = workdir / "tao-pytorch"
    git(tmp_path, "clone", "-q", "-b", "main", str(origin), str(clone))
    settings, refs = git(clone, "config", "--local", "--list"), git(origin, "show-ref")
    assert "remote.origin.url" in settings and refs
    env, log = recorded_git
    done = copier_copy(workdir, tiny_vit, env, model_name=MODEL, run_tests="none")
    assert done.returncode == 0, done.stdout
    branch = git(clone, "branch", "--show-current").strip()
    assert branch != "main"
    assert git(origin, "show-ref") == refs
    assert git(clone, "config", "--local", "--list") == settings
    assert git(clone, "rev-parse", "--abbrev-ref", f"{branch}@{{upstream}}") in ("", f"{branch}@{{upstream}}\n")
    ran = log.read_text(encoding="utf-8").splitlines()
    assert len(ran) > 20
    assert [line for line in ran if findings(".ci/run", f"git {line}")] == []


SWITCHES = "import os; print(os.environ.get('TELEMETRY_OPT_OUT'), os.environ.get('WANDB_MODE'))"


def switches(tmp_path: Path) -> list[tuple[str | None, str | None]]:
    """Return what commands in each runtime find in TELEMETRY_OPT_OUT and WANDB_MODE."""
    lines: list[str] = []
    done = get_runtime("local").run(["python", "-c", SWITCHES], context="pytorch", on_line=lines.append)
    assert done.returncode == 0
    settings = [docker.DockerRuntime(tmp_path)._settings(context).variables for context in ("pytorch", "deploy")]
    found = [(one.get("TELEMETRY_OPT_OUT"), one.get("WANDB_MODE")) for one in settings]
    return [tuple(lines[-1].split()), *found]


@pytest.mark.runtime
def test_telemetry_is_off_in_both_runtimes(tmp_path: Path) -> None:
    assert [telemetry for telemetry, _ in switches(tmp_path)] == ["yes"] * 3


@pytest.mark.runtime
def test_experiment_tracking_is_off_in_both_runtimes(tmp_path: Path) -> None:
    assert [mode for _, mode in switches(tmp_path)] == ["disabled"] * 3
