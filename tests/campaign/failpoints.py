"""Kills a program at every one of its failpoints, starts it again, and compares what the run ends with, as a table.

usage: failpoints.py PROGRAMS [--short] [--methods M,M] [--only TEXT,TEXT] [--jobs N] [--list] [--absent]

PROGRAMS: the folder of iotsl and iotsl-device of a build with IOTSL_FAILPOINTS (cmake --preset failpoints). For each
method a run of two devices over TCP on loopback is made once without a fault; then once for each point and side with
kill at its first passing, at the second, the fourth and the ninth, where it comes so often (--short: the first only),
with an error at the first and the third, and with a delay at the second; what was never passed is not counted. The one
that died is started again by the command that a user would type. Weights (SHA-256) and metrics have to be those of the
run without a fault. A program that an error ends has to say so; a device that has told the server of it is put aside,
and then the other turns have to be those of the run without a fault. Exit code 1 where one is not.
Methods `private` and `private-net` begin with trainings that have drawn their secret noise and are not in the device's
ledger yet, copies of the same ones in every run: so the weights are comparable, and the ledgers have to be equal, too.
--jobs: runs at the same time. --list: the points. --absent: looks whether ordinary programs are free of them, and
nothing else.
"""

import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

from field import free_port

COMMON = "--width 4 --devices 2 --limit-train 60 --limit-test 40 --batch 8 --threads 1 --quiet --json".split()
GENERATORS = "--partition classes:5 --gan-preset tiny --gan-width 8 --gan-iterations 3".split()
FROZEN = ["--method", "cache", "--pretrain", "off", *GENERATORS]
METHODS = {
    "split": "--epochs 3".split(),
    "shuffled": "--rounds 3 --order shuffled --participation 0.5".split(),
    "iotsl": [*"--method iotsl --epochs 3 --pretrain-iterations 4 --pretrain-batch 16".split(), *GENERATORS],
    "private": [*"--method iotsl --epochs 3 --pretrain-iterations 4 --pretrain-batch 16 --partition classes:5".split(),
                *"--generator moments --epsilon 100".split()],
    "private-net": [*"--method iotsl --epochs 2 --pretrain-iterations 4 --pretrain-batch 16".split(), *GENERATORS,
                    *"--privacy dp-sgd --noise-multiplier 2".split()],
    "fedavg": "--method fedavg --epochs 4".split(),
    "cache": [*FROZEN, "--epochs", "4"],
    "unfrozen": [*FROZEN, *"--epochs 8 --lr 1e-7 --validation 0.2 --unfreeze-on-plateau 1".split()],
}
FAULTS = [("kill", 1), ("kill", 2), ("kill", 4), ("kill", 9), ("error", 1), ("error", 3), ("delay", 2)]
BARRIERS = "--barrier-steps 2 --barrier-seconds 0".split()
HISTORY = ["epoch", "round", "device", "steps", "loss", "train_accuracy", "test_accuracy"]
LIMIT_SECONDS = 240


