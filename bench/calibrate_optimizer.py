"""Which optimizer and rate split learning and IoTSL should have: trains both with each, prints a table.

usage: calibrate_optimizer.py [--program build/release/iotsl] [--dataset fashion-mnist] [--width 16]
                              [--epochs 10] [--limit-train N] [--validation 0.1] [--gan-iterations 500]
                              [--generators DIR] [--out DIR] [--only NAME]...

Two cases with the same settings: `sl`, five devices with equal shares of all classes, and `iotsl`, two of
the ten classes on each device, imputation, no pre-training (the paper's Fig. 12). Everything is judged on a
validation part of the training set, which no device has: a figure is the mean accuracy on it over the last
round, in which every device has its turn once, so that a swing from device to device counts against a
setting; the highest one stands beside it. The test set chooses nothing: its accuracy at the point with that
highest validation accuracy is the last column of a case. The generators are trained once, by the first run,
unless --generators has them. Runs that --out holds are taken up or taken as they are.
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


def summary_of(folder, program, options):
    """The summary of a run, which is carried out where it has not ended."""
    summary = folder / "summary.json"
    if not summary.exists():
        resume = ["--resume", str(folder)] if (folder / "config.json").exists() else options + ["--out", str(folder)]
        done = subprocess.run([program, "simulate", "--quiet", "--json", *resume], capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{folder}: {done.stderr}")
    out = json.loads(summary.read_text())
    if out.get("chosen_validation_accuracy") is None:
        sys.exit(f"{summary}: of a run without a validation part; give another --out")
    return out


def figures(summary):
    """Validation accuracy (%): mean of the last round, and highest; test accuracy where that is."""
    accuracies = [100 * epoch["validation_accuracy"] for epoch in summary["epochs"]]
    return [sum(accuracies[-DEVICES:]) / DEVICES, 100 * summary["chosen_validation_accuracy"],
            100 * summary["chosen_test_accuracy"]]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--program", default="build/release/iotsl")
    parser.add_argument("--dataset", default="fashion-mnist")
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--limit-train", type=int, default=0, help="training images over all devices; 0: all")
    parser.add_argument("--limit-test", type=int, default=2000)
    parser.add_argument("--validation", type=float, default=0.1)
    parser.add_argument("--gan-iterations", type=int, default=500)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--generators", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/calibration"))
    parser.add_argument("--only", action="append", choices=list(SETTINGS), metavar="NAME",
                        help="one of: " + ", ".join(SETTINGS))
    o = parser.parse_args()
    common = ["--dataset", o.dataset, "--width", str(o.width), "--epochs", str(o.epochs), "--devices", str(DEVICES),
              "--limit-train", str(o.limit_train), "--limit-test", str(o.limit_test),
              "--validation", str(o.validation), "--threads", str(o.threads), "--transport", "none"]
    columns = [f"{case}, {what}" for case in CASES for what in ("last round", "highest", "test there")]
    print(f"{o.dataset}, width {o.width}, {o.epochs} device epochs, validation part {o.validation}, "
          f"{o.limit_test} test images\n")
    print("| {:22} | {} |".format("", " | ".join(f"{column:>17}" for column in columns)))
    print("| {} | {} |".format("-" * 22, " | ".join("-" * 16 + ":" for _ in columns)))
    generators = o.generators
    for name in o.only or SETTINGS:
        row = []
        for case, options in CASES.items():
            folder = o.out / o.dataset / case / name.replace(" ", "-")
            if case == "iotsl":
                options = options + ["--gan-iterations", str(o.gan_iterations)]
            if case == "iotsl" and generators is not None:
                options = options + ["--generators", str(generators)]
            row += figures(summary_of(folder, o.program, common + SETTINGS[name] + options))
            if case == "iotsl" and generators is None:
                generators = folder / "generators"
        print("| {:22} | {} |".format(name, " | ".join(f"{value:17.2f}" for value in row)), flush=True)


if __name__ == "__main__":
    main()
