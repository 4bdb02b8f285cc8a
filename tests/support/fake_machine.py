"""A machine made of small programs on PATH: Docker, git and what NVIDIA's tools print, each as a test wants it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

# A Docker engine that remembers images in a file, and writes down every call with what it read on standard input.
DOCKER = """
import json, re, sys
home = sys.argv[0].rpartition("/")[0]
with open(home + "/docker.json") as file:
    state = json.load(file)
argv = sys.argv[1:]
read = "" if sys.stdin.isatty() else sys.stdin.read()
with open(home + "/docker.log", "a") as log:
    log.write(json.dumps({"argv": argv, "stdin": read}) + "\\n")

def fail(text):
    sys.exit(text)

def keep():
    with open(home + "/docker.json", "w") as file:
        json.dump(state, file)

def image(name):
    return state["images"].get(name) or fail(f"Error: No such image: {name}")

if state["down"]:
    fail(state["down"])
if argv[0] == "version":
    print("28.2.2")
elif argv[0] == "image":
    found = image(argv[-1])
    label = re.search(r'"([^"]+)"', argv[3])
    print(found["labels"].get(label[1], "") if label else found["id"])
elif argv[0] == "login":
    if "good" not in read:
        fail("Error response from daemon: Get https://nvcr.io/v2/: unauthorized: authentication required " + read)
    print("Login Succeeded")
elif argv[0] == "pull":
    if argv[1] not in state["registry"]:
        fail("Error response from daemon: " + state["refusal"])
    state["images"][argv[1]] = {"id": "id of " + argv[1], "labels": {}, "packages": state["registry"][argv[1]]}
    print("Status: Downloaded newer image")
    keep()
elif argv[0] == "build":
    source = image(re.search(r"^FROM (\\S+)$", read, re.M)[1])
    given = [argv[index + 1] for index, word in enumerate(argv) if word == "--label"]
    left = [name for name in source["packages"] if name.startswith("sticky") or not name.startswith("nvidia")]
    state["images"][argv[argv.index("--tag") + 1]] = {
        "id": "id made of " + source["id"], "labels": dict(word.split("=", 1) for word in given),
        "packages": [name.removeprefix("sticky ") for name in left],
    }
    keep()
elif argv[0] == "run" and "nvidia-smi" in argv:
    if not state["smoke"]:
        fail('docker: Error response from daemon: could not select device driver "" with capabilities: [[gpu]].')
elif argv[0] == "run":
    names = [name.removeprefix("sticky ") for name in image(argv[argv.index("-m") - 1])["packages"]]
    print("= a banner =")
    print(json.dumps([{"name": name, "version": "7.0.1"} for name in names]))
else:
    fail("what is docker " + argv[0])
"""
PYTORCH, DEPLOY = "nvcr.io/org/tao-toolkit:7.0.1-pyt", "nvcr.io/org/tao-toolkit:7.0.1-deploy"
RELEASED = {
    PYTORCH: ["torch", "nvidia_tao_pytorch", "nvidia-tao-core", "nvidia-cublas"],
    DEPLOY: ["tensorrt", "nvidia_tao_deploy", "nvidia-tao-core"],
}


class FakeMachine:
    """The folder that is PATH: a machine with a GPU and Docker, on which everything is as it should be."""

    def __init__(self, folder: Path) -> None:
        """Make the programs in `folder`."""
        self.folder = folder
        self.folder.mkdir()
        self.set_docker()
        self.program("docker", DOCKER)
        self.says("git", "git version 2.39.5")
        self.says("nvidia-ctk", "NVIDIA Container Toolkit CLI version 1.19.0\ncommit: 5a21ad0")
        self.nvidia_smi()

    def set_docker(self, **changes: Any) -> None:
        """Change what Docker knows: `images`, `registry`, `refusal` of pulls, `down`, whether `smoke` works."""
        file = self.folder / "docker.json"
        usual = {"images": {}, "registry": RELEASED, "refusal": "unauthorized", "down": "", "smoke": True}
        state = json.loads(file.read_text(encoding="utf-8")) if file.exists() else usual
        file.write_text(json.dumps({**state, **changes}), encoding="utf-8")

    def prepared(self, *components: str, packages: tuple[str, ...] = ()) -> None:
        """Let Docker have images that were prepared by hand."""
        image = {"id": "by hand", "labels": {}, "packages": packages}
        self.set_docker(images={f"tao-{component}-base:selftest": image for component in components})

    def nvidia_smi(self, driver: str = "580.65.06", cuda: str = "13.0") -> None:
        """Let the driver report one GPU."""
        self.program(
            "nvidia-smi",
            "import sys\n"
            "asked = ' '.join(sys.argv[1:])\n"
            f"print('Test GPU' if '=name' in asked else {driver!r} if 'driver_version' in asked else "
            f"'| NVIDIA-SMI {driver}   Driver Version: {driver}   CUDA Version: {cuda} |')\n",
        )

    def says(self, program: str, text: str) -> None:
        """Make a program that prints `text` whatever it is asked."""
        self.program(program, f"print({text!r})\n")

    def program(self, name: str, text: str) -> None:
        """Make a program of some Python."""
        file = self.folder / name
        file.write_text(f"#!{sys.executable} -IS\n{text}", encoding="utf-8")
        file.chmod(0o755)

    def without(self, *programs: str) -> None:
        """Take programs away."""
        for program in programs:
            (self.folder / program).unlink()

    def calls(self, *subcommands: str) -> list[dict[str, Any]]:
        """Return the calls of Docker, `argv` and `stdin` each; of some subcommands only, where they are given."""
        file = self.folder / "docker.log"
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        made = [json.loads(line) for line in lines]
        return [call for call in made if not subcommands or call["argv"][0] in subcommands]