class Program:
    """A program in the background; what it says goes to the end of its log."""

    def __init__(self, log, words):
        self.log, self.words, self.starts = log, [str(w) for w in words], 0
        self.process = None

    def start(self, point=""):
        environment = {**os.environ, "OMP_WAIT_POLICY": "passive"}
        environment.pop("IOTSL_FAILPOINT", None)
        if point:
            environment["IOTSL_FAILPOINT"] = point
        with open(self.log, "ab") as file:
            self.process = subprocess.Popen(self.words, stdout=file, stderr=file, env=environment)
        self.starts += 1

    def text(self):
        return self.log.read_text(errors="replace")

    def end(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def said_by(program):
    """The last lines of a program, without the one in which the failpoint says that it acts."""
    return "\n".join(line for line in program.text().splitlines() if not line.endswith(" acts"))[-400:]


class Run:
    """A server and two devices, one of which has a failpoint until it ends by it."""

    def __init__(self, programs, method, folder):
        self.folder, self.programs, self.method = pathlib.Path(folder), programs, method
        self.out, port = self.folder / "run", free_port()
        listen = ["--listen", f"127.0.0.1:{port}"]
        self.first = [programs / "iotsl", "server", *DATA, *COMMON, *METHODS[method], *BARRIERS, "--out", self.out, *listen]
        self.again = [programs / "iotsl", "server", "--quiet", "--json", "--threads", "1", "--resume", self.out, *listen]
        self.server = Program(self.folder / "server.log", self.first)
        if method in STATES:
            for i in range(2):
                shutil.copytree(STATES[method] / f"state-{i}", self.folder / f"state-{i}")
        self.devices = [Program(self.folder / f"device-{i}.log",
                                [programs / "iotsl-device", "run", "--server", f"127.0.0.1:{port}", "--name", f"device-{i}",
                                 *DATA, "--threads", "1", "--manifest", MANIFESTS[method], "--index", i,
                                 "--state", self.folder / f"state-{i}",
                                 *(["--private"] if method_is_private(method) else [])]) for i in range(2)]

    def run(self, side="", point=""):
        """What the run has ended with, as a Result."""
        victim = {"server": self.server, "device": self.devices[0]}.get(side)
        name = point.split(":")[0]
        programs = [("server", self.server), *[("device", d) for d in self.devices]]
        result = Result()
        for each, program in programs:
            program.start(point if program is victim else "")
        give_up = time.monotonic() + LIMIT_SECONDS
        try:
            while self.server.process.poll() != 0:
                if time.monotonic() > give_up:
                    result.problem = "no end in sight: " + " / ".join(p.text()[-300:] for _, p in programs)
                    return result
                for each, program in programs:
                    code = program.process.poll()
                    if code is None or code == 0 or program is victim and (result.is_aside or result.is_over):
                        continue
                    if program is victim:
                        result.said = said_by(program)
                    if program is victim and self.is_put_aside():
                        result.code, result.is_aside = code, True
                        continue
                    if result.code is not None or program is not victim:
                        result.problem = f"{each} ended with {code}: {program.text()[-600:]}"
                        return result
                    result.code = code
                    if name == "device.finish":  # it has heard the end
                        result.is_over = True
                        continue
                    if each == "server" and (self.out / "config.json").exists():
                        program.words = [str(w) for w in self.again]
                    program.start()
                time.sleep(0.01)
            self.read(result)
            return result
        finally:
            for _, program in programs:
                if program.process.poll() is None and self.server.process.poll() == 0:
                    try:
                        program.process.wait(timeout=10)
                    except subprocess.TimeoutExpired:
                        result.problem = result.problem or f"it goes on: {program.text()[-300:]}"
                program.end()
            result.injected = bool(victim) and f"failpoint {name} acts" in victim.text()
            result.said = result.said or (said_by(victim) if victim else "")

    def is_put_aside(self):
        """Whether the first device is in quarantine."""
        file = self.out / "quarantine.json"
        return file.exists() and any(each["device"] == 0 for each in json.loads(file.read_text())["devices"])

    def read(self, result):
        found = re.findall(r'"weights_sha256":"([0-9a-f]{64})"', self.server.text())
        lines = [json.loads(line) for line in (self.out / "metrics.jsonl").read_text().splitlines()]
        result.weights = found[-1] if found else "none"
        result.history = [[line.get(key) for key in HISTORY] for line in lines]
        ledgers = [self.folder / f"state-{i}" / LEDGER for i in range(2)]
        result.ledgers = [json.loads(ledger.read_text()) if ledger.exists() else None for ledger in ledgers]
        result.turns = [(line["device"], line["steps"], line.get("skip_reason", "")) for line in lines]


class Result:
    """How a run has ended: `code` of the program with the fault, where it ended by it."""

    def __init__(self):
        self.problem, self.code, self.injected, self.is_aside, self.said = "", None, False, False, ""
        self.is_over = False
        self.weights, self.history, self.turns, self.ledgers = "", [], [], []

    def judge(self, whole, action):
        """Whether it is as it has to be, and in words."""
        if self.problem:
            return False, self.problem
        if self.is_aside:
            # Of method iotsl the others complete their data without its generator, and have other steps.
            without = [reason for device, _, reason in self.turns if device == 0 and reason]
            good = (action == "error" and without and [t[0] for t in self.turns] == [t[0] for t in whole.turns]
                    and not any(reason or not steps for device, steps, reason in self.turns if device != 0))
            return bool(good), f"put aside, {len(without)} turns without it: {without[0] if without else self.turns}"
        if self.ledgers != whole.ledgers:
            return False, f"ledgers {self.ledgers} instead of {whole.ledgers}: {self.said}"
        if (self.weights, self.history) != (whole.weights, whole.history):
            return False, f"{self.weights} {self.history} instead of {whole.weights} {whole.history}: {self.said}"
        if self.code is None:
            return True, "same weights and metrics, went on by itself"
        if action == "error" and not re.search(r"failpoint|Input/output error", self.said):
            return False, f"ended with {self.code} and did not say why: {self.said}"
        return True, "same weights and metrics after a restart"


DATA = []  # the options of the set
MANIFESTS = {}
STATES = {}  # folder with the states of two devices that a method's runs begin with
LEDGER = "privacy-ledger.json"


def method_is_private(method):
    return method.startswith("private")


def pack_set(programs, folder):
    """A small set of noise: drawing or reading thousands of digits takes longer than such a run."""
    plain, draw = folder / "plain", random.Random(1)
    plain.mkdir(parents=True)
    for part, count in (("train", 100), ("t10k", 40)):
        images = struct.pack(">IIII", 0x803, count, 28, 28) + draw.randbytes(count * 28 * 28)
        labels = struct.pack(">II", 0x801, count) + bytes(i % 10 for i in range(count))
        (plain / f"{part}-images-idx3-ubyte").write_bytes(images)
        (plain / f"{part}-labels-idx1-ubyte").write_bytes(labels)
    subprocess.run([programs / "iotsl", "data", "pack", "--dataset", "idx", "--classes", "10", "--data", plain,
                    "--out", folder / "packed"], check=True, stdout=subprocess.DEVNULL)
    DATA.extend(["--dataset", "packed", "--data", str(folder / "packed")])


def make_manifest(programs, method, folder):
    """The partition of the method's run, as simulate writes it, and the weights of one process."""
    out = pathlib.Path(folder) / "none"
    done = subprocess.run([programs / "iotsl", "simulate", *DATA, *COMMON, *METHODS[method], "--transport", "none", "--out", out],
                          capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    MANIFESTS[method] = out / "manifest.json"
    return re.findall(r'"weights_sha256":"([0-9a-f]{64})"', done.stdout)[-1]


def draw_noise(programs, method, folder):
    """Keeps the states of two devices that have drawn their noise and ended ahead of the ledger."""
    folder.mkdir()
    run = Run(programs, method, folder)
    run.server.start()
    for device in run.devices:
        device.start("device.ledger.enter:kill:1")
    for device in run.devices:
        device.process.wait(timeout=LIMIT_SECONDS)
    run.server.end()
    for i, device in enumerate(run.devices):
        if "acts" not in device.text() or (folder / f"state-{i}" / LEDGER).exists():
            raise SystemExit(f"{method}: a device did not end ahead of its ledger: {device.text()}")
    STATES[method] = folder


def undisturbed(programs, method, folder):
    """What the method's run ends with when nothing happens."""
    folder.mkdir()
    one_process = make_manifest(programs, method, folder)
    if method_is_private(method):
        draw_noise(programs, method, folder / "noise")
    (folder / "whole").mkdir()
    whole = Run(programs, method, folder / "whole").run()
    # What is private has other noise in every process.
    if whole.problem or (whole.weights != one_process and not method_is_private(method)):
        raise SystemExit(f"{method}: the run without a fault ended with {whole.problem or whole.weights}, one process with {one_process}")
    return whole


def judge_point(programs, whole, method, side, name, faults):
    """The rows of one point: those that were passed as often."""
    rows, passed = [], 10**9
    for action, at in faults:
        if at >= passed:
            continue
        with tempfile.TemporaryDirectory(prefix="iotsl_failpoints_run-") as place:
            result = Run(programs, method, place).run(side, f"{name}:{action}:{at}")
        if not result.injected and not result.problem:
            passed = at  # it does not come so often
            continue
        rows.append((side, name, action, at, *result.judge(whole, action)))
    return rows


def names_of(program):
    environment = {**os.environ, "IOTSL_FAILPOINT": "list"}
    text = subprocess.run([program, "--version"], capture_output=True, text=True, env=environment).stdout
    return sorted(re.findall(r"^failpoint (\S+)$", text, re.M))


def look_for_points(programs):
    """1 where a program has the name of a point of the sources, or of the variable that chooses one."""
    headers = pathlib.Path(__file__).parents[2] / "include"
    names = {name for path in headers.rglob("*.hpp")
             for name in re.findall(r'IOTSL_FAILPOINT(?:_FAILS)?\("([a-z_]+\.[a-z._]+)"\)', path.read_text())}
    found = [f"{program}: {name}" for program in ("iotsl", "iotsl-device") for content in [(programs / program).read_bytes()]
             for name in sorted(names | {"IOTSL_FAILPOINT"}) if name.encode() in content]
    print("\n".join(found) or f"none of {len(names)} failpoints")
    return 1 if found or len(names) < 30 else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", type=pathlib.Path)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--only", default="")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--absent", action="store_true")
    options = parser.parse_args()
    programs = options.programs.resolve()
    if options.absent:
        sys.exit(look_for_points(programs))
    sides = {"server": names_of(programs / "iotsl"), "device": names_of(programs / "iotsl-device")}
    if not sides["server"]:
        raise SystemExit(f"{programs}: no failpoints in these programs; build them with cmake --preset failpoints")
    if options.list:
        print("\n".join(f"{side} {name}" for side in sides for name in sides[side]))
        return

    def is_wanted(name):
        return any(part in name for part in options.only.split(","))

    points = sorted(set(sides["server"]) | set(sides["device"]))
    print(f"{len(points)} points; server has {len(sides['server'])}, device {len(sides['device'])}")
    begin, counts, wrong, reached = time.monotonic(), collections.Counter(), 0, set()
    print("| method | side | point | fault | outcome |\n| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory(prefix="iotsl_failpoints_") as folder:
        pack_set(programs, pathlib.Path(folder) / "set")
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            for method in options.methods.split(","):
                whole = undisturbed(programs, method, pathlib.Path(folder) / method)
                tries = [pool.submit(judge_point, programs, whole, method, side, name, FAULTS[:1] if options.short else FAULTS)
                         for side, names in sides.items() for name in names if is_wanted(name)]
                for each in concurrent.futures.as_completed(tries):
                    for side, name, action, at, good, shown in each.result():
                        counts[action] += 1
                        reached.add((side, name))
                        wrong += not good
                        print(f"| {method} | {side} | {name} | {action} at {at} | {'' if good else 'WRONG: '}{shown} |", flush=True)
    missing = [f"{side} {name}" for side in sides for name in sides[side]
               if (side, name) not in reached and is_wanted(name)]
    print(f"\n{counts.total()} faults ({', '.join(f'{n} {action}' for action, n in counts.items())}) in "
          f"{time.monotonic() - begin:.0f} s, {len({n for _, n in reached})} points reached; {wrong} wrong")
    print("never passed by these runs: " + (", ".join(missing) or "none"))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
