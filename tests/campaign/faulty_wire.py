"""A wire between a device and its server that does harm at random moments, from a seed."""

import socket
import struct
import threading
import time


class FaultyWire:
    """Listens on loopback and passes what comes on to the server.

    Chances are per chunk of at most 16 KiB: `cut` resets both sides in the middle of it, `half_close` ends one direction
    there, `flip` turns one bit. `most`: faults at most. `chunk`: bytes passed on at a time. `delay`: seconds at most that a
    chunk waits. `rate`: bytes a second in each direction."""

    def __init__(self, server, random, most=0, cut=0.0, half_close=0.0, flip=0.0, chunk=16384, delay=0.0, rate=0):
        self.server, self.random, self.most, self.faults = server, random, most, 0
        self.chances = [("cut", cut), ("half_close", half_close), ("flip", flip)]
        self.chunk, self.delay, self.rate = chunk, delay, rate
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def close(self):
        self.listener.close()

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.connect, args=(near,), daemon=True).start()

    def connect(self, near):
        try:
            far = socket.create_connection(("127.0.0.1", self.server), timeout=5)
        except OSError:
            self.reset(near)
            return
        far.settimeout(None)
        for end in (near, far):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for source, sink in ((near, far), (far, near)):
            threading.Thread(target=self.copy, args=(source, sink), daemon=True).start()

    @staticmethod
    def reset(end):
        try:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            end.shutdown(socket.SHUT_RD)  # wakes its reader
            end.close()
        except OSError:
            pass

    def harm(self):
        """What happens to this chunk."""
        with self.lock:
            for name, chance in self.chances:
                if chance and self.faults < self.most and self.random.random() < chance:
                    self.faults += 1
                    return name
        return None

    def copy(self, source, sink):
        try:
            while data := source.recv(16384):
                harm = self.harm()
                at = self.random.randrange(len(data))
                if harm == "flip":
                    data = data[:at] + bytes([data[at] ^ 1 << self.random.randrange(8)]) + data[at + 1:]
                if harm in ("cut", "half_close"):
                    data = data[:at]
                self.pass_on(sink, data)
                if harm == "cut":
                    break
                if harm == "half_close":
                    sink.shutdown(socket.SHUT_WR)
                    return  # the other direction goes on until somebody ends it
        except OSError:
            pass
        self.reset(source)
        self.reset(sink)

    def pass_on(self, sink, data):
        if self.delay:
            time.sleep(self.random.uniform(0, self.delay))
        if self.chunk >= len(data):
            sink.sendall(data)
        else:
            for at in range(0, len(data), self.chunk):
                sink.sendall(data[at:at + self.chunk])
        if self.rate:
            time.sleep(len(data) / self.rate)
