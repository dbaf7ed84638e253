"""
Where the time of one update of FPAC goes, and how far it is from what its convolutions alone would take.

The convolutions' operations are counted, and divided by the rate at which this machine multiplies two large matrices in the
same precision, taking turns with the updates: no encoder of this shape could be faster.

Usage: python benchmarks/stages.py [--device cuda] [--updates 20]
"""

import argparse
from collections import Counter
from collections.abc import Callable
from functools import partial

import torch as th
from agents import with_full_buffer
from timing import describe_machine, interleaved_medians
from torch.autograd import DeviceType
from torch.profiler import profile, schedule
from torch.utils.flop_counter import FlopCounterMode

from sb3_fpac.features.encoder import has_native_bfloat16

AGENT = "FPAC, auto, not compiled"
_N_PRODUCTS = 10
STAGES = {  # of PyTorch's operators, by how their names begin
    "convolutions, forward": ("aten::mkldnn_convolution", "aten::cudnn_convolution"),
    "convolutions, backward": ("aten::convolution_backward", "aten::cudnn_convolution_backward"),
    "SiLU": ("aten::silu",),
    "matrix products (heads, pooling)": ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm"),
    "Adam, target": ("aten::_fused_adam", "aten::_foreach_lerp", "aten::lerp"),
    "copies and casts": ("aten::copy_",),
}


def matrix_products(device: th.device) -> tuple[Callable[[], None], float]:
    """A few products of 2048×2048 matrices (8192×8192 on a GPU), and how many floating-point operations they are"""
    size = 8192 if device.type == "cuda" else 2048
    dtype = th.bfloat16 if has_native_bfloat16(device) else th.float32
    a, b = (th.randn(size, size, device=device).to(dtype) for _ in range(2))

    def multiply() -> None:
        for _ in range(_N_PRODUCTS):
            a @ b

    return multiply, _N_PRODUCTS * 2 * size**3


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cpu", type=th.device)
    parser.add_argument("--updates", default=20, type=int)
    args = parser.parse_args()
    model = with_full_buffer(AGENT, args.device)
    model.train(4, 128)

    with FlopCounterMode(display=False) as counter:
        model.train(2, 128)
    operations = counter.get_flop_counts()["Global"]
    convolution_operations = sum(count for operator, count in operations.items() if "convolution" in str(operator)) / 2

    products, product_operations = matrix_products(args.device)
    two_updates = partial(model.train, gradient_steps=2, batch_size=128)
    medians = interleaved_medians({"updates": two_updates, "products": products}, args.updates // 2, args.device)
    seconds, rate = medians["updates"] / 2, product_operations / medians["products"]

    with profile(schedule=schedule(wait=0, warmup=1, active=1)) as profiler:
        model.train(args.updates, 128)  # until memory has settled
        profiler.step()
        model.train(args.updates, 128)
    shares: Counter[str] = Counter()
    for event in profiler.key_averages():
        if event.device_type != DeviceType.CPU:
            continue  # a kernel, which its operator counts, too
        own = event.self_device_time_total if args.device.type == "cuda" else event.self_cpu_time_total
        shares[next((stage for stage, names in STAGES.items() if event.key.startswith(names)), "everything else")] += own

    print(describe_machine(args.device))
    print(f"\n| stage of “{AGENT}” | share of an update |\n| --- | ---: |")
    for stage, own in shares.most_common():
        print(f"| {stage} | {own / shares.total():.0%} |")
    limit = convolution_operations / rate
    print(
        f"\n{convolution_operations / 1e9:.1f} GFLOP of convolutions would take {1000 * limit:.0f} ms "
        f"at {rate / 1e9:.0f} GFLOP/s; "
        f"an update takes {1000 * seconds:.0f} ms, {seconds / limit:.2f} times as long."
    )


if __name__ == "__main__":
    main()
