"""Step 20: pylint for errors, pydocstyle and flake8 on what was generated."""

from __future__ import annotations

from tao_hf.selftest.steps.job import Command, Job, Step, StepError


def _python_files(job: Job) -> dict[str, list[str]]:
    """Return the model's generated Python files by context, those that are still there."""
    files: dict[str, list[str]] = {"pytorch": [], "deploy": []}
    for name in job.info["files"]:
        if name.endswith(".py") and name.startswith(("tao-core/", "tao-pytorch/", "tao-deploy/")):
            if (job.workdir / name).is_file():
                files["deploy" if name.startswith("tao-deploy/") else "pytorch"].append(name)
    return {context: sorted(names) for context, names in files.items() if names}


def _lint(job: Job) -> list[Command]:
    by_context = _python_files(job)
    every = [name for names in by_context.values() for name in names]
    modules = [name for name in every if "/tests/" not in name]
    commands = [
        Command(["python", "-m", "flake8", "--isolated", "--max-line-length=120", *every], cwd=job.workdir),
        Command(["python", "-m", "pydocstyle", "--convention=google", *modules], cwd=job.workdir),
    ]
    for context, names in by_context.items():
        commands.append(Command([*job.tool("check.lint"), *names], context=context, cwd=job.workdir))
    return commands


def _lint_gate(job: Job) -> str:
    count = sum(map(len, _python_files(job).values()))
    if not count:
        raise StepError("none of the model's generated Python files is there any more")
    return f"{count} files clean"


STEPS = (
    Step(
        id="20",
        title="Lint",
        context="pytorch",
        also_in=("deploy",),
        commands=_lint,
        gate=_lint_gate,
        needs=("16",),
        quick=True,
    ),
)
