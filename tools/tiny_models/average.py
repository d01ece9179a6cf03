"""Averages the weights of several ends of one run, which is more even than each of them.

    python average.py --out WORK END_WORK END_WORK ...     reads END_WORK/target.pt, writes WORK/target.pt for export.py"""

import argparse
from pathlib import Path

import torch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("ends", type=Path, nargs="+")
    arguments = parser.parse_args()
    states = [torch.load(end / "target.pt", map_location="cpu", weights_only=True) for end in arguments.ends]
    mean = {
        name: (sum(state["model"][name].float() for state in states) / len(states)).to(weight.dtype)
        for name, weight in states[0]["model"].items()
    }
    torch.save({"model": mean, "step": max(state["step"] for state in states)}, arguments.out / "target.pt")


if __name__ == "__main__":
    main()
