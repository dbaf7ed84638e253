"""Tests marked gpu run where there is a CUDA GPU, and say so where there is none; slow tests come first."""

import pytest
import torch as th


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)  # so that no process waits for one of them at the end
    if not th.cuda.is_available():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="needs a CUDA GPU"))
