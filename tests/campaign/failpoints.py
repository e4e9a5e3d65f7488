"""Kills a program at every one of its failpoints, starts it again, and compares what the run ends with, as a table.

usage: failpoints.py PROGRAMS [--short] [--methods M,M] [--only TEXT] [--list] [--absent]

PROGRAMS: the folder of iotsl and iotsl-device of a build with IOTSL_FAILPOINTS (cmake --preset failpoints). For each
method a run of two devices over TCP on loopback is made once without a fault; then once for each point and side with
kill at its first passing, at the second, the fourth and the ninth, where it comes so often (--short: the first only),
with an error and with a delay at the second. The one that died is started again by the command that a user would type.
Weights (SHA-256) and metrics have to be those of the run without a fault; a program that an error ends has to say so.
Exit code 1 where one is not.
--list: the points. --absent: looks whether ordinary programs are free of them, and nothing else.
"""

import argparse
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

from field import free_port

COMMON = "--dataset glyphs --width 4 --devices 2 --limit-train 60 --limit-test 40 --batch 8 --threads 1 --quiet --json".split()
METHODS = {
    "split": "--epochs 3".split(),
    "iotsl": ("--method iotsl --epochs 3 --partition classes:5 --gan-preset tiny --gan-width 8 --gan-iterations 3"
              " --pretrain-iterations 4 --pretrain-batch 16").split(),
    "fedavg": "--method fedavg --epochs 4".split(),
}
BARRIERS = "--barrier-steps 2 --barrier-seconds 0".split()
HISTORY = ["epoch", "round", "device", "steps", "loss", "train_accuracy", "test_accuracy"]
LIMIT_SECONDS = 120


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


class Run:
    """A server and two devices, one of which has a failpoint until it ends by it."""

    def __init__(self, programs, method, folder):
        self.folder, self.programs, self.method = pathlib.Path(folder), programs, method
        self.out, port = self.folder / "run", free_port()
        listen = ["--listen", f"127.0.0.1:{port}"]
        self.first = [programs / "iotsl", "server", *COMMON, *METHODS[method], *BARRIERS, "--out", self.out, *listen]
        self.again = [programs / "iotsl", "server", "--quiet", "--json", "--threads", "1", "--resume", self.out, *listen]
        self.server = Program(self.folder / "server.log", self.first)
        self.devices = [Program(self.folder / f"device-{i}.log",
                                [programs / "iotsl-device", "run", "--server", f"127.0.0.1:{port}", "--name", f"device-{i}",
                                 "--dataset", "glyphs", "--threads", "1", "--manifest", MANIFESTS[method], "--index", i,
                                 "--state", self.folder / f"state-{i}"]) for i in range(2)]

    def run(self, side="", point=""):
        """What the run has ended with: sha256 of the weights and the metrics."""
        self.ended = {"server": 0, "device": 0}
        self.errors = []
        programs = [("server", self.server), *[("device", d) for d in self.devices]]
        self.server.start(point if side == "server" else "")
        for i, device in enumerate(self.devices):
            device.start(point if side == "device" and i == 0 else "")
        give_up = time.monotonic() + LIMIT_SECONDS
        try:
            while True:
                if time.monotonic() > give_up:
                    return "no end in sight"
                for name, program in programs:
                    code = program.process.poll()
                    if code is None or code == 0:
                        continue
                    self.ended[name] += 1
                    if code != -signal.SIGKILL:
                        self.errors.append((code, program.text()[-400:]))
                    if self.ended[name] > 1 or name != side:
                        return f"{name} ended with {code}: {program.text()[-400:]}"
                    if name == "server" and (self.out / "config.json").exists():
                        program.words = [str(w) for w in self.again]
                    program.start()
                if self.server.process.poll() == 0:
                    return self.outcome()
                time.sleep(0.01)
        finally:
            for _, program in programs:
                if program.process.poll() is None and self.server.process.poll() == 0:
                    try:
                        program.process.wait(timeout=10)
                    except subprocess.TimeoutExpired:
                        pass
                program.end()

    def outcome(self):
        found = re.findall(r'"weights_sha256":"([0-9a-f]{64})"', self.server.text())
        lines = (self.out / "metrics.jsonl").read_text().splitlines()
        history = [[json.loads(line).get(key) for key in HISTORY] for line in lines]
        return (found[-1] if found else "none", json.dumps(history))


MANIFESTS = {}


def make_manifest(programs, method, folder):
    """The partition of the method's run, as simulate writes it, and the weights of one process."""
    out = pathlib.Path(folder) / "none"
    done = subprocess.run([programs / "iotsl", "simulate", *COMMON, *METHODS[method], "--transport", "none", "--out", out],
                          capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    MANIFESTS[method] = out / "manifest.json"
    return re.findall(r'"weights_sha256":"([0-9a-f]{64})"', done.stdout)[-1]


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
    points = sorted(set(sides["server"]) | set(sides["device"]))
    print(f"{len(points)} points; server has {len(sides['server'])}, device {len(sides['device'])}")
    begin, faults, wrong, reached = time.monotonic(), 0, 0, set()
    print("| method | side | point | fault | outcome |\n| --- | --- | --- | --- | --- |")
    for method in options.methods.split(","):
        with tempfile.TemporaryDirectory(prefix="iotsl_failpoints_") as folder:
            one_process = make_manifest(programs, method, folder)

            def attempt(side, point):
                with tempfile.TemporaryDirectory(prefix="run-", dir=folder) as place:
                    run = Run(programs, method, place)
                    return run.run(side, point), run

            whole, _ = attempt("", "")
            if not isinstance(whole, tuple) or whole[0] != one_process:
                raise SystemExit(f"{method}: the run without a fault ended with {whole}, one process with {one_process}")
            for side, names in sides.items():
                for name in names:
                    if options.only not in name:
                        continue
                    tries = [("kill", 1)]
                    if not options.short:
                        tries += [("kill", 2), ("kill", 4), ("kill", 9), ("error", 2), ("delay", 2)]
                    dies = True
                    for action, at in tries:
                        if action == "kill" and not dies:
                            continue
                        outcome, run = attempt(side, f"{name}:{action}:{at}")
                        good = outcome == whole
                        if action == "kill":
                            dies = run.ended[side] == 1
                            if good and not dies:  # it does not come so often
                                if at == 1:
                                    break
                                continue
                        faults += 1
                        reached.add((side, name))
                        shown = "same weights and metrics" if good else f"WRONG: {outcome}"
                        if good and action == "error":
                            shown += ", ended with an error first" if run.errors else ", went on by itself"
                        wrong += not good
                        print(f"| {method} | {side} | {name} | {action} at {at} | {shown} |", flush=True)
    missing = [f"{side} {name}" for side in sides for name in sides[side]
               if (side, name) not in reached and options.only in name]
    print(f"\n{faults} faults in {time.monotonic() - begin:.0f} s, {len({n for _, n in reached})} points reached; {wrong} wrong")
    print("never passed by these runs: " + (", ".join(missing) or "none"))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
