"""Parallel runs on a Ray cluster."""

from collections.abc import Generator, Sequence
from pathlib import Path

from sb3_fpac.experiment.process import RunResult, run_result, start, stop, threads_for
from sb3_fpac.optional import needs

with needs("ray"):
    import ray


def run_on_cluster(
    folders: Sequence[Path], address: str, cpus: float, gpus: float, retries: int, trust: bool = False
) -> Generator[RunResult | None, None, None]:
    """
    Train runs on an existing Ray cluster. Every node must have sb3-fpac installed and see the same folders. A run whose node
    is lost continues on another one, from its checkpoint. Closing the iterator cancels the runs that have not ended.

    :param folders: Folders of the runs, with their configurations
    :param address: Address of the cluster: ``"auto"``, ``"192.168.0.1:6379"`` or ``"ray://…"``
    :param cpus: Processors of each run; also its number of PyTorch threads
    :param gpus: GPUs of each run; with 0.5, two runs share one
    :param retries: How often a run is restarted when its node is lost
    :param trust: Whether the checkpoints from which they continue may run code
    :return: One entry for each run that has ended; None in between
    :raises ValueError: if there is no cluster at the address
    """
    try:
        ray.init(address=address)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ValueError(f"There is no Ray cluster at {address!r}: {' '.join(str(error).split())}") from error
    try:
        task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=retries)(_train)
        pending = {task.remote(str(folder.resolve()), threads_for(cpus), trust): folder for folder in folders}
        try:
            while pending:
                ready, _ = ray.wait(list(pending), timeout=1)
                for reference in ready:
                    yield _result_of(pending.pop(reference), reference)
                yield None
        finally:
            for reference in pending:
                ray.cancel(reference, force=True)
    finally:
        ray.shutdown()


def _train(folder: str, threads: int, trust: bool) -> int:
    """Runs on a node, where Ray sets the visible GPUs"""
    process = start(Path(folder), threads, trust=trust)
    try:
        return process.wait()
    finally:
        stop(process)


def _result_of(folder: Path, reference: "ray.ObjectRef") -> RunResult:
    try:
        return run_result(folder, ray.get(reference))
    except ray.exceptions.RayError as error:
        return RunResult(folder, f"Its node was lost: {' '.join(str(error).split())}")
