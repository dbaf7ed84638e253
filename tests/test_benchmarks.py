"""The benchmark for GPUs runs without one, so that it runs where there is one."""

import json
from pathlib import Path

import pytest
from helpers.processes import run_python

BENCHMARK = Path(__file__).parents[1] / "benchmarks" / "gpu.py"


@pytest.mark.slow
def test_the_benchmark_of_a_training_loop_can_be_imported_where_there_is_no_resource_module():  # as on Windows
    find = f"sys.path.insert(0, {str(BENCHMARK.parent)!r})"
    use = "del sys.modules['resource']; print(training.peak_memory())"  # here, it is needed for the number
    done = run_python("-c", f"import sys, psutil; {find}; sys.modules['resource'] = None; import training; {use}")
    assert 50e6 < float(done.stdout) < 50e9  # bytes of a process with PyTorch


@pytest.mark.slow
def test_every_part_of_the_benchmark_for_gpus_gives_a_result(tmp_path):
    run_python(str(BENCHMARK), "--device", "cpu", "--quick", "--out", str(tmp_path), OMP_NUM_THREADS="1")
    results = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))
    assert results["tests"]["failed"] == []
    assert all(milliseconds > 0 for milliseconds in results["updates"].values()) and results["updates"]
    assert all(speed > 0 for speed in results["loops"].values()) and results["loops"]
    assert "cartpole-swingup,fast,1,800" in results["curves"]
    table = (tmp_path / "gpu.md").read_text(encoding="utf-8")
    assert "| one gradient step | ms |" in table and "Machine: " in table
