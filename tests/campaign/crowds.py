"""What crowds of bad peers and idle devices cost a server and its devices, as a table.

usage: crowds.py PROGRAMS [--short] [--idle N] [--net-tests FILE]

PROGRAMS: the folder of iotsl and iotsl-device. Everything is on loopback, bounded in count and time. --short: fewer
sockets, and speeds are printed only: a machine that does other things decides them. Exit code 1 where a figure is
missed, 77 where there is no TLS.
"""

import argparse
import json
import pathlib
import re
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from field import ENVIRONMENT, Field, Program, Table

HERE = pathlib.Path(__file__).parent
KINDS = ["idle", "garbage", "lies", "slow", "hello", "replay"]


class Strangers:
    def __init__(self, kind, port, sockets, per_second, addresses, hello):
        self.process = subprocess.Popen(
            [sys.executable, HERE / "strangers.py", kind, str(port), str(sockets), str(per_second),
             str(addresses), hello], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()

    def stop(self):
        return json.loads(self.process.communicate()[0])


def record(field, run):
    """What a device sends until it has joined, as somebody on the way sees it."""
    listener = socket.create_server(("127.0.0.1", 0))
    recorded = bytearray()
    there, back = None, None

    def copy(source, sink, keep):
        try:
            while chunk := source.recv(65536):
                if keep:
                    recorded.extend(chunk)
                sink.sendall(chunk)
        except OSError:
            pass

    device = field.join(0, run, listener.getsockname()[1])
    back, _ = listener.accept()
    there = socket.create_connection(("127.0.0.1", field.port))
    for words in ((back, there, True), (there, back, False)):
        threading.Thread(target=copy, args=words, daemon=True).start()
    device.wait_for("joined as device")
    device.stop(signal.SIGKILL)
    for end in (there, back):
        end.shutdown(socket.SHUT_RDWR)  # the threads still wait for it
    file = field.folder / "recorded"
    file.write_bytes(recorded)
    return file


def timed_join(field, index, run):
    begin = time.monotonic()
    device = field.join(index, run)
    device.wait_for("joined as device", 30)
    return time.monotonic() - begin, device


def judge_joins(field, table, options):
    """A device joins while each kind of crowd is there."""
    server = field.serve("joins", len(KINDS) + 2, "--limit-train", "160", "--partition", "iid", "--wait", "300")
    field.enroll()
    recorded = record(field, "joins")
    alone, device = timed_join(field, 0, "joins")
    devices = [device]
    table.row("a device joins, nobody else is there", "", f"{alone:.2f} s")
    sockets, lead = (200, 0) if options.short else (1000, 6)
    for index, kind in enumerate(KINDS, 1):
        before, cpu, lines = server.resident(), server.processor_seconds(), server.text().count("\n")
        crowd = Strangers(kind, field.port, sockets, 300, 1 if kind == "idle" else 8, recorded)
        time.sleep(lead)
        held = server.resident()
        took, device = timed_join(field, index, "joins")
        devices.append(device)
        said = crowd.stop()
        cpu = (server.processor_seconds() - cpu) / said["seconds"]
        lines = server.text().count("\n") - lines
        table.row(f"a device joins among {sockets} sockets: {kind}", "5 s", f"{took:.2f} s", took < 5)
        table.row(f"held for at most: {kind}", "5 s", f"{said['longest']:.2f} s ({said['opened']} opened, "
                  f"{said['closed']} closed)", said["longest"] <= 5)
        table.row(f"memory for the crowd: {kind}", "16 KiB x 1,024 + 64 KiB x 64",
                  f"{max(0, held - before) / 1024:.0f} KiB", held - before < 20 << 20)
        table.row(f"the server's processor: {kind}", "", f"{100 * cpu:.0f} % of a core")
        table.row(f"lines in the log: {kind}", "30", f"{lines}", lines <= 30)
        time.sleep(0.1 if options.short else 5.5)  # those that are left go
    for each in devices:
        each.stop(signal.SIGKILL)
    server.stop(signal.SIGKILL)
    return recorded


def steps_of(folder):
    try:
        return sum(json.loads(line)["steps"] for line in (folder / "metrics.jsonl").read_text().splitlines())
    except (OSError, ValueError):
        return 0


def judge_speed(field, table, options, recorded):
    """A device trains, with and without a crowd, in turns of some seconds."""
    server = field.serve("speed", 1, "--limit-train", "160", "--rounds", "100000", "--partition", "iid",
                         "--eval-every", "100000")
    device = field.join(0, "speed")
    device.wait_for("my turn")
    run = field.folder / "speed"
    span, pairs = (1.2, 1) if options.short else (6, 3)
    for kind in ["idle", "garbage", "hello"] if not options.short else ["hello"]:
        ratios = []
        for _ in range(pairs):
            rates = []
            for crowded in (False, True):
                crowd = Strangers(kind, field.port, 200 if options.short else 1000, 100, 8, recorded) if crowded else None
                time.sleep(0.3 if options.short else 1.5)
                begin, first = time.monotonic(), steps_of(run)
                time.sleep(span)
                rates.append((steps_of(run) - first) / (time.monotonic() - begin))
                if crowd:
                    crowd.stop()
            ratios.append(rates[1] / rates[0] if rates[0] else 0)
        ratio = statistics.median(ratios)
        table.row(f"speed of a training device among 1,000 sockets: {kind}", "80 %",
                  f"{100 * ratio:.0f} % (median of {pairs}: {', '.join(f'{100 * r:.0f}' for r in ratios)})",
                  options.short or ratio >= 0.8)
    codes = server.stop(), device.stop()
    table.row("exit codes of server and device after SIGTERM", "5, 5", f"{codes[0]}, {codes[1]}", codes == (5, 5))


def judge_idle(table, tests, count):
    """Five times: a step's time is one of two on some machines, by the clock that they happen to have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < count + 100:
        print(f"[skipped] {count} idle devices: ulimit -n is {(soft, hard)}")
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    found = []
    for _ in range(5):
        done = subprocess.run([tests, "-tc=hub: idle devices*"], capture_output=True, text=True,
                              env={**ENVIRONMENT, "IOTSL_IDLE_DEVICES": str(count)}, timeout=300)
        said = re.search(r"bytes of each (\d+) in use, (\d+) resident, step alone (\d+) us, among them (\d+) us, "
                         r"of which the server computes (\d+) us and (\d+) us", done.stdout)
        if not said:
            table.row(f"{count} idle devices", "", done.stdout[-500:], False)
            return
        found.append([int(number) for number in said.groups()])
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    used, each = (max(run[i] for run in found) for i in (0, 1))
    table.row(f"memory of each of {count} idle devices, TLS", "64 KiB", f"{each / 1024:.1f} KiB resident, {used / 1024:.1f} in use",
              each < 64 << 10)
    speeds = [100 * alone / among for _, _, alone, among, _, _ in found]
    alone, among, cost_alone, cost_among = (statistics.median(run[i] for run in found) for i in range(2, 6))
    table.row(f"an echoed step of 200 kB among {count} idle devices", "95 % of the speed alone",
              f"{statistics.median(speeds):.0f} % (median of 5: {', '.join(f'{speed:.0f}' for speed in speeds)}); {alone} us alone, "
              f"{among} us among them; the server computes {cost_alone} us and {cost_among} us",
              statistics.median(speeds) >= 95)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("programs", type=pathlib.Path)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--idle", type=int, default=2000)
    parser.add_argument("--net-tests", type=pathlib.Path)
    options = parser.parse_args()
    help_text = subprocess.run([options.programs / "iotsl", "device", "--help"], capture_output=True, text=True)
    if help_text.returncode != 0:
        print("[skipped] this build has no TLS")
        return 77
    table = Table()
    print("| property | figure | measured |\n| --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        field = Field(options.programs.resolve(), pathlib.Path(folder), len(KINDS) + 1)
        recorded = judge_joins(field, table, options)
        judge_speed(field, table, options, recorded)
    if options.net_tests:
        judge_idle(table, options.net_tests, options.idle)
    return 0 if table.good else 1


if __name__ == "__main__":
    sys.exit(main())
