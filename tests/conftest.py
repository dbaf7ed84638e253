"""Tests marked gpu run where there is a CUDA GPU, and say so where there is none."""

import pytest
import torch as th


def pytest_collection_modifyitems(items):
    if not th.cuda.is_available():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="needs a CUDA GPU"))
