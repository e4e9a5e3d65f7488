#!/usr/bin/env python3
"""Instructions per multiply-add of the convolutions, counted by qemu: exact, on any busy machine.

usage: bench/count_instructions.py [--only TEXT] [--emulator 'qemu-aarch64 -L /usr/aarch64-linux-gnu'] PROGRAM

PROGRAM is convolution_runs of a cross build. One run of a convolution less none, divided by its
multiply-adds (padding counted, but only the taps that meet the map). Winograd is switched off for
the columns "direct"; the column of Winograd is empty where it never applies.
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


def multiply_adds(layer):
    """Of the operation; where the padding is as large as the map, only the taps that meet it."""
    n, c, size, k, kernel, stride, pad = layer
    out = (size + 2 * pad - kernel) // stride + 1
    taps = sum(1 for t in range(kernel) if any(0 <= o * stride + t - pad < size for o in range(out)))
    return n * c * k * out * out * taps * taps


def executed(emulator, program, runs, operation, layer, winograd):
    command = [*emulator, program, str(runs), operation, *map(str, layer)]
    done = subprocess.run(command, env={**os.environ, "IOTSL_WINOGRAD": winograd},
                          stderr=subprocess.PIPE, text=True, check=True)
    return int(re.search(r"instructions (\d+)", done.stderr).group(1))


def per_multiply_add(emulator, program, operation, layer, winograd):
    none, one = (executed(emulator, program, runs, operation, layer, winograd) for runs in (0, 1))
    return (one - none) / multiply_adds(layer)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--emulator", default="qemu-aarch64 -L /usr/aarch64-linux-gnu")
    parser.add_argument("--only", default="", help="layers whose name contains this text")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        plugin = os.path.join(folder, "instruction_count.so")
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "instruction_count.c")
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", source, "-o", plugin], check=True)
        emulator = [*args.emulator.split(), "-plugin", plugin, "-d", "plugin"]
        print("| convolution | direct: forward, input, weight gradient | with Winograd |")
        print("| --- | --- | --- |")
        for name, layer in LAYERS.items():
            if args.only not in name:
                continue
            _, channels, size, _, kernel, stride, _ = layer
            applies = kernel == 3 and stride == 1 and channels >= 16 and size > 3
            columns = [", ".join(
                f"{per_multiply_add(emulator, args.program, operation, layer, winograd):.3f}"
                for operation in OPERATIONS) for winograd in ("0", "1")[:1 + applies]]
            print(f"| {name} | {columns[0]} | {columns[1] if applies else ''} |", flush=True)


if __name__ == "__main__":
    main()
