"""The functions that ``copier.yml`` calls."""

from __future__ import annotations

from tao_hf.questions import model, naming, opening, preflight, proofs, runtime_choice, workspace

FUNCTIONS = (
    opening.welcome,
    opening.begin_update,
    runtime_choice.default_image,
    runtime_choice.asks_for_image,
    runtime_choice.asks_about_gpu,
    runtime_choice.image_problem_when_asked,
    runtime_choice.settle_runtime,
    model.task_types,
    model.has_classes,
    model.inspect_model,
    workspace.explore_workspace,
    workspace.default_branch,
    naming.suggest_name,
    proofs.prove_backbones,
    preflight.problem_when_asked,
    preflight.check_all,
    preflight.recorded,
)
