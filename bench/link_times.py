"""How long a device epoch takes over links of many rates and round trips, and what `iotsl plan` had said before.

usage: link_times.py [--program build/release/iotsl] [--data DIR] [--links 10mbit,0ms 10mbit,20ms ...]
                     [--wires fp32,int8] [--limit-train 3200] [--width 16] [--epochs 4] [--out FILE.json]

Split learning on MNIST, five devices with equal shares, over TCP on this machine with `--link` (the rate each way, half
of the round trip each way). Measured are the seconds of a device epoch by the clock, median over the epochs of the
run; the plan is asked just before. Of a step's work the server does its own update behind its answer, while the device
makes the next batch: "update" is what those updates of an epoch took, which an order without overlap would add at
most. Nothing else should run meanwhile: the plan times this machine's steps.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

LINKS = [f"{rate},{trip}" for rate in ("10mbit", "100mbit", "1gbit") for trip in ("0ms", "20ms", "100ms")]


def run(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit code {done.returncode}: {done.stderr}")
    return done.stdout


def measure(program, options, link, wire):
    """A row: the plan's seconds of a device epoch, the measured ones, and parts of those."""
    link_options = [] if link == "none" else ["--link", link]
    options = options + ["--wire", wire, *link_options]
    plan = json.loads(run([program, "plan", "--json", *options]).splitlines()[-1])
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "run"
        run([program, "simulate", "--quiet", "--transport", "tcp", "--eval-every", "0", "--out", str(out), *options])
        lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    epochs = [each["seconds_device"] + each["seconds_server"] + each["seconds_network"] for each in lines]
    return {"link": link, "wire": wire, "planned": plan["epoch_seconds"], "measured": statistics.median(epochs),
            "lowest": min(epochs), "highest": max(epochs),
            "update": statistics.median(each["seconds_update"] for each in lines),
            "megabytes": statistics.median(each["bytes_up"] + each["bytes_down"] for each in lines) / 1e6}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--program", default="build/release/iotsl")
    parser.add_argument("--data", help="folder with the files; default: $IOTSL_DATA, else ./data")
    parser.add_argument("--links", nargs="+", default=LINKS, help="RATE,ROUND-TRIP each, or none")
    parser.add_argument("--wires", default="fp32,int8")
    parser.add_argument("--limit-train", type=int, default=3200, help="images over all devices")
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=4, help="device epochs of each run")
    parser.add_argument("--out", help="the rows as JSON")
    given = parser.parse_args()
    options = ["--dataset", "mnist", "--method", "sl", "--limit-train", str(given.limit_train), "--limit-test", "500",
               "--width", str(given.width), "--epochs", str(given.epochs)]
    if given.data:
        options += ["--data", given.data]
    rows = []
    print("| link | `--wire` | MB an epoch | s an epoch (lowest, highest) | planned | planned / measured | update, s |")
    print("| --- | --- | ---: | --- | ---: | ---: | ---: |", flush=True)
    for wire in given.wires.split(","):
        for link in given.links:
            row = measure(given.program, options, link, wire)
            rows.append(row)
            print(f"| {link} | {wire} | {row['megabytes']:.1f} | {row['measured']:.2f} ({row['lowest']:.2f}, "
                  f"{row['highest']:.2f}) | {row['planned']:.2f} | {row['planned'] / row['measured']:.2f} "
                  f"| {row['update']:.2f} |", flush=True)
    if given.out:
        pathlib.Path(given.out).write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
