"""Runs on a Ray cluster."""

from collections.abc import Generator, Sequence
from pathlib import Path

from sb3_fpac.experiment.process import RunResult, outcome, start, stop
from sb3_fpac.optional import needs

with needs("ray"):
    import ray


def run_on_cluster(
    folders: Sequence[Path], address: str, cpus: float, gpus: float, retries: int
) -> Generator[RunResult | None, None, None]:
    """
    Hand runs to an existing Ray cluster, whose nodes all have sb3-fpac installed and see the same folders. A run whose node is
    lost is trained on another one, from its checkpoint. When the iterator is closed, all that still runs is cancelled.

    :param folders: Of the runs, with their plans
    :param address: Of the cluster, ``"auto"`` or ``"192.168.0.1:6379"`` or ``"ray://…"``
    :param cpus: Processors, and threads of PyTorch, for each run
    :param gpus: GPUs for each run; half a GPU is shared by two
    :param retries: How often a run is started again when its node is lost
    :return: One entry for each run that has ended; None in between
    :raises ValueError: if there is no cluster at the address
    """
    try:
        ray.init(address=address)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ValueError(f"There is no Ray cluster at {address!r}: {' '.join(str(error).split())}") from error
    try:
        task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=retries)(_train)
        pending = {task.remote(str(folder.resolve()), max(1, int(cpus))): folder for folder in folders}
        try:
            while pending:
                ready, _ = ray.wait(list(pending), timeout=1)
                for reference in ready:
                    yield _outcome(pending.pop(reference), reference)
                yield None
        finally:
            for reference in pending:
                ray.cancel(reference, force=True)
    finally:
        ray.shutdown()


def _train(folder: str, threads: int) -> int:
    """On a node: Ray sets there which GPUs are seen"""
    process = start(Path(folder), threads)
    try:
        return process.wait()
    finally:
        stop(process)


def _outcome(folder: Path, reference: "ray.ObjectRef") -> RunResult:
    try:
        return outcome(folder, ray.get(reference))
    except ray.exceptions.RayError as error:
        return RunResult(folder, f"Its node was lost: {' '.join(str(error).split())}")
