"""Trained agents as files that run without Stable-Baselines3."""

from sb3_fpac.export.agent import ExportedAgent
from sb3_fpac.export.onnx import export_onnx
from sb3_fpac.export.torchscript import export_torchscript

__all__ = ["ExportedAgent", "export_onnx", "export_torchscript"]
