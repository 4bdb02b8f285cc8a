"""What Copier calls while it asks and renders: functions of ``hooks/tao_hf``, their errors made Copier's own."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from copier import _main
from copier.errors import UserMessageError
from copier_template_extensions import ContextHook
from jinja2 import Environment

ROOT = Path(__file__).resolve().parent.parent


def _use_own_hooks() -> None:
    """Make ``tao_hf`` the package beside this file: during an update two template versions share one process."""
    hooks = str(ROOT / "hooks")
    loaded = sys.modules.get("tao_hf")
    if loaded is not None and Path(loaded.__path__[0]) != ROOT / "hooks" / "tao_hf":
        for name in [name for name in sys.modules if name == "tao_hf" or name.startswith("tao_hf.")]:
            del sys.modules[name]
    if hooks in sys.path:
        sys.path.remove(hooks)
    sys.path.insert(0, hooks)


_use_own_hooks()

from tao_hf.base.errors import UserError  # noqa: E402
from tao_hf.questions import functions, opening  # noqa: E402
from tao_hf.rendering import template_vars  # noqa: E402
from tao_hf.rendering.environment import equip  # noqa: E402


def _speaking_copier(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let Copier print a ``UserError`` as one sentence and exit."""

    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except UserError as error:
            raise UserMessageError(str(error)) from error

    return wrapper


def _updating() -> bool:
    """Tell whether this is `copier update`, which Copier tells tasks as ``_copier_operation`` but not questions."""
    operation = getattr(_main, "_operation", None)
    return operation is not None and operation.get("copy") == "update"


class TaoHfTemplate(ContextHook):
    """Adds the questions' functions, the filters for untrusted text, and the names that templates use."""

    def __init__(self, environment: Environment) -> None:
        """Register functions and filters."""
        super().__init__(environment)
        for function in functions.FUNCTIONS:
            environment.globals[function.__name__] = _speaking_copier(function)
        environment.globals["updating"] = _updating
        equip(environment)

    def hook(self, context_variables: dict[str, Any]) -> None:
        """Add the derived names once all answers are there."""
        if str(context_variables.get("_copier_phase")) == "prompt" and not _updating():
            _speaking_copier(opening.refuse_other_answers)(context_variables["_copier_conf"])
        context_variables.update(_speaking_copier(template_vars.derived)(ROOT, context_variables))
