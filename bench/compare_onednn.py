"""Ours against oneDNN on this machine: the convolutions of vgg16bn-compact one by one, in turn.

usage: compare_onednn.py [--build build/release] [--threads 2] [--clock wall] [--rounds 3] [--only ROW]...

ROW: vgg1 ... vgg11 as in tests/cases/conv_cases.hpp; without --only all of them.

For each convolution and direction every round runs ours (op_bench), then each algorithm of oneDNN, each
side in a process of its own. A figure is the median over the rounds of medians of eleven samples; oneDNN's is
that of its best algorithm, in the layout that it likes best, while ours begins and ends with NCHW. The ratio is the median over
the rounds of oneDNN's time divided by ours (above 1: ours is faster). --clock cpu takes processor time, which other
programs on the machine disturb less; with one thread only.

oneDNN is no part of the project: onednn_convolution.cpp is compiled here, if the library is installed.
"""

import argparse
import json
import os
import pathlib
import shlex
import statistics
import subprocess
import sys

from compare_pytorch import BATCH, CONVOLUTIONS, DIRECTIONS, conv_name


def build_rival(build):
    """The program for oneDNN's side; ends with what is missing where it cannot be built."""
    source = pathlib.Path(__file__).with_name("onednn_convolution.cpp")
    program = pathlib.Path(build) / "onednn_convolution"
    if program.exists() and program.stat().st_mtime > source.stat().st_mtime:
        return program
    compiler = shlex.split(os.environ.get("CXX", "g++"))
    header = subprocess.run([*compiler, "-E", "-include", "dnnl.hpp", "-xc++", "/dev/null"], capture_output=True, check=False)
    if header.returncode != 0:
        sys.exit("oneDNN is not installed: dnnl.hpp is not found (Debian: package libdnnl-dev)")
    program.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run([*compiler, "-std=c++17", "-O2", str(source), "-o", str(program), "-ldnnl"], check=True)
    return program


def run_ours(build, row, direction, clock, environment):
    """Seconds."""
    program = pathlib.Path(build) / "bench" / "op_bench"
    command = [str(program), f"--benchmark_filter=^{conv_name(row, direction)}$", "--benchmark_format=json",
               "--benchmark_min_time=0.02", "--benchmark_repetitions=11", "--benchmark_report_aggregates_only=true"]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    unit = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}
    found = [b for b in json.loads(run.stdout)["benchmarks"] if b["aggregate_name"] == "median"]
    if not found:
        sys.exit(f"{program} has no benchmark {conv_name(row, direction)}")
    return found[0]["cpu_time" if clock == "cpu" else "real_time"] * unit[found[0]["time_unit"]]


def run_onednn(program, row, direction, clock, environment):
    """oneDNN's version, and by algorithm seconds and implementation."""
    channels, kernels, extent = CONVOLUTIONS[row]
    command = [str(program), *map(str, (BATCH, channels, kernels, extent)), direction, clock]
    out = json.loads(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    if not out["algorithms"]:
        sys.exit(f"oneDNN {out['version']} has no algorithm for {row} {direction}")
    return out["version"], out["algorithms"]


def compare(options):
    program = build_rival(options.build)
    environment = dict(os.environ, OMP_NUM_THREADS=str(options.threads))
    total_ours = total_theirs = 0.0
    version = ""
    print("| convolution | ours GFLOP/s | oneDNN GFLOP/s | algorithm, implementation | ratio | lowest, highest |")
    print("| --- | ---: | ---: | --- | ---: | --- |")
    for row in options.only or CONVOLUTIONS:
        channels, kernels, extent = CONVOLUTIONS[row]
        flops = 2.0 * BATCH * channels * kernels * 9 * extent**2
        for direction in DIRECTIONS:
            ours, theirs, implementations = [], {}, {}
            for _ in range(options.rounds):
                ours.append(run_ours(options.build, row, direction, options.clock, environment))
                version, algorithms = run_onednn(program, row, direction, options.clock, environment)
                for name, found in algorithms.items():
                    theirs.setdefault(name, []).append(found["seconds"])
                    implementations[name] = found["implementation"]
            best = min(theirs, key=lambda name: statistics.median(theirs[name]))
            ratios = [t / o for t, o in zip(theirs[best], ours)]
            mine, other = statistics.median(ours), statistics.median(theirs[best])
            total_ours, total_theirs = total_ours + mine, total_theirs + other
            print(f"| {channels} to {kernels} at {extent}x{extent}, {direction} | {1e-9 * flops / mine:.0f} "
                  f"| {1e-9 * flops / other:.0f} | {best}, {implementations[best]} "
                  f"| {statistics.median(ratios):.2f} | {min(ratios):.2f}, {max(ratios):.2f} |", flush=True)
    print(f"| sum, ms: ours {1e3 * total_ours:.1f}, oneDNN {1e3 * total_theirs:.1f} | | | "
          f"| {total_theirs / total_ours:.2f} | |")
    print(f"oneDNN {version}, batch {BATCH}, {options.threads} threads, {options.clock} clock, "
          f"{options.rounds} rounds")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", action="append", choices=list(CONVOLUTIONS))
    options = parser.parse_args()
    if options.clock == "cpu" and options.threads != 1:
        parser.error("--clock cpu counts all threads of oneDNN and one of ours; give --threads 1")
    compare(options)


if __name__ == "__main__":
    main()
