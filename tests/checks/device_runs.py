"""Runs iotsl-device as built: natively, statically linked or under an emulator.

usage: device_runs.py start COMMAND...          help, version and exit codes of COMMAND, the device
       device_runs.py train SERVER COMMAND...   joins a small run of SERVER, the host's iotsl
       device_runs.py size LIMIT STRIP PROGRAM  bytes without symbols
Exit code 77 (skipped) if there is no SERVER: a build without the host program takes that of the
preset release.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

SKIPPED = 77
SECONDS = 120  # an emulator on a busy machine


def expect(command, arguments, code, text):
    run = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=SECONDS, check=False)
    if run.returncode == code and text in run.stdout + run.stderr:
        return True
    print(f"{pathlib.Path(command[-1]).name} {' '.join(arguments)}: exit code {run.returncode}, expected {code} and '{text}'\n"
          f"{run.stdout}{run.stderr}")
    return False


def start(command):
    join = ["run", "--name", "pi", "--dataset", "glyphs", "--wait", "1"]
    results = [
        expect(command, ["--version"], 0, "iotsl-device "),
        expect(command, ["--help"], 0, "Usage: iotsl-device run"),
        expect(command, ["run", "--speed", "9"], 2, "--speed"),
        # Port 1 refuses. By name as well: a static program has to find the resolver's files.
        expect(command, [*join, "--server", "127.0.0.1:1"], 3, "cannot connect to 127.0.0.1:1"),
        expect(command, [*join, "--server", "localhost:1"], 3, "Connection refused"),
    ]
    return 0 if all(results) else 1


def port_of(server, log):
    """The port that the server says it listens on, None if it ends before."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and server.poll() is None:
        if match := re.search(r"listening on 127\.0\.0\.1:(\d+)", log.read_text()):
            return match[1]
        time.sleep(0.05)
    return None


def train(program, command):
    if not os.access(program, os.X_OK):
        print(f"no host program {program}: build the preset release first")
        return SKIPPED
    with tempfile.TemporaryDirectory() as folder:
        data = ["--dataset", "glyphs", "--devices", "1", "--limit-train", "64"]
        manifest = folder + "/manifest.json"
        if not expect([program], ["data", "partition", *data, "--out", manifest], 0, ""):
            return 1
        log = pathlib.Path(folder, "server.log")
        with log.open("w") as out:
            server = subprocess.Popen(
                [program, "server", "--listen", "127.0.0.1:0", *data, "--width", "4", "--limit-test", "32",
                 "--batch", "16", "--rounds", "1", "--threads", "1", "--out", folder + "/run"],
                stdout=out, stderr=subprocess.STDOUT)
        try:
            port = port_of(server, log)
            if port is None:
                print(f"{program} server does not listen:\n{log.read_text()}")
                return 1
            begin = time.monotonic()
            good = expect(command, ["run", "--server", "127.0.0.1:" + port, "--name", "pi", "--dataset",
                                    "glyphs", "--manifest", manifest, "--index", "0"],
                          0, "pi: done after step 4")
            if not good:
                print(log.read_text())
                return 1
            code = server.wait(SECONDS)
            print(f"server: exit code {code}, device: {time.monotonic() - begin:.1f} s")
            if code != 0:
                print(log.read_text())
            return 0 if code == 0 else 1
        finally:
            server.kill()


def size(limit, strip, program):
    with tempfile.TemporaryDirectory() as folder:
        stripped = pathlib.Path(folder, "stripped")
        subprocess.run([strip, "-o", str(stripped), program], check=True)
        count = stripped.stat().st_size
    print(f"iotsl-device: {count} bytes without symbols, limit {limit}")
    return 0 if count <= limit else 1


if __name__ == "__main__":
    if sys.argv[1] == "start":
        sys.exit(start(sys.argv[2:]))
    if sys.argv[1] == "size":
        sys.exit(size(int(sys.argv[2]), *sys.argv[3:5]))
    sys.exit(train(sys.argv[2], sys.argv[3:]))
