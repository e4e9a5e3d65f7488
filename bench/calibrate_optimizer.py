"""Which optimizer and rate split learning and IoTSL should have: trains both with each, prints a table.

usage: calibrate_optimizer.py [--program build/release/iotsl] [--dataset fashion-mnist] [--width 16]
                              [--epochs 10] [--generators DIR] [--out DIR] [--only NAME]...

Two cases with the same settings: `sl`, five devices with equal shares of all classes, and `iotsl`, two of
the ten classes on each device, imputation, no pre-training (the paper's Fig. 12). A figure is the mean
test accuracy over the last round, in which every device has its turn once, so that a swing from device
to device counts against a setting; the best epoch stands beside it. The generators are trained once, by
the first run, unless --generators has them. Runs that --out holds are taken up or taken as they are.
"""

import argparse
import json
import pathlib
import subprocess
import sys

DEVICES = 5
RATES = {"adam": ["5e-4", "1e-3", "2e-3"], "sgd": ["0.02", "0.05"]}
SETTINGS = {
    f"{kind} {rate} {schedule}": ["--optimizer", kind, "--lr", rate, "--lr-schedule", schedule]
    + (["--momentum", "0.9"] if kind == "sgd" else [])
    for kind, rates in RATES.items() for rate in rates for schedule in ("constant", "cosine")
}
CASES = {
    "sl": ["--method", "sl", "--partition", "iid"],
    "iotsl": ["--method", "iotsl", "--partition", "classes:2", "--pretrain", "off"],
}


def epochs_of(folder, program, options):
    """Test accuracies (%) after each device epoch of a run, which is carried out where it has not ended."""
    summary = folder / "summary.json"
    if not summary.exists():
        resume = ["--resume", str(folder)] if (folder / "config.json").exists() else options + ["--out", str(folder)]
        done = subprocess.run([program, "simulate", "--quiet", "--json", *resume], capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{folder}: {done.stderr}")
    return [100 * epoch["test_accuracy"] for epoch in json.loads(summary.read_text())["epochs"]]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--program", default="build/release/iotsl")
    parser.add_argument("--dataset", default="fashion-mnist")
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--limit-test", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--generators", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/calibration"))
    parser.add_argument("--only", action="append", choices=list(SETTINGS), metavar="NAME",
                        help="one of: " + ", ".join(SETTINGS))
    o = parser.parse_args()
    common = ["--dataset", o.dataset, "--width", str(o.width), "--epochs", str(o.epochs), "--devices", str(DEVICES),
              "--limit-test", str(o.limit_test), "--threads", str(o.threads), "--transport", "none"]
    print(f"{o.dataset}, width {o.width}, {o.epochs} device epochs, {o.limit_test} test images\n\n"
          f"| {'':22} | {'sl, last round':>14} | {'best':>6} | {'iotsl, last round':>17} | {'best':>6} |\n"
          f"| {'---':22} | {'---:':>14} | {'---:':>6} | {'---:':>17} | {'---:':>6} |")
    generators = o.generators
    for name in o.only or SETTINGS:
        row = []
        for case, options in CASES.items():
            folder = o.out / o.dataset / case / name.replace(" ", "-")
            if case == "iotsl" and generators is not None:
                options = options + ["--generators", str(generators)]
            accuracies = epochs_of(folder, o.program, common + SETTINGS[name] + options)
            if case == "iotsl" and generators is None:
                generators = folder / "generators"
            row += [sum(accuracies[-DEVICES:]) / DEVICES, max(accuracies)]
        print("| {:22} | {:14.2f} | {:6.2f} | {:17.2f} | {:6.2f} |".format(name, *row), flush=True)


if __name__ == "__main__":
    main()
