"""With which rate of plain SGD split learning is about as late as in the paper: trains SL alone with a grid of them.

usage: calibrate_sl_rate.py [--program build/release/iotsl] [--dataset mnist] [--rates 0.001,0.002] [--epochs 130]
                            [--limit-train 6000] [--width 16] [--threshold PERCENT] [--out DIR]

Nothing but SL is run, on equal shares of all classes over five devices, with SGD without momentum at a constant rate.
A row is the first device epoch at which the accuracy on the validation part, which no device has, exceeds the
threshold; the run ends there. The row nearest to the paper's 97 (MNIST) or 77 (Fashion-MNIST) device epochs is named,
and belongs into examples/host/experiment/calibration.cpp. The test set takes no part. Runs that --out holds and that
have crossed the threshold are taken as they are.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import time

PAPER = {"mnist": 97, "fashion-mnist": 77}
THRESHOLD = {"mnist": 90, "fashion-mnist": 75}


def crossing(folder, threshold):
    """The first device epoch above the threshold, of the whole lines that are there; how many there are."""
    path = folder / "metrics.jsonl"
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    for epoch in map(json.loads, lines):
        if 100 * epoch["validation_accuracy"] > threshold:
            return epoch["epoch"], len(lines)
    return None, len(lines)


def run_until(folder, program, options, threshold):
    """Trains until the threshold is crossed, or to the end."""
    found, _ = crossing(folder, threshold)
    if found is not None or (folder / "summary.json").exists():
        return found
    start = ["--resume", str(folder)] if (folder / "config.json").exists() else options + ["--out", str(folder)]
    with subprocess.Popen([program, "simulate", "--quiet", *start], stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True) as child:
        while child.poll() is None and found is None:
            time.sleep(1)
            found, _ = crossing(folder, threshold)
        if child.poll() is None:
            child.terminate()
        error = child.communicate()[1]
    found, epochs = crossing(folder, threshold)
    if found is None and child.returncode != 0:
        sys.exit(f"{folder}: after {epochs} device epochs: {error}")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--program", default="build/release/iotsl")
    parser.add_argument("--dataset", default="mnist", choices=list(PAPER))
    parser.add_argument("--rates", default="0.0005,0.001,0.002")
    parser.add_argument("--epochs", type=int, default=130)
    parser.add_argument("--limit-train", type=int, default=6000, help="over all devices, the validation part included")
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--threshold", type=float, help="validation accuracy, %%; default: 90, Fashion-MNIST 75")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/calibration-sl"))
    o = parser.parse_args()
    threshold = o.threshold or THRESHOLD[o.dataset]
    print(f"{o.dataset}, {o.limit_train} images, width {o.width}, SL until {threshold:g} % of the validation part\n")
    print("| rate | device epochs |\n| ---: | ---: |")
    best = None
    for rate in o.rates.split(","):
        folder = o.out / o.dataset / rate
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Few test images: the run wants some, and nothing looks at them.
        options = ["--method", "sl", "--partition", "iid", "--devices", "5", "--dataset", o.dataset,
                   "--limit-train", str(o.limit_train), "--limit-test", "100", "--validation", "0.1",
                   "--width", str(o.width), "--epochs", str(o.epochs), "--transport", "none",
                   "--threads", str(o.threads), "--optimizer", "sgd", "--lr", rate, "--lr-schedule", "constant"]
        found = run_until(folder, o.program, options, threshold)
        print(f"| {rate} | {found or f'not in {o.epochs}'} |", flush=True)
        if found and (best is None or abs(found - PAPER[o.dataset]) < abs(best[1] - PAPER[o.dataset])):
            best = (rate, found)
    if best:
        print(f"\nnearest to the paper's {PAPER[o.dataset]}: {best[0]}, after {best[1]}")


if __name__ == "__main__":
    main()
