"""Ours against PyTorch on this machine: runs the two in turn and prints the table of ratios.

usage: compare_pytorch.py [--build build/release] [--threads 2] [--rounds 3] [--only JOB]...

JOB: train, device, predict, predict1 (one image), critic, generator, conv; without --only all of them.

Every round runs ours, then PyTorch in each memory layout, each in a process of its own. A figure is
the median over the rounds of the medians within them; the ratio is the median over the rounds of
PyTorch's better layout to ours (above 1: ours is faster). PyTorch gets the C library's allocator tuned
(MALLOC_*), so that it neither maps nor trims memory between steps. Machines are shared, so only the ratio means something.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

from pytorch_gan import gan_step

BATCH = 64
# The distinct 3x3 convolutions of vgg16bn-compact by their row in tests/cases/conv_cases.hpp: input
# channels, output channels, extent.
CONVOLUTIONS = {"vgg1": (1, 64, 28), "vgg2": (64, 64, 28), "vgg3": (64, 128, 14),
                "vgg4": (128, 128, 14), "vgg5": (128, 256, 7), "vgg6": (256, 256, 7),
                "vgg8": (256, 512, 3), "vgg9": (512, 512, 3), "vgg11": (512, 512, 1)}
# Job: (our program, our benchmark's name).
STEPS = {
    "train": ("train_step_bench", f"train_step/vgg16bn-compact/sgd/batch:{BATCH}/real_time"),
    "device": ("train_step_bench", f"device_step/vgg16bn-compact/batch:{BATCH}/real_time"),
    "predict": ("train_step_bench", f"predict/vgg16bn-compact/batch:{BATCH}/real_time"),
    "predict1": ("train_step_bench", "predict/vgg16bn-compact/batch:1/real_time"),
    "critic": ("gan_bench", "gan/critic/width:64/batch:32/real_time"),
    "generator": ("gan_bench", "gan/generator/width:64/batch:32/real_time"),
}
# A row of the table is named after the benchmark; what came later has a prefix of its own.
PREFIXES = {"predict1": "predict1: "}
DIRECTIONS = ("forward", "grad_x", "grad_weight")


# PyTorch's side, in a process of its own: `compare_pytorch.py --worker JOB LAYOUT THREADS`.


def seconds_of(run, least_seconds=2.0, least_runs=5):
    for _ in range(2):
        run()
    times, begin = [], time.perf_counter()
    while len(times) < least_runs or time.perf_counter() - begin < least_seconds:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def torch_job(job, layout, threads):
    """Seconds by benchmark name for one job and layout."""
    import torch
    from torch import nn
    from torch.nn import functional

    torch.set_num_threads(threads)
    torch.manual_seed(1)
    memory = torch.channels_last if layout == "nhwc" else torch.contiguous_format

    def features(plan):
        layers, channels = [], 1
        for width in plan:
            if width == 0:
                layers.append(nn.MaxPool2d(2))
                continue
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width),
                       nn.ReLU(inplace=True)]
            channels = width
        return layers

    if job.startswith("conv"):
        return torch_convolutions(torch, memory)
    if job in ("critic", "generator"):
        return {STEPS[job][1]: seconds_of(gan_step(torch, memory, job, 64, 32))}

    x = torch.rand(1 if job == "predict1" else BATCH, 1, 28, 28).to(memory_format=memory)
    if job == "device":
        front = nn.Sequential(*features([64, 64, 0])).to(memory_format=memory)
        gradient = torch.randn(BATCH, 64, 14, 14).to(memory_format=memory)

        def run():
            front.zero_grad(set_to_none=True)
            front(x).backward(gradient)
    else:
        plan = [64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512]
        net = nn.Sequential(*features(plan), nn.Flatten(), nn.Linear(512, 10))
        net = net.to(memory_format=memory)
        labels = torch.arange(BATCH) % 10
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, foreach=True)
        if job.startswith("predict"):
            net.eval()

        def run():
            if job.startswith("predict"):
                with torch.no_grad():
                    net(x)
                return
            optimizer.zero_grad(set_to_none=True)
            functional.cross_entropy(net(x), labels).backward()
            optimizer.step()
    return {STEPS[job][1]: seconds_of(run)}


def torch_convolutions(torch, memory):
    out = {}
    for row, (channels, kernels, extent) in CONVOLUTIONS.items():
        x = torch.rand(BATCH, channels, extent, extent).to(memory_format=memory).requires_grad_()
        weight = torch.randn(kernels, channels, 3, 3).to(memory_format=memory).requires_grad_()
        y = torch.nn.functional.conv2d(x, weight, padding=1)
        gradient = torch.randn_like(y)
        runs = {
            "forward": lambda x=x, w=weight: torch.nn.functional.conv2d(x, w, padding=1),
            "grad_x": lambda x=x, y=y, g=gradient: torch.autograd.grad(y, x, g, retain_graph=True),
            "grad_weight":
                lambda w=weight, y=y, g=gradient: torch.autograd.grad(y, w, g, retain_graph=True),
        }
        for direction, run in runs.items():
            with torch.set_grad_enabled(direction != "forward"):
                out[conv_name(row, direction)] = seconds_of(run, 0.2)
    return out


# Our side and the table.


def conv_name(row, direction):
    return f"conv2d/{row}/{direction}/n{BATCH}/real_time"


def run_ours(build, job, environment):
    program, name = STEPS.get(job, ("op_bench", None))
    path = pathlib.Path(build) / "bench" / program
    names = [name] if name else [conv_name(row, d) for row in CONVOLUTIONS for d in DIRECTIONS]
    pattern = "^(" + "|".join(names) + ")$"
    command = [str(path), f"--benchmark_filter={pattern}", "--benchmark_format=json",
               f"--benchmark_min_time={2.0 if name else 0.2}"]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    unit = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}
    found = {b["name"]: b["real_time"] * unit[b["time_unit"]]
             for b in json.loads(run.stdout)["benchmarks"]}
    missing = [n for n in names if n not in found]
    if missing:
        sys.exit(f"{path} has no benchmark {missing[0]}")
    return found


def run_torch(options, job, layout, environment):
    command = [options.python, __file__, "--worker", job, layout, str(options.threads)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        sys.exit(f"{options.python} with PyTorch (package python3-torch): {run.stderr}")
    return json.loads(run.stdout)


def compare(options):
    environment = dict(os.environ, OMP_NUM_THREADS=str(options.threads), OPENBLAS_NUM_THREADS="1")
    # PyTorch's best case: its allocator neither maps nor trims between steps.
    torch_environment = dict(environment, MALLOC_MMAP_THRESHOLD_="4294967296",
                             MALLOC_TRIM_THRESHOLD_="8589934592", MALLOC_TOP_PAD_="268435456")
    print("| benchmark | ours ms | PyTorch nchw ms | nhwc ms | ratio | lowest, highest |")
    print("| --- | ---: | ---: | ---: | ---: | --- |")
    for job in options.only or [*STEPS, "conv"]:
        rounds = []
        for _ in range(options.rounds):
            rounds.append((run_ours(options.build, job, environment),
                           run_torch(options, job, "nchw", torch_environment),
                           run_torch(options, job, "nhwc", torch_environment)))
        for name in rounds[0][0]:
            ours, nchw, nhwc = (statistics.median(r[i][name] for r in rounds) for i in range(3))
            ratios = [min(r[1][name], r[2][name]) / r[0][name] for r in rounds]
            print(f"| {PREFIXES.get(job, '')}{name.removesuffix('/real_time')} "
                  f"| {1e3 * ours:.2f} | {1e3 * nchw:.2f} | {1e3 * nhwc:.2f} "
                  f"| {statistics.median(ratios):.2f} | {min(ratios):.2f}, {max(ratios):.2f} |", flush=True)


def main():
    if sys.argv[1:2] == ["--worker"]:
        print(json.dumps(torch_job(sys.argv[2], sys.argv[3], int(sys.argv[4]))))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--python", default="/usr/bin/python3", help="the one that has PyTorch")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", action="append", choices=[*STEPS, "conv"])
    compare(parser.parse_args())


if __name__ == "__main__":
    main()
