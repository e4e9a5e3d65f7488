"""What the campaigns share: the programs in the background on loopback, a server with its devices, the table."""

import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import time

ENVIRONMENT = {**os.environ, "OMP_WAIT_POLICY": "passive"}


class Table:
    def __init__(self):
        self.good = True

    def row(self, what, figure, measured, holds=True):
        self.good &= bool(holds)
        print(f"| {what} | {figure} | {measured} |{'' if holds else ' MISSED'}", flush=True)


def free_port():
    """One below those that the system gives to connections: a server that is started again finds it free."""
    while True:
        port = random.randrange(10240, 32768)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass


class Program:
    """A program in the background, and what it says."""

    def __init__(self, log, *words):
        self.log = log
        with open(log, "ab") as file:
            self.process = subprocess.Popen(words, stdout=file, stderr=file, env=ENVIRONMENT)

    def text(self):
        return self.log.read_text(errors="replace")

    def wait_for(self, words, seconds=20):
        end = time.monotonic() + seconds
        while words not in self.text():
            if time.monotonic() > end or self.process.poll() is not None and words not in self.text():
                raise SystemExit(f"no '{words}' in {self.log.name}:\n{self.text()[-2000:]}")
            time.sleep(0.005)

    def resident(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"RssAnon:\s+(\d+)", status)[1]) * 1024

    def processor_seconds(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(timeout=30)


class Field:
    """A server, enrolled devices, and where they keep what they have."""

    def __init__(self, programs, folder, devices):
        self.iotsl, self.device = programs / "iotsl", programs / "iotsl-device"
        self.folder, self.port = folder, free_port()
        self.devices = [f"pi-{i:02}" for i in range(devices)]

    def run(self, *words, **more):
        done = subprocess.run(words, capture_output=True, text=True, env=ENVIRONMENT, timeout=60, **more)
        if done.returncode != 0:
            raise SystemExit(f"{words}: {done.returncode}\n{done.stderr}")
        return done.stdout

    def serve(self, name, devices, *more):
        server = Program(self.folder / f"{name}.log", self.iotsl, "server", "--listen",
                         f"127.0.0.1:{self.port}", "--identity", self.folder / "keys", "--out",
                         self.folder / name, "--dataset", "glyphs", "--width", "4", "--batch", "8",
                         "--devices", str(devices), "--threads", "1", "--limit-test", "40", *more)
        server.wait_for("listening on")
        return server

    def enroll(self):
        for name in self.devices:
            token = self.run(self.iotsl, "device", "add", name, "--identity", self.folder / "keys",
                             "--server", f"127.0.0.1:{self.port}")
            self.run(self.device, "enroll", "--identity", self.folder / name, input=token)

    def join(self, index, run, port=None):
        log = self.folder / f"{run}-{index}{'-recorded' if port else ''}.log"
        return Program(log, self.device, "run", "--identity",
                       self.folder / self.devices[index], "--server", f"127.0.0.1:{port or self.port}",
                       "--dataset", "glyphs", "--threads", "1", "--manifest",
                       self.folder / run / "manifest.json", "--index", str(index))
