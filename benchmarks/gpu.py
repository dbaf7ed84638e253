"""
Everything that a GPU can answer, in one command of at most nine minutes: the tests marked gpu; an update, eager and as a
CUDA graph, in float32, TF32 and bfloat16, beside SB3's SAC with a plain extractor of the same layers, which is the authors'
encoder; a whole training loop with 1, 4 and 16 environments; and learning curves of as many tasks as fit. Results are
written after every part, to gpu.json and gpu.md, and the curves to curves.csv.

Usage: python benchmarks/gpu.py [--device cuda] [--minutes 9] [--parts tests updates loops curves] [--out $OUT] [--quick]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import torch as th
from agents import AGENTS, PLAIN_SWAP
from timing import OwnProcess, describe_machine, interleaved_medians
from training import in_own_process, measure_speed
from update import STEPS, make

from sb3_fpac.limits import usable_cores

PROJECT = Path(__file__).parents[1]
CURVES = PROJECT / "results" / "gpu" / "gpu.yml"
FAST, FAST_COMPILED = "FPAC, fast, 64×64", "FPAC, fast, 64×64, compiled"
PRECISIONS = {"float32": "highest", "TF32": "high"}  # torch.set_float32_matmul_precision
UPDATES = {  # agent: the precisions of its float32 products
    PLAIN_SWAP: PRECISIONS,
    "FPAC, float32, not compiled": PRECISIONS,
    "FPAC, float32, compiled": PRECISIONS,  # and captured as a graph
    "FPAC, auto, not compiled": {"bfloat16": "high"},
    "FPAC, auto, compiled": {"bfloat16": "high"},
    FAST: {"bfloat16": "high"},
    FAST_COMPILED: {"bfloat16": "high"},
}
TASKS = ("cartpole-swingup", "ball-in-cup-catch", "reacher-easy", "finger-spin", "cheetah-run", "walker-walk")
SHARES = {"tests": 0.3, "updates": 0.5, "loops": 0.7, "curves": 1.0}  # of the time, until when each part may last


class Deadline:
    """How much time is left"""

    def __init__(self, seconds: float) -> None:
        self.total, self._end = seconds, time.monotonic() + seconds

    def left(self, share: float = 1.0) -> float:
        """
        :param share: Of the whole time
        :return: Seconds until this share of it is over
        """
        return max(self._end - (1 - share) * self.total - time.monotonic(), 0.0)


def with_gpu_tests() -> list[str]:
    """The files with tests marked gpu: the others may import what such a machine lacks"""
    return [str(path) for path in sorted(PROJECT.glob("tests/test_*.py")) if "mark.gpu" in path.read_text(encoding="utf-8")]


def run_tests(seconds: float, paths: list[str], log: Path) -> dict[str, Any]:
    """The tests marked gpu: how many passed, and the names of those that did not; pytest's output goes to the log"""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-m", "gpu", "-p", "no:cacheprovider", f"--junitxml={report}", *paths]
        command += ["--numprocesses", str(max(1, usable_cores() // 2)), "--dist", "worksteal"]
        try:
            with open(log, "w", encoding="utf-8") as file:
                subprocess.run(command, cwd=PROJECT, timeout=seconds, check=False, stdout=file, stderr=subprocess.STDOUT)
        except subprocess.TimeoutExpired:
            return {"unfinished_after_seconds": round(seconds)}
        cases = list(ElementTree.parse(report).iter("testcase"))
    outcomes: dict[str, list[str]] = {"passed": [], "failed": [], "skipped": []}
    for case in cases:
        kinds = {child.tag for child in case}
        outcome = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        outcomes[outcome].append(f"{case.get('classname')}::{case.get('name')}")
    return {"passed": len(outcomes["passed"]), "skipped": len(outcomes["skipped"]), "failed": outcomes["failed"]}


def time_updates(device: th.device, agents: dict[str, dict[str, str]], rounds: int, deadline: Deadline) -> dict[str, float]:
    """Milliseconds of a gradient step, by agent and precision, each in a process of its own"""
    things = {}
    for name, precisions in agents.items():
        for precision, matmul in precisions.items():
            if deadline.left(SHARES["updates"]):
                things[f"{name}, {precision}"] = OwnProcess(partial(_make_with, matmul, name, device), device.type == "cpu")
    return {name: 1000 * value / STEPS for name, value in interleaved_medians(things, rounds, device).items()}


def _make_with(matmul: str, name: str, device: th.device) -> Any:
    th.set_float32_matmul_precision(matmul)
    return make(name, device)


def time_loops(device: th.device, agents: list[str], n_envs: list[int], steps: int, deadline: Deadline) -> dict[str, float]:
    """Agent steps per second, by agent and number of environments"""
    speeds = {}
    for name in agents:
        for n in n_envs:
            if deadline.left(SHARES["loops"]):
                speeds[f"{name}, {n}"] = in_own_process(measure_speed, name, n, device, steps, n > 1, th.get_num_threads())[0]
    return speeds


def learn(device: th.device, tasks: list[str], env_steps: int, evaluations: int, seconds: float) -> str:
    """Learning curves of the preset, all tasks at the same time: the experiment's curves.csv"""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "sb3_fpac", "experiment", str(CURVES), "-f", folder, "--variants", "fast"]
        command += ["--tasks", *tasks]
        command += ["--jobs", str(len(tasks)), "--env-steps", str(env_steps), "--eval-freq", str(env_steps // evaluations)]
        command += ["--eval-episodes", str(min(evaluations, 5)), "--drop-checkpoints", "--device", str(device)]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        try:
            subprocess.run(command, cwd=PROJECT, timeout=seconds, check=False, env=environment, stdout=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            subprocess.run([*command, "--only-draw"], cwd=PROJECT, check=False, env=environment, stdout=subprocess.DEVNULL)
        curves = list(Path(folder).rglob("curves.csv"))
        return curves[0].read_text(encoding="utf-8") if curves else ""


def markdown(results: dict[str, Any]) -> str:
    lines = [results["machine"], ""]
    if "tests" in results:
        lines += [f"Tests marked gpu: {json.dumps(results['tests'])}", ""]
    for title, key, unit in (
        ("one gradient step", "updates", "ms"),
        ("dmc-cheetah-run, environments", "loops", "agent steps/s"),
    ):
        if results.get(key):
            lines += [f"| {title} | {unit} |", "| --- | ---: |", *(f"| {k} | {v:.2f} |" for k, v in results[key].items()), ""]
    if results.get("curves"):
        lines += ["```text", results["curves"].strip(), "```", ""]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cuda", type=th.device)
    parser.add_argument("--minutes", default=9.0, type=float)
    parser.add_argument("--parts", default=list(SHARES), nargs="+", choices=SHARES)
    parser.add_argument("--out", default=Path(os.environ.get("OUT", PROJECT / "logs" / "gpu")), type=Path)
    parser.add_argument("--quick", action="store_true", help="little of everything, to see that it runs")
    args = parser.parse_args()
    device, quick = args.device, args.quick
    if device.type == "cuda" and not th.cuda.is_available():
        parser.error("there is no CUDA GPU: pass --device cpu --quick to see that the benchmark runs.")

    args.out.mkdir(parents=True, exist_ok=True)
    deadline = Deadline(60 * args.minutes)
    results: dict[str, Any] = {"machine": describe_machine(device)}
    updates = {FAST: {"float32": "highest"}} if quick else UPDATES
    loops, n_envs, steps = ([FAST], [1], 2) if quick else (["FPAC, auto, compiled", FAST_COMPILED], [1, 4, 16], 200)
    tasks, env_steps, evaluations = (list(TASKS[:1]), 800, 1) if quick else (list(TASKS), 100_000, 10)
    tests = ["tests/test_compilation.py"] if quick else with_gpu_tests()
    parts = {
        "tests": lambda: run_tests(deadline.left(SHARES["tests"]), tests, args.out / "tests.log"),
        "updates": lambda: time_updates(device, updates, 1 if quick else 20, deadline),
        "loops": lambda: time_loops(device, loops, n_envs, steps, deadline),
        "curves": lambda: learn(device, tasks, env_steps, evaluations, deadline.left()),
    }
    for name in args.parts:
        results[name] = parts[name]()
        results["seconds"] = round(deadline.total - deadline.left())
        (args.out / "gpu.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
        (args.out / "gpu.md").write_text(markdown(results), encoding="utf-8")
        print(f"{name}: done after {results['seconds']} s", flush=True)
    if "curves" in results:
        (args.out / "curves.csv").write_text(results["curves"], encoding="utf-8")
    print(markdown(results))


if __name__ == "__main__":
    assert set(UPDATES) <= set(AGENTS)
    main()
