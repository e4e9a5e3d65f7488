"""A crowd of bad peers on loopback: opens sockets, misbehaves in one way, and opens others as they are closed.

usage: strangers.py KIND PORT SOCKETS PER_SECOND ADDRESSES HELLO_FILE

Says "here" once SOCKETS have been opened, runs until standard input ends, then prints one JSON object: how many sockets were opened and refused, and for how
long each was held before the server closed it (seconds: count, mean, longest). Bounded by SOCKETS at a time, from
ADDRESSES addresses 127.0.1.x, PER_SECOND new ones after the first SOCKETS, and by two minutes.
HELLO_FILE: what a device sends when it joins; its first record is a ClientHello.
"""

import errno
import json
import os
import random
import selectors
import socket
import struct
import sys
import time


def first_record(stream):
    return stream[: 5 + struct.unpack(">H", stream[3:5])[0]]


class Crowd:
    def __init__(self, kind, port, sockets, per_second, addresses, recorded):
        self.kind, self.port, self.sockets, self.per_second = kind, port, sockets, per_second
        self.addresses = addresses
        self.hello, self.recorded = first_record(recorded), recorded
        self.selector = selectors.DefaultSelector()
        self.open = {}  # socket -> [time it was connected, bytes sent]
        self.held, self.opened, self.failed = [], 0, 0
        self.random = random.Random(7)

    def words(self):
        """What one of them says at once."""
        if self.kind == "garbage":
            return self.random.randbytes(300)
        if self.kind == "lies":  # a record of 4000 bytes with a message of 16 MB, and a frame of 4 GB
            return self.random.choice([b"\x16\x03\x01\x0f\xa0\x01\xff\xff\xff" + bytes(100),
                                       b"\x16\x03\x01\xff\xff\x01\x00\x10\x00" + bytes(100),
                                       b"\x16\x03\x01\x0f\xa0\x01\x00\x0f\x00" + bytes(100),
                                       b"ISL1\x01\x01\x00\x00\xff\xff\xff\xff" + bytes(20)])
        return {"hello": self.hello, "replay": self.recorded}.get(self.kind, b"")

    def start(self):
        s = socket.socket()
        s.setblocking(False)
        try:
            s.bind((f"127.0.1.{1 + self.opened % self.addresses}", 0))
            s.connect(("127.0.0.1", self.port))
        except OSError as why:
            if why.errno != errno.EINPROGRESS:
                self.failed += 1
                s.close()
                return
        self.opened += 1
        self.open[s] = [time.monotonic(), 0]
        self.selector.register(s, selectors.EVENT_READ | selectors.EVENT_WRITE)

    def end(self, s):
        self.held.append(time.monotonic() - self.open.pop(s)[0])
        self.selector.unregister(s)
        s.close()

    def serve(self, s, events):
        try:
            if events & selectors.EVENT_WRITE:
                self.open[s][0] = time.monotonic()
                s.send(self.words() or b"")
                self.selector.modify(s, selectors.EVENT_READ)
            if events & selectors.EVENT_READ and not s.recv(65536):
                self.end(s)
        except BlockingIOError:
            pass
        except OSError:
            self.end(s)

    def trickle(self):
        """One byte of a ClientHello from each."""
        for s in list(self.open):
            sent = self.open[s][1]
            try:
                s.send(self.hello[sent % len(self.hello):][:1])
                self.open[s][1] += 1
            except BlockingIOError:
                pass
            except OSError:
                self.end(s)

    def run(self):
        stop = sys.stdin.fileno()
        self.selector.register(stop, selectors.EVENT_READ)
        begin = time.monotonic()
        trickled, told = begin, False
        while time.monotonic() - begin < 120:
            due = self.sockets + self.per_second * (time.monotonic() - begin)
            if self.opened >= self.sockets and not told:
                told = True
                print("here", flush=True)
            for _ in range(50):
                if len(self.open) < self.sockets and self.opened < due:
                    self.start()
            for key, events in self.selector.select(0.02):
                if key.fileobj == stop:
                    return self.report(begin)
                self.serve(key.fileobj, events)
            if self.kind == "slow" and time.monotonic() - trickled > 0.5:
                trickled = time.monotonic()
                self.trickle()
        return self.report(begin)

    def report(self, begin):
        now = time.monotonic()
        # Those that are still open are held at least as long as this.
        times = self.held + [now - connected for connected, _ in self.open.values()]
        return {"opened": self.opened, "failed": self.failed, "closed": len(self.held),
                "seconds": round(now - begin, 2), "longest": round(max(times, default=0), 2),
                "cpu": round(time.process_time(), 2)}


if __name__ == "__main__":
    kind, port, sockets, per_second, addresses, hello = sys.argv[1:]
    with open(hello, "rb") as file:
        crowd = Crowd(kind, int(port), int(sockets), int(per_second), int(addresses), file.read())
    os.nice(5)  # it is the load, not what is measured
    print(json.dumps(crowd.run()))
