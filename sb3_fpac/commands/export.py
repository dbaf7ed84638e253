"""The command ``export``: a trained agent as a file that runs without Stable-Baselines3, or can be shared."""

import argparse

from sb3_fpac.commands.agents import load_named_agent
from sb3_fpac.commands.output import check_output, say
from sb3_fpac.export import export_onnx, export_torchscript
from sb3_fpac.weights import save_weights

_FORMATS = {".onnx": export_onnx, ".pt": export_torchscript, ".safetensors": save_weights}


def run(args: argparse.Namespace) -> None:
    """
    Load the agent, write the file, compare its actions with the agent's unless it contains weights alone, and print its path.

    :param args: The parsed options of :func:`sb3_fpac.cli.export.add_arguments`
    :raises ValueError: if the file exists, there is no such agent, or it cannot be exported
    """
    output = check_output(args)
    model, env, path = load_named_agent(args, device="cpu")
    try:
        _FORMATS[output.suffix](model, output)
    finally:
        env.close()
    what = "weights of" if output.suffix == ".safetensors" else "acts as"  # save_weights runs no file
    sentence = f"{output}: {output.stat().st_size / 1e6:.1f} MB, {what} {path}"
    say(args, sentence, file=str(output), model=str(path), bytes=output.stat().st_size)
