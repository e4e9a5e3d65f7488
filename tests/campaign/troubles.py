"""What a run of real processes on loopback stands: servers and devices killed, wires cut and slow, stopped devices,
clocks that are years off, and hours of work. Prints a table.

usage: troubles.py PROGRAMS [PART...] [--short] [--restarts N] [--cuts N] [--soak SECONDS] [--seed N]

PROGRAMS: the folder of iotsl and iotsl-device. PART: restarts, wires, curve, vanish, clock, soak; all without any. --short: a few
cuts and one clock, unless parts are named; times are then printed only, since a machine that does other things decides
them. Every run but that of soak, which has no end, ends with the weights of one that nothing happened to, or the table
says MISSED. Exit code 1 where something is missed.
"""

import argparse
import json
import os
import pathlib
import random
import re
import signal
import statistics
import sys
import tempfile
import time

from faulty_wire import FaultyWire
from field import Program, Table, free_port

SETTINGS = ["--dataset", "glyphs", "--width", "4", "--devices", "2", "--limit-train", "160", "--limit-test", "40",
            "--batch", "8", "--threads", "1", "--json", "--eval-every", "0"]
STEPS_PER_ROUND = 20
NEVER = 400_000  # rounds of two device epochs: a run may have a million


class Run:
    """One server and two devices; what they end with is known beforehand."""

    def __init__(self, options, folder, rounds, *settings):
        self.programs, self.folder, self.port = options.programs, folder, free_port()
        self.settings = [*SETTINGS, "--rounds", str(rounds), *settings]
        self.out = folder / "run"
        folder.mkdir()
        self.expected = self.reference()
        self.server, self.devices, self.wires = None, [None, None], [None, None]

    def reference(self):
        words = [self.programs / "iotsl", "simulate", *self.settings, "--quiet", "--transport", "none", "--out", self.folder / "whole"]
        alone = Program(self.folder / "whole.log", *words)
        if alone.process.wait(timeout=3600) != 0:
            raise SystemExit(alone.text()[-2000:])
        return self.found(alone, self.folder / "whole")

    @staticmethod
    def found(program, run):
        """The weights' bits, and the steps of each epoch: none lost, none doubled."""
        summaries = re.findall(r'"weights_sha256":"([0-9a-f]{64})"', program.text())
        steps = [json.loads(line)["steps"] for line in (run / "metrics.jsonl").read_text().splitlines()]
        return (summaries[-1] if summaries else "no weights", steps)

    def serve(self, *before):
        again = self.out.exists() and (self.out / "config.json").exists()
        words = ["--resume", self.out, "--json"] if again else [*self.settings, "--barrier-steps", "5",
                                                                        "--barrier-seconds", "0", "--out", self.out]
        self.server = Program(self.folder / "server.log", *before, self.programs / "iotsl", "server", *words, "--listen",
                              f"127.0.0.1:{self.port}")

    def join(self, index, *before):
        port = self.wires[index].port if self.wires[index] else self.port
        self.devices[index] = Program(
            self.folder / f"device-{index}.log", *before, self.programs / "iotsl-device", "run", "--server",
            f"127.0.0.1:{port}", "--name", f"pi-{index}", "--dataset", "glyphs", "--threads", "1", "--manifest",
            self.folder / "whole" / "manifest.json", "--index", str(index), "--wait", "120")

    def start(self, *before):
        self.serve(*before)
        self.server.wait_for("listening on")
        for index in range(2):
            self.join(index, *before)
        self.next_barrier(0)

    def barrier(self):
        """The number of the last barrier on the disk; 0: none."""
        names = [re.fullmatch(r"barrier-(\d+)\.iotsl", f) for f in self.files("checkpoints")]
        return max((int(name[1]) for name in names if name), default=0)

    def files(self, folder):
        try:
            return os.listdir(self.out / folder)
        except OSError:
            return []

    def next_barrier(self, after, seconds=120):
        end = time.monotonic() + seconds
        while self.barrier() <= after and self.server.process.poll() is None:
            if time.monotonic() > end:
                raise SystemExit(f"no barrier after {after} in {seconds} s:\n{self.server.text()[-3000:]}")
            time.sleep(0.002)

    def holder(self):
        """The device whose turn it is, by what the devices say."""
        while True:
            for index, device in enumerate(self.devices):
                if device.text().rfind("my turn") > device.text().rfind("waiting, after step"):
                    return index
            time.sleep(0.002)

    def finished(self):
        return self.server.process.poll() is not None

    def end(self, table, what, seconds=600):
        """Waits for the end, and judges it."""
        code = self.server.process.wait(timeout=seconds)
        codes = [code, *(device.process.wait(timeout=60) for device in self.devices)]
        found = self.found(self.server, self.out)
        table.row(f"{what}: exit codes of the server and both devices", "0, 0, 0", ", ".join(map(str, codes)),
                  codes == [0, 0, 0])
        table.row(f"{what}: weights and steps", "those of the run alone",
                  "the same" if found == self.expected else f"{found} instead of {self.expected}", found == self.expected)

    def stop(self):
        for program in [self.server, *self.devices]:
            if program and program.process.poll() is None:
                program.process.send_signal(signal.SIGCONT)
                program.stop(signal.SIGKILL)
        for wire in self.wires:
            if wire:
                wire.close()


