"""The services of systemd that are installed, and what the programs tell systemd.

usage: services.py units BUILD       the unit files: systemd reads them, and how far they are shut off; exit code 77
                                     without systemd-analyze (package systemd)
       services.py notify PROGRAMS   READY, STATUS, WATCHDOG and STOPPING over a socket of the test's own; SIGTERM
                                     once and twice
"""

import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

NAMES = ("iotsl-server", "iotsl-device")


def run(*words, **more):
    return subprocess.run(words, capture_output=True, text=True, timeout=60, **more)


def check_command_of_server(unit, folder):
    """The shell's line begins a run, and goes on with one that is there."""
    script = re.search(r"^ExecStart=/bin/sh -c '(.*)'$", unit, re.M)[1].replace("$$", "$")
    program = folder / "bin/iotsl"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "$@"\n')
    program.chmod(0o755)
    environment = {"PATH": f"{program.parent}:/usr/bin:/bin", "IOTSL_SERVER_LISTEN": "0.0.0.0:7400",
                   "IOTSL_SERVER_OPTIONS": "--dataset mnist --devices 5"}
    common = "server --listen 0.0.0.0:7400 --identity identity"
    said = run("/bin/sh", "-c", script, cwd=folder, env=environment).stdout
    assert said == f"{common} --out run --dataset mnist --devices 5\n", said
    (folder / "run").mkdir()
    (folder / "run/config.json").touch()
    said = run("/bin/sh", "-c", script, cwd=folder, env=environment).stdout
    assert said == f"{common} --resume run\n", said


def units(build):
    if shutil.which("systemd-analyze") is None:
        print("[skipped] systemd-analyze is missing (package systemd)")
        return 77
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for unit in NAMES:
            text = pathlib.Path(build, "systemd", f"{unit}.service").read_text()
            assert "@" not in re.sub(r"#.*|@(system-service|privileged|resources)|\$@", "", text.replace("$$", "$")), text
            for line in ("Restart=on-failure", "RestartForceExitStatus=5", "User=iotsl", "Type=notify"):
                assert f"\n{line}\n" in text, f"{unit}: {line} is missing"
            if unit == "iotsl-server":
                check_command_of_server(text, folder)
            # systemd looks whether the program is there.
            file = folder / f"{unit}.service"
            file.write_text(text.replace("ExecStart=iotsl-device", "ExecStart=/bin/true"))
            done = run("systemd-analyze", "verify", "--man=no", file)
            assert done.returncode == 0 and not done.stderr, f"{unit}: {done.returncode} {done.stderr}"
            done = run("systemd-analyze", "security", "--offline=true", "--threshold=15", "--no-pager", file)
            level = done.stdout.strip().splitlines()[-1]
            assert done.returncode == 0, level
            print(f"{unit}: {level}")
            # A unit with a mistake is noticed.
            file.write_text(text.replace("Type=notify", "Type=notfy"))
            assert "notfy" in run("systemd-analyze", "verify", "--man=no", file).stderr
    return 0


class Service:
    """A program as systemd would run it."""

    def __init__(self, folder, name, *words):
        self.told, self.log = [], folder / f"{name}.log"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(folder / f"{name}.notify"))
        self.socket.settimeout(0.05)
        environment = {**os.environ, "OMP_WAIT_POLICY": "passive", "WATCHDOG_USEC": "400000",
                       "NOTIFY_SOCKET": str(folder / f"{name}.notify")}
        with open(self.log, "wb") as file:
            self.process = subprocess.Popen(words, stdout=file, stderr=file, env=environment)

    def listen(self):
        try:
            while True:
                self.told.append(self.socket.recv(4096).decode())
        except TimeoutError:
            return

    def wait_for(self, words, count=1, seconds=20):
        end = time.monotonic() + seconds
        while sum(each.startswith(words) for each in self.told) < count:
            assert time.monotonic() < end, f"no {words}: {self.told}\n{self.log.read_text()}"
            self.listen()

    def end(self):
        code = self.process.wait(timeout=20)
        self.listen()
        return code


def notify(programs):
    programs = pathlib.Path(programs)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{s.getsockname()[1]}"

        def start(run_name):
            server = Service(folder, f"server-{run_name}", programs / "iotsl", "server", "--listen", address, "--out",
                             folder / run_name, "--dataset", "glyphs", "--width", "4", "--batch", "8", "--devices", "1",
                             "--threads", "1", "--limit-train", "3200", "--limit-test", "40", "--rounds", "100000",
                             "--partition", "iid", "--eval-every", "100000")
            server.wait_for("READY=1")
            device = Service(folder, f"device-{run_name}", programs / "iotsl-device", "run", "--server", address, "--name",
                             "pi", "--dataset", "glyphs", "--threads", "1", "--manifest", folder / run_name / "manifest.json",
                             "--index", "0")
            device.wait_for("READY=1")
            device.wait_for("STATUS=")
            server.wait_for("STATUS=epoch ")
            return server, device

        server, device = start("once")
        for each in (server, device):
            before = sum(words == "WATCHDOG=1" for words in each.told)
            each.wait_for("WATCHDOG=1", before + 3, 5)
        server.process.terminate()
        codes = server.end(), device.process.send_signal(signal.SIGTERM) or device.end()
        assert codes == (5, 5), f"{codes}\n{server.log.read_text()}{device.log.read_text()}"
        for each in (server, device):
            assert each.told.count("STOPPING=1") == 1 and each.told.count("READY=1") == 1, each.told

        # A server that does not answer any more: the device waits for its gradient to end in order.
        server, device = start("twice")
        server.process.send_signal(signal.SIGSTOP)
        time.sleep(0.3)
        device.process.terminate()
        device.wait_for("STOPPING=1")
        assert device.process.poll() is None, device.log.read_text()
        device.process.terminate()
        assert device.process.wait(timeout=2) == -signal.SIGTERM
        # Nor can it tell anybody: it hangs, and systemd hears nothing.
        server.listen()
        told = len(server.told)
        time.sleep(0.5)
        server.listen()
        assert len(server.told) == told, server.told[told:]
        server.process.kill()
        server.end()
    print("the programs tell systemd where they stand, and end as they are asked")
    return 0


if __name__ == "__main__":
    sys.exit({"units": units, "notify": notify}[sys.argv[1]](sys.argv[2]))
