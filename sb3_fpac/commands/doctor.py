"""The command ``doctor``: checks of the machine and of an environment, before training."""

import argparse
import inspect
import json
import sys
from collections.abc import Iterator
from itertools import chain

from sb3_fpac.doctor import Check, Plan, examine_environment, examine_machine
from sb3_fpac.doctor.check import refusal
from sb3_fpac.fpac import FPAC
from sb3_fpac.optional import needs


def run(args: argparse.Namespace) -> None:
    """
    Print the checks, each as soon as it is done.

    :param args: The parsed options of :func:`sb3_fpac.cli.doctor.add_arguments`
    :raises ValueError: if there is no such environment
    :raises SystemExit: with status 1 if a check is not ok
    """
    checks: Iterator[Check] = examine_machine()
    if args.env is not None:
        checks = chain(checks, _checks_of_environment(args))
    done = []
    for check in checks:
        done.append(check)
        if not args.json:
            print(_printable(check), flush=True)
    if args.json:
        print(json.dumps([check._asdict() for check in done]), file=args.results_to)
    if not all(check.ok for check in done):
        sys.exit(1)


def _printable(check: Check) -> str:
    """With words for the signs ✓ and ✗ where standard output would replace both by the same one"""
    line = str(check)
    try:
        line[0].encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        line = ("ok" if check.ok else "NOT OK") + line[1:]
    return line


def _checks_of_environment(args: argparse.Namespace) -> Iterator[Check]:
    """Without RL Zoo, which finds it, the machine can be checked all the same"""
    try:
        with needs("zoo"):
            import sb3_fpac.zoo.environments  # noqa: F401
    except ImportError as error:
        return iter([refusal("environment", str(error))])
    return examine_environment(_read_plan(args))


def _read_plan(args: argparse.Namespace) -> Plan:
    """The environment, with the settings of RL Zoo's file if they are in it, otherwise those of all environments"""
    import yaml

    from sb3_fpac.zoo import config_file
    from sb3_fpac.zoo.environments import find_env

    env_id = find_env(args.env, args.gym_packages)
    settings = yaml.safe_load(config_file(args.algo).read_text(encoding="utf-8"))
    of_env = settings.get(env_id, settings["default"])
    n_timesteps = of_env["n_timesteps"] if env_id in settings else None
    hyperparams = {name: of_env[name] for name in inspect.signature(FPAC).parameters if name in of_env and name != "policy"}
    env_kwargs = {**of_env.get("env_kwargs", {}), **args.env_kwargs}
    by_key = dict(args.frame_channels)
    return Plan(env_id, env_kwargs, args.algo, hyperparams, n_timesteps, by_key.pop(None, by_key))