def percentile(values, part):
    return sorted(values)[min(len(values) - 1, int(part * len(values)))]


def judge_restarts(options, table, folder):
    """kill -9 again and again: of the server, of both devices, of everything."""
    kills = 3 if options.short else options.restarts
    for number, victims in enumerate(["the server", "both devices", "the server and both devices"]):
        run = Run(options, folder / f"restarts-{number}", 4 * kills)  # more steps than between the kills
        draw, took = random.Random(options.seed), []
        run.start()
        while len(took) < kills and not run.finished():
            time.sleep(draw.uniform(0, 0.15))
            dead = [run.server] if "server" in victims else []
            dead += run.devices if "devices" in victims else []
            for program in dead:
                program.stop(signal.SIGKILL)
            last, begin = run.barrier(), time.monotonic()
            if "server" in victims:
                run.serve()
            if "devices" in victims:
                for index in range(2):
                    run.join(index)
            run.next_barrier(last)
            took.append(time.monotonic() - begin)
        what = f"kill -9 of {victims}"
        table.row(f"{what} and a restart, to the next five steps on the disk", "3 s (p99)",
                  f"p50 {statistics.median(took):.2f} s, p99 {percentile(took, 0.99):.2f} s, longest {max(took):.2f} s",
                  options.short or percentile(took, 0.99) <= 3)
        table.row(f"{what}: kills", kills, len(took), len(took) == kills)
        run.end(table, what)
        run.stop()


WIRES = [  # name, and what the wire does
    ("cut at any byte", {"cut": 0.02}),
    ("one byte at a time", {"chunk": 1}),
    ("half closed", {"half_close": 0.02}),
    ("a bit flipped", {"flip": 0.02}),
    ("delay of 0 to 300 ms and 5 % resets", {"delay": 0.3, "cut": 0.05}),
    ("32 kB/s", {"rate": 32768}),
]


