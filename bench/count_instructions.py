#!/usr/bin/env python3
"""Instructions of a board's processor, counted by qemu: exact, on any busy machine.

usage: bench/count_instructions.py [--emulator 'qemu-aarch64 -L /usr/aarch64-linux-gnu'] [--only TEXT] PROGRAM
       bench/count_instructions.py [--emulator ...] [--only TEXT] --generators PROGRAM

PROGRAM is convolution_runs of a cross build: instructions per multiply-add of each convolution. One
run less none, divided by its multiply-adds (padding counted, but only the taps that meet the map).
Winograd is switched off for the columns "direct"; the column of Winograd is empty where it never
applies.

With --generators it is generator_runs: instructions of a device's whole training. Moments are run to
the end, less what the images take; nets are two iterations less one, times their number.
"""

import argparse
import os
import re
import subprocess
import tempfile

OPERATIONS = ("forward", "input_grad", "weight_grad")
# n, c, size, k, kernel, stride, pad
LAYERS = {
    "1->64@28 3x3": (8, 1, 28, 64, 3, 1, 1),
    "64->64@28 3x3": (8, 64, 28, 64, 3, 1, 1),
    "128->128@14 3x3": (8, 128, 14, 128, 3, 1, 1),
    "256->256@7 3x3": (12, 256, 7, 256, 3, 1, 1),
    "512->512@1 3x3": (64, 512, 1, 512, 3, 1, 1),
    "1->64@28 5x5/2": (8, 1, 28, 64, 5, 2, 2),
    "64->128@14 5x5/2": (12, 64, 14, 128, 5, 2, 2),
    "128->256@7 5x5/2": (12, 128, 7, 256, 5, 2, 2),
    "1->64@28 8x8/2": (8, 1, 28, 64, 8, 2, 0),
}
GENERATORS = ("moments", "private-moments", "fast", "paper")
DEVICE_IMAGES = 12000


def multiply_adds(layer):
    """Of the operation; where the padding is as large as the map, only the taps that meet it."""
    n, c, size, k, kernel, stride, pad = layer
    out = (size + 2 * pad - kernel) // stride + 1
    taps = sum(1 for t in range(kernel) if any(0 <= o * stride + t - pad < size for o in range(out)))
    return n * c * k * out * out * taps * taps


def run(command, **environment):
    """Its instructions, and what it printed."""
    done = subprocess.run(command, env={**os.environ, **environment}, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, check=True)
    return int(re.search(r"instructions (\d+)", done.stderr).group(1)), done.stdout


def per_multiply_add(command, operation, layer, winograd):
    none, one = (run([*command, str(runs), operation, *map(str, layer)], IOTSL_WINOGRAD=winograd)[0]
                 for runs in (0, 1))
    return (one - none) / multiply_adds(layer)


def print_convolutions(command, only):
    print("| convolution | direct: forward, input, weight gradient | with Winograd |")
    print("| --- | --- | --- |")
    for name, layer in LAYERS.items():
        if only not in name:
            continue
        _, channels, size, _, kernel, stride, _ = layer
        applies = kernel == 3 and stride == 1 and channels >= 16 and size > 3
        columns = [", ".join(f"{per_multiply_add(command, operation, layer, winograd):.3f}"
                             for operation in OPERATIONS) for winograd in ("0", "1")[:1 + applies]]
        print(f"| {name} | {columns[0]} | {columns[1] if applies else ''} |", flush=True)


def print_generators(command, only):
    print(f"| generator | 10^9 instructions for {DEVICE_IMAGES} images |")
    print("| --- | ---: |")
    for kind in GENERATORS:
        if only not in kind:
            continue
        executed = {}
        for iterations in ("0", "all") if "moments" in kind else ("1", "2"):
            executed[iterations], printed = run([*command, kind, str(DEVICE_IMAGES), iterations])
        first, second = executed.values()
        trainings = 1 if "all" in executed else int(re.search(r"of (\d+)", printed).group(1))
        print(f"| {kind} | {(second - first) * trainings * 1e-9:.1f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--generators", action="store_true", help="PROGRAM is generator_runs")
    parser.add_argument("--emulator", default="qemu-aarch64 -L /usr/aarch64-linux-gnu")
    parser.add_argument("--only", default="", help="rows whose name contains this text")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        plugin = os.path.join(folder, "instruction_count.so")
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "instruction_count.c")
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", source, "-o", plugin], check=True)
        command = [*args.emulator.split(), "-plugin", plugin, "-d", "plugin", args.program]
        (print_generators if args.generators else print_convolutions)(command, args.only)


if __name__ == "__main__":
    main()
