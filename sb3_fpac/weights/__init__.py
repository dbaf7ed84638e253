"""Agents as files without code."""

from sb3_fpac.weights.agents import load_weights, read_weights, save_weights

__all__ = ["load_weights", "read_weights", "save_weights"]