def judge_wires(options, table, folder):
    """Wires between each device and the server that do harm at random moments."""
    faults = 0
    for number, (name, harm) in enumerate(WIRES):
        if options.short and set(harm) & {"delay", "rate"}:
            continue
        destructive = set(harm) & {"cut", "half_close", "flip"}
        is_slow = set(harm) & {"delay", "rate", "chunk"}
        cuts = 4 if options.short else options.cuts
        run = Run(options, folder / f"wire-{number}", 1 if options.short or is_slow else max(4, cuts // 4))
        done, speed = over_wires(run, table, name, options.seed + number, cuts // 2 if destructive else 0, harm)
        faults += done
        table.row(f"wire: {name}: faults, steps a second", "", f"{done}, {speed:.1f}", done > 0 or not destructive)
    table.row("wires: faults in all", "", faults)


def over_wires(run, table, name, seed, most, harm):
    """The run to its end; the faults of its wires, and its steps a second."""
    draw = random.Random(seed)
    begin = time.monotonic()
    run.wires = [FaultyWire(run.port, random.Random(draw.random()), most=most, **harm) for _ in range(2)]
    run.start()
    run.end(table, f"wire: {name}", 3600)
    steps = STEPS_PER_ROUND * int(run.settings[run.settings.index("--rounds") + 1])
    speed = steps / (time.monotonic() - begin)
    run.stop()
    return sum(wire.faults for wire in run.wires), speed


def judge_curve(options, table, folder):
    """Steps a second by how long a chunk may wait on its way, and by how many reset the line."""
    for cut in (0, 0.01, 0.05):
        found = []
        for delay in (0, 0.03, 0.1, 0.3):
            name = f"delay of 0 to {1000 * delay:.0f} ms and {100 * cut:.0f} % resets"
            run = Run(options, folder / f"curve-{cut}-{delay}", 1 if delay else 10)
            found.append(over_wires(run, table, name, options.seed, options.cuts, {"delay": delay, "cut": cut}))
        table.row(f"steps a second (resets), {100 * cut:.0f} % resets, a chunk waits for up to 0, 30, 100, 300 ms", "",
                  ", ".join(f"{speed:.1f} ({resets})" for resets, speed in found),
                  (sum(resets for resets, _ in found) > 0) == (cut > 0))


def judge_vanish(options, table, folder):
    """A device that is stopped (as if its link were down) in its turn, and comes back."""
    run = Run(options, folder / "vanish", 40)
    run.start()
    index = run.holder()
    stopped, said = run.devices[index], ""
    stopped.process.send_signal(signal.SIGSTOP)
    begin, before = time.monotonic(), len(run.server.text())
    while not said and time.monotonic() - begin < 60:
        time.sleep(0.05)
        said = next((line for line in run.server.text()[before:].splitlines() if f"pi-{index}: " in line), "")
    noticed = time.monotonic() - begin
    table.row("a device that is stopped in its turn is noticed", "25 s", f"{noticed:.1f} s: {said or 'nothing was said'}",
              said and noticed <= 25)
    stopped.process.send_signal(signal.SIGCONT)
    run.end(table, "a stopped device that goes on")
    run.stop()


def faketime_library():
    found = [p for p in pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")]
    return found[0] if found else None


def judge_clock(options, table, folder):
    """Wall clocks ten years off, from the start and stepped in the run; monotonic ones are left alone."""
    library = faketime_library()
    if not library:
        print("[skipped] clocks: the package faketime is missing")
        return
    for number, (name, server, device) in enumerate([("the server's, ten years ahead", "+3650d", "+0"),
                                                     ("the devices', ten years behind", "+0", "-3650d"),
                                                     ("the server's, stepped while it works", "file", "+0")]):
        if options.short and server != "file":
            continue
        run = Run(options, folder / f"clock-{number}", 1 if options.short else 6)
        file = folder / f"clock-{number}" / "faketime.txt"

        def wrapped(offset):
            words = ["env", f"LD_PRELOAD={library}", "DONT_FAKE_MONOTONIC=1", "FAKETIME_NO_CACHE=1"]
            if offset != "file":
                return [*words, f"FAKETIME={offset}"]
            file.write_text("+3650d\n")
            return [*words, f"FAKETIME_TIMESTAMP_FILE={file}"]

        run.serve(*wrapped(server))
        run.server.wait_for("listening on")
        for index in range(2):
            run.join(index, *wrapped(device))
        run.next_barrier(0)
        if server == "file":
            file.write_text("-3650d\n")
        run.end(table, f"clock: {name}")
        run.stop()


def slope(samples):
    """Bytes a minute, by least squares over (seconds, bytes)."""
    mean_t = statistics.fmean(t for t, _ in samples)
    mean_b = statistics.fmean(b for _, b in samples)
    return 60 * (sum((t - mean_t) * (b - mean_b) for t, b in samples) / sum((t - mean_t) ** 2 for t, _ in samples))


def judge_soak(options, table, folder):
    """Minutes of turns: memory and handles of the server and of a device do not grow."""
    run, port = folder / "soak", free_port()
    server = Program(folder / "soak.log", options.programs / "iotsl", "server", *SETTINGS, "--rounds", str(NEVER),
                     "--out", run, "--listen", f"127.0.0.1:{port}", "--barrier-steps", "50", "--barrier-seconds", "0")
    server.wait_for("listening on")
    devices = [Program(folder / f"soak-{i}.log", options.programs / "iotsl-device", "run", "--server", f"127.0.0.1:{port}", "--name", f"pi-{i}",
                       "--dataset", "glyphs", "--threads", "1", "--manifest", run / "manifest.json", "--index", str(i))
               for i in range(2)]
    time.sleep(min(60, options.soak / 4))  # pools have grown to what they need
    seen, begin = {"server": [], "a device": []}, time.monotonic()
    handles = {name: set() for name in seen}
    programs = {"server": server, "a device": devices[0]}
    while (now := time.monotonic() - begin) < options.soak:
        for name, program in programs.items():
            seen[name].append((now, program.resident()))
            handles[name].add(len(os.listdir(f"/proc/{program.process.pid}/fd")))
        time.sleep(0.5)
    turns = len((run / "metrics.jsonl").read_text().splitlines())
    for name, samples in seen.items():
        per_minute = slope(samples)
        table.row(f"soak of {options.soak} s, {turns} turns: memory of {name}", "1,024 bytes a minute",
                  f"{per_minute:.0f} ({samples[0][1] >> 10} KiB at first, {samples[-1][1] >> 10} at the end)", per_minute < 1024)
        spread = max(handles[name]) - min(handles[name])
        table.row(f"soak: handles of {name}", "constant, but for a file at work",
                  f"{min(handles[name])} to {max(handles[name])}", spread <= 3)
    codes = server.stop(), *(device.stop() for device in devices)
    table.row("soak: exit codes after SIGTERM", "5, 5, 5", ", ".join(map(str, codes)), codes == (5, 5, 5))


PARTS = {"restarts": judge_restarts, "wires": judge_wires, "curve": judge_curve, "vanish": judge_vanish,
         "clock": judge_clock, "soak": judge_soak}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("programs", type=lambda text: pathlib.Path(text).resolve())
    parser.add_argument("parts", nargs="*", metavar="PART", help=" ".join(PARTS))
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--restarts", type=int, default=100)
    parser.add_argument("--cuts", type=int, default=500)
    parser.add_argument("--soak", type=int, default=600, metavar="SECONDS")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_intermixed_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    table = Table()
    print("| property | figure | measured |\n| --- | --- | --- |")
    for part in options.parts or [p for p in PARTS if not options.short or p in ("wires", "clock")]:
        with tempfile.TemporaryDirectory() as folder:
            PARTS[part](options, table, pathlib.Path(folder))
    return 0 if table.good else 1


if __name__ == "__main__":
    sys.exit(main())
