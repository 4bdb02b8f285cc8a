"""Finds code that would write to something that is not this machine: pushes, uploads, logs in, opens pull requests.

Python is read as a tree: names are followed through imports and module-level constants, argument lists are put
together, and every string but the docstrings is read as a command line as well. Everything else is read as text.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

LOGIN_HOST = "nvcr.io"  # where ./tao-hf phase0 may log in, to pull
GIT_WRITES = {"push", "send-pack", "http-push", "send-email", "request-pull", "lfs", "svn", "p4", "bundle-uri"}
GIT_REMOTE_READS = {"-v", "--verbose", "show", "get-url"}
DOCKER_WRITES = {
    "push", "tag", "manifest", "buildx", "trust", "plugin", "compose", "swarm", "service", "stack", "context",
}  # fmt: skip
DOCKER_IMAGE_READS = {"inspect", "ls", "rm", "history", "prune"}
TO_ELSEWHERE = {
    "hf": {"upload", "upload-large-folder", "login", "auth", "repo", "repos", "discussions", "jobs"},
    "huggingface-cli": {"upload", "upload-large-folder", "login", "repo", "tag", "repo-files"},
    "twine": {"upload", "register"},
    "flit": {"publish"},
    "poetry": {"publish"},
    "uv": {"publish"},
    "hatch": {"publish"},
    "gh": {"pr", "issue", "release", "repo", "gist", "auth", "api", "workflow", "secret"},
    "glab": {"mr", "issue", "release", "repo", "snippet", "auth", "api", "ci"},
    "ngc": {"registry", "batch", "config", "base-command", "workspace", "dataset", "result"},
    "wandb": {"login", "sync", "artifact", "launch"},
    "aws": {"s3", "s3api", "ecr"},
    "gcloud": {"storage", "auth", "builds"},
    "gsutil": {"cp", "rsync", "mv"},
    "az": {"storage", "acr", "login"},
    "rclone": {"copy", "sync", "move"},
    "oras": {"push", "login", "copy"},
    "skopeo": {"copy", "sync", "login"},
    "helm": {"push", "registry"},
    "kubectl": {"apply", "create", "run"},
    "sbatch": None,
    "scp": None,
    "sftp": None,
    "rsync": None,
    "ftp": None,
    "sendmail": None,
}
ENGINES = {"docker", "podman", "nerdctl"}
CURL_SENDS = re.compile(
    r"-[a-zA-Z]*[TdF]$|-[TdF].+|--(upload-file|data[\w-]*|form[\w-]*|json|(post|body)-(data|file))(=.*)?$"
)
METHODS = {"POST", "PUT", "PATCH", "DELETE"}
# Attributes and functions by their own name, whatever they belong to.
CALLS = {
    "upload_file", "upload_folder", "upload_large_folder", "upload_fileobj", "upload_blob", "upload_from_filename",
    "preupload_lfs_files", "create_repo", "create_commit", "create_commits_on_pr", "create_branch", "create_tag",
    "create_pull_request", "create_pull", "create_discussion", "create_issue", "create_release", "create_git_ref",
    "comment_discussion", "merge_pull_request", "delete_repo", "move_repo", "update_repo_visibility", "duplicate_space",
    "super_squash_history", "push_to_hub", "save_to_hub", "upload", "put_object", "log_artifact", "link_artifact",
    "send_message", "sendmail", "login", "post", "patch", "storbinary", "storlines", "add_remote", "create_remote",
    "set_upstream", "send_telemetry_data",
}  # fmt: skip
PUT_CALLS = {"put", "delete"}  # of an HTTP client only: queues put too
HTTP_CLIENTS = {"requests", "httpx", "aiohttp", "urllib3", "http", "urllib"}
MODULES = {"smtplib", "ftplib", "paramiko", "boto3", "twine", "git", "github", "gitlab", "docker"}
OWN_LOGIN = "tao_hf.runtime.ngc.login"
PUSHES = re.compile(r"--push$|--push=|(--output=|-o)?type=(registry|image,push=true)|.*\bpush=true")


@dataclass(frozen=True)
class Finding:
    """Something that writes elsewhere.

    Attributes:
        path: the file, relative.
        line: line number, from 1.
        what: the command or call.
    """

    path: str
    line: int
    what: str


def command_problem(words: Sequence[str | None]) -> str | None:
    """Return the command in an argument list that writes elsewhere, None when there is none.

    Args:
        words: the arguments; None stands for one that is not known.
    """
    for position, word in enumerate(words):
        if word is None:
            continue
        program, rest = PurePosixPath(word).name, words[position + 1 :]
        if _writes(program, rest):
            return " ".join(part if part is not None else "…" for part in (program, *rest[:4]))
    return None


def _writes(program: str, rest: Sequence[str | None]) -> bool:
    if program == "git":
        return _git_writes(rest)
    if program in ENGINES:
        return _engine_writes(rest)
    if program in ("curl", "wget"):
        return _sends(rest)
    if program == "setup.py":
        return "upload" in rest or "register" in rest
    if program not in TO_ELSEWHERE:
        return False
    first = _first(rest)
    subcommands = TO_ELSEWHERE[program]
    if subcommands is None:  # its mere name in a sentence is no command
        return any(part is not None and re.match(r"[\w.@-]+:(?!//)|\w+://", part) for part in rest)
    return first in subcommands


def _first(words: Sequence[str | None], takes_value: Sequence[str] = ()) -> str | None:
    """Return the first word that is no option, nor the value of one."""
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word in takes_value:
            skip = True
        elif word is None or not word.startswith("-"):
            return word
    return None


def _git_writes(rest: Sequence[str | None]) -> bool:
    subcommand = _first(rest, ("-C", "-c", "--git-dir", "--work-tree"))
    if subcommand in GIT_WRITES:
        return True
    after = list(rest[list(rest).index(subcommand) + 1 :]) if subcommand in rest else []
    if subcommand == "remote":
        return bool(after) and after[0] not in GIT_REMOTE_READS
    if subcommand in ("branch", "switch", "checkout"):
        return any(word and (word in ("-u", "-t", "--track") or word.startswith("--set-upstream")) for word in after)
    if subcommand == "config":
        return any(word and re.match(r"(remote|branch)\..*|push\..*|credential\b.*", word) for word in after)
    return any(word and re.match(r"(remote\..*url|branch\..*remote|push\.\w+)=", word) for word in rest)


def _engine_writes(rest: Sequence[str | None]) -> bool:
    subcommand = _first(rest, ("-H", "--host", "--config", "--context"))
    if subcommand in DOCKER_WRITES:
        return True
    after = list(rest[list(rest).index(subcommand) + 1 :]) if subcommand in rest else []
    if subcommand == "image":
        return not after or after[0] not in DOCKER_IMAGE_READS
    if subcommand == "login":
        return _first(after, ("-u", "--username", "-p", "--password")) != LOGIN_HOST
    return any(word is not None and PUSHES.match(word) for word in after)


def _sends(rest: Sequence[str | None]) -> bool:
    words = [word or "" for word in rest]
    if any(CURL_SENDS.match(word) for word in words):
        return True
    text = " ".join(words)
    return bool(re.search(rf"(-X|--request|--method)[ =]?({'|'.join(METHODS)})\b", text))


def text_problems(text: str) -> Iterator[tuple[int, str]]:
    """Yield (line, command) for the commands and calls in shell, Makefile, YAML, a Dockerfile or a template."""
    joined = re.sub(r"\\\n", lambda _: "  ", text)
    for number, line in enumerate(joined.split("\n"), start=1):
        code = re.sub(r"(^|\s)#.*", "", line)
        for part in re.split(r"[;&|()`{}<>]+|\$\(", code):
            found = command_problem([word.strip("\"'[],").lstrip("@").rstrip(".") or None for word in part.split()])
            if found:
                yield number, found
        for call in re.finditer(r"\b(\w+)\.(\w+)\(", code):
            owner, name = call.groups()
            if name in CALLS - {"patch"} or (owner in HTTP_CLIENTS and name in PUT_CALLS | {"patch"}):
                yield number, f"{owner}.{name}()"


class _Tree(ast.NodeVisitor):
    """Collects the findings of one Python file."""

    def __init__(self, path: str, tree: ast.Module) -> None:
        self.path = path
        self.found: list[Finding] = []
        self.names = _imported(tree)
        self.values = _constants(tree)
        self.docstrings = {id(node) for node in _docstrings(tree)}
        self.http = any(name.split(".")[0] in HTTP_CLIENTS for name in self.names.values())
        self.visit(tree)

    def add(self, node: ast.AST, what: str | None) -> None:
        if what:
            self.found.append(Finding(self.path, node.lineno, what))

    def dotted(self, node: ast.AST) -> str:
        """Return the full name of what is called, through the imports; "?" for what has none."""
        if isinstance(node, ast.Name):
            return self.names.get(node.id, node.id)
        if isinstance(node, ast.Attribute):
            return f"{self.dotted(node.value)}.{node.attr}"
        return "?"

    def word(self, node: ast.AST) -> str | None:
        if isinstance(node, ast.Constant):
            return node.value if isinstance(node.value, str) else None
        if isinstance(node, ast.JoinedStr):
            return "".join(self.word(part) or "…" for part in node.values)
        return self.values.get(self.dotted(node))

    def words(self, node: ast.AST) -> list[str | None]:
        """Return the arguments that a list, a tuple or a sum of such holds."""
        if isinstance(node, (ast.List, ast.Tuple)):
            return [word for element in node.elts for word in self.words(element)]
        if isinstance(node, ast.Starred):
            return self.words(node.value) if isinstance(node.value, (ast.List, ast.Tuple, ast.BinOp)) else [None]
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return [*self.words(node.left), *self.words(node.right)]
        return [self.word(node)]

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            if alias.name.split(".")[0] in MODULES:
                self.add(node, f"import {alias.name}")

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = node.module or ""
        for alias in node.names:
            if module.split(".")[0] in MODULES or (alias.name in CALLS and f"{module}.{alias.name}" != OWN_LOGIN):
                self.add(node, f"from {module} import {alias.name}")

    def visit_List(self, node: ast.List | ast.Tuple) -> None:
        self.add(node, command_problem(self.words(node)))
        self.generic_visit(node)

    def visit_Tuple(self, node: ast.Tuple) -> None:
        self.visit_List(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if isinstance(node.op, ast.Add):
            self.add(node, command_problem(self.words(node)))
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str) and id(node) not in self.docstrings:
            if PUSHES.match(node.value):
                self.add(node, node.value)
            for _, found in text_problems(node.value):
                self.add(node, found)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        for _, found in text_problems(self.word(node)):
            self.add(node, found)
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                self.visit(part.value)

    def visit_Call(self, node: ast.Call) -> None:
        name = self.dotted(node.func)
        last = name.rpartition(".")[2]
        arguments = [word for argument in node.args for word in self.words(argument)]
        if last in CALLS and name != OWN_LOGIN and isinstance(node.func, (ast.Name, ast.Attribute)):
            self.add(node, f"{name}()")
        elif last in PUT_CALLS and isinstance(node.func, ast.Attribute) and self.http:
            self.add(node, f"{name}()")
        elif last in ("request", "Request", "urlopen", "open") and self.http:
            self.add(node, _request_problem(name, node, arguments))
        program = _wrapper(name, self.path)
        if program:
            if arguments and arguments[0] is not None:
                self.add(node, command_problem([program, *arguments]))
            elif not self.path.endswith(("base/git.py", "runtime/engine.py")):
                self.add(node, f"{name}(…) without a subcommand that can be read")
        else:
            self.add(node, command_problem(arguments))
        self.generic_visit(node)


def _request_problem(name: str, node: ast.Call, arguments: Sequence[str | None]) -> str | None:
    keywords = {keyword.arg: keyword.value for keyword in node.keywords}
    method = keywords.get("method")
    said = {word.upper() for word in arguments if word}
    if isinstance(method, ast.Constant):
        said.add(str(method.value).upper())
    last = name.rpartition(".")[2]
    sends = "data" in keywords or (last in ("Request", "urlopen") and len(node.args) > 1)
    return f"{name}() that sends" if said & METHODS or sends else None


def _wrapper(name: str, path: str) -> str | None:
    """Return the program that one of our own wrappers runs."""
    owner, _, last = name.rpartition(".")
    module = owner.rpartition(".")[2] or PurePosixPath(path).stem
    if module == "git" and last in ("run", "text", "succeeds"):
        return "git"
    return "docker" if module == "engine" and last in ("run", "command") else None


def _imported(tree: ast.Module) -> dict[str, str]:
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.split(".")[0]
                names[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom):
            names.update({alias.asname or alias.name: f"{node.module or ''}.{alias.name}" for alias in node.names})
    return names


def _constants(tree: ast.Module) -> dict[str, str]:
    """Return the module's names for strings."""
    return {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _docstrings(tree: ast.Module) -> Iterator[ast.Constant]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and node.body:
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                yield first.value


def is_python(path: str, text: str) -> bool:
    """Tell whether a file is Python: by its name or its first line."""
    return path.endswith(".py") or (text.startswith("#!") and "python" in text.partition("\n")[0])


def findings(path: str, text: str) -> list[Finding]:
    """Return what writes elsewhere in one file.

    Args:
        path: its path, relative.
        text: what is in it.
    """
    found = (
        _Tree(path, ast.parse(text)).found
        if is_python(path, text)
        else [Finding(path, line, what) for line, what in text_problems(text)]
    )
    return sorted(set(found), key=lambda finding: (finding.line, finding.what))
