# SPDX-License-Identifier: Apache-2.0

"""The command line that all models share: finds the subtask's script and runs it as a process of its own."""

import ast
import importlib.util
import os
import pkgutil
import subprocess
import sys
import time

import yaml

from nvidia_tao_pytorch.core.tlt_logging import logging

_ON_GPUS = ("train", "evaluate", "inference", "distill")


def get_subtasks(package):
    """Return the subtasks in a model's ``scripts`` package.

    Returns:
        dict: Subtask to {"module_name", "runner_path"}.
    """
    subtasks = {}
    for _, name, is_package in pkgutil.walk_packages(package.__path__):
        if not is_package:
            module_name = f"{package.__name__}.{name}"
            path = os.path.abspath(importlib.util.find_spec(module_name).origin)
            subtasks[name] = {"module_name": module_name, "runner_path": path}
    return subtasks


def command_line_parser(parser, subtasks):
    """Add the shared arguments and parse the command line.

    Args:
        parser (argparse.ArgumentParser): The model's parser.
        subtasks (dict): What :func:`get_subtasks` returned.

    Returns:
        tuple: Parsed arguments, and the rest: overrides for Hydra.
    """
    parser.add_argument("subtask", default="train", choices=subtasks.keys(), help="Subtask for a given task/model.")
    parser.add_argument("-e", "--experiment_spec_file", help="Path to the experiment spec file.", default=None)
    return parser.parse_known_args()


def launch(args, unknown_args, subtasks, network=None):
    """Run a subtask and exit: with 0 when it succeeded, else with 1.

    Its process finds the GPUs to use in TAO_VISIBLE_DEVICES.

    Args:
        args (dict): Parsed arguments.
        unknown_args (list of str): Overrides for Hydra.
        subtasks (dict): What :func:`get_subtasks` returned.
        network (str): The model's name.
    """
    spec = args["experiment_spec_file"]
    if spec is None:
        print(f"ERROR: The subtask `{args['subtask']}` requires a spec file: -e/--experiment_spec_file PATH")
        sys.exit(1)
    if not os.path.exists(spec):
        print(f"ERROR: The indicated experiment spec file `{spec}` doesn't exist!")
        sys.exit(1)

    directory, name = os.path.split(spec)
    command = ["python", subtasks[args["subtask"]]["runner_path"]]
    if directory:
        command += ["--config-path", os.path.realpath(directory)]
    command += ["--config-name", name]
    if "results_dir" in args:
        command.append(f"results_dir={args['results_dir']}")
    command += unknown_args

    gpu_ids = _gpus(args["subtask"], spec, unknown_args)
    os.environ["TAO_VISIBLE_DEVICES"] = ", ".join(str(gpu) for gpu in gpu_ids)
    started = time.time()
    passed = _run(command)
    _send_telemetry(network, args["subtask"], len(gpu_ids), int(time.time() - started), passed)
    if not passed:
        logging.warning("Execution status: FAIL")
        sys.exit(1)
    logging.info("Execution status: PASS")
    sys.exit(0)


def _gpus(subtask, spec, overrides):
    """Return the GPU numbers of a subtask: those of the command line, else of the spec file, else [0].

    When number and list disagree, the larger count wins.
    """
    count, ids = 1, [0]
    if subtask in _ON_GPUS:
        given = dict(override.split("=", 1) for override in overrides if "=" in override)
        given = {key.rsplit(".", 1)[-1]: value for key, value in given.items()}
        if "num_gpus" in given or "gpu_ids" in given:
            count = int(given.get("num_gpus", count))
            ids = ast.literal_eval(given.get("gpu_ids", str(ids)))
        else:
            section = "train" if subtask == "distill" else subtask
            with open(spec, encoding="utf-8") as handle:
                settings = (yaml.safe_load(handle) or {}).get(section) or {}
            count = settings.get("num_gpus", count)
            ids = settings.get("gpu_ids", ids)
    if count == len(ids):
        return ids
    logging.warning(f"Number of gpus {count} != len({ids}).")
    count = max(count, len(ids))
    return ids if len(ids) == count else list(range(count))


def _run(command):
    """Run a command, passing its output through line by line; return whether it succeeded."""
    try:
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=1, universal_newlines=True
        ) as process:
            for line in process.stdout:
                sys.stdout.write(line)
                sys.stdout.flush()
        return process.returncode == 0
    except KeyboardInterrupt:
        logging.exception("Command was interrupted")
        return True  # the person wanted it
    except OSError as error:
        logging.exception(error)
        return False


def _send_telemetry(network, subtask, num_gpus, seconds, passed):
    """Hand the run to tao-core's telemetry, which sends nothing when TELEMETRY_OPT_OUT is set."""
    try:
        from nvidia_tao_core.telemetry.nvml import get_device_details  # slow
        from nvidia_tao_core.telemetry.telemetry import send_telemetry_data

        if os.getenv("TELEMETRY_OPT_OUT", "no").lower() in ("no", "false", "0"):
            gpus = [device.get_config() for device in get_device_details()]
        else:
            gpus = []
        send_telemetry_data(
            network,
            subtask,
            gpus,
            num_gpus=num_gpus,
            time_lapsed=seconds,
            pass_status=passed,
            user_error=False,
        )
    except Exception as error:  # telemetry must never fail a run
        logging.warning(f"Telemetry data couldn't be sent: {error}")
