"""Where does a training step's time go? groundup's step of `benchmark train`, compiled, under torch's profiler.

    OMP_NUM_THREADS=1 python benchmarks/profile_step.py a b

Shares are of the wall clock of the steps profiled; "between" is what no operator accounts for: Python, dispatch, and
waiting for threads. Profiling itself makes small operators look larger, so compare kinds, not milliseconds.
"""

import argparse
import json
import time
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path

KINDS = (
    ("matrix products", ("mkldnn", "addmm", "::mm", "linear", "packed")),
    ("attention's products", ("bmm", "scaled_dot", "flash")),
    ("fused elementwise kernels", ("cpp_fused",)),
    ("optimizer", ("adam", "foreach", "linalg_vector_norm")),
    ("copies and casts", ("copy", "_to_copy", "clone", "fill_", "zero_", "contiguous")),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shapes", nargs="*", default=["a", "b"], help="of `groundup benchmark train` (default: a b)")
    parser.add_argument("--contestant", default="groundup", help="or groundup-muon")
    parser.add_argument("--out", type=Path, help="a file for the shares, as JSON")
    given = parser.parse_args()
    found = {name: profile(name, given.contestant) for name in given.shapes}
    for name, shares in found.items():
        print(f"shape {name}, {given.contestant}")
        for kind, share in sorted(shares.items(), key=lambda item: -item[1]):
            print(f"  {kind:<28} {share:6.1%}")
    if given.out:
        given.out.write_text(json.dumps({"contestant": given.contestant, "shares": found}, indent=1), encoding="utf-8")


def profile(name: str, contestant: str) -> dict[str, float]:
    """Share of the wall clock of each kind of operator."""
    import groundup  # noqa: F401 (before torch: it says how long torch's threads spin)

    import torch  # isort: skip
    from torch._inductor import config as inductor

    from groundup.benchmarking.shapes import SHAPES
    from groundup.benchmarking.training_ours import make

    inductor.cpp.enable_kernel_profile = True  # the fused kernels get names
    shape = SHAPES[name]
    _, work = make({"name": contestant, "shape": asdict(shape) | {"ffn_width": shape.ffn_width}, "seed": 0})
    work(1.0)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as seen:
        began = time.perf_counter()
        work(2.0)
        wall = time.perf_counter() - began
    spent: dict[str, float] = defaultdict(float)
    for event in seen.key_averages():
        kind = next((kind for kind, parts in KINDS if any(part in event.key for part in parts)), "other operators")
        spent[kind] += event.self_cpu_time_total / 1e6 / wall
    spent["between"] = 1 - sum(spent.values())
    return dict(spent)


if __name__ == "__main__":
    main()
