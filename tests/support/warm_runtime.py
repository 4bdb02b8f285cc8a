"""Many short commands in the local runtime: each is a child of one process that has PyTorch imported already.

Importing PyTorch, Lightning and transformers takes ten seconds, a test of one error message none. What the children
import of the generated code is not imported beforehand, so they see the files as they are.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

SERVER = """
import json, os, resource, runpy, sys, traceback

import onnx, pytest, pytorch_lightning, torch, torchmetrics, torchvision
from transformers import ViTForImageClassification

def child(job):
    out = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(out, stream)
    os.chdir(job["cwd"])
    os.environ.update(job["env"])
    sys.path[:0] = job["path"]
    sys.argv = job["argv"]
    if job["memory"]:
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + job["memory"],) * 2)
    try:
        if sys.argv[0] == "-c":
            exec(compile(sys.argv[1], "<string>", "exec"), {"__name__": "__main__"})
        elif sys.argv[0] == "-m":
            sys.argv = sys.argv[1:]
            runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
        else:
            sys.path.insert(0, os.path.dirname(os.path.abspath(sys.argv[0])))
            runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0

print("ready", flush=True)
for line in sys.stdin:
    pid = os.fork()
    if not pid:
        code = child(json.loads(line))
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


class WarmRuntime:
    """Runs Python scripts in children of a process that has PyTorch."""

    def __init__(self, python: Path, folder: Path, env: Mapping[str, str]) -> None:
        """Start the process.

        Args:
            python: the runtime's interpreter.
            folder: where the logs go.
            env: its environment.
        """
        self._folder = folder
        self._count = 0
        self._process = subprocess.Popen(
            [str(python), "-c", SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=dict(env),
        )

    def run(
        self,
        argv: Sequence[object],
        *,
        path: Sequence[object] = (),
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        memory: int = 0,
    ) -> tuple[int, str]:
        """Run one script to its end and return its status and what it printed.

        Args:
            argv: as after `python`: a script, or -m or -c, and its arguments.
            path: what comes first on sys.path.
            cwd: its directory.
            env: further variables.
            memory: bytes of address space that it may use beyond what it starts with; 0 for any.
        """
        if not self._count:
            assert self._process.stdout.readline() == "ready\n", "the runtime's Python did not start"
        self._count += 1
        log = self._folder / f"{self._count}.log"
        job = {
            "argv": [str(word) for word in argv],
            "path": [str(entry) for entry in path],
            "cwd": str(cwd or self._folder),
            "env": dict(env or {}),
            "log": str(log),
            "memory": memory,
        }
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        status = int(self._process.stdout.readline())
        return status, log.read_text(encoding="utf-8", errors="replace")

    def close(self) -> None:
        """End the process."""
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()
