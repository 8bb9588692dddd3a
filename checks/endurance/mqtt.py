"""A small MQTT 3.1.1 client that subscribes and remembers. Its session outlives a broker that is stopped and started."""

import socket, struct, threading, time


def text(words):
    data = words.encode()
    return struct.pack(">H", len(data)) + data


def packet(first, body):
    length, digits = len(body), b""
    while True:
        length, digit = divmod(length, 128)
        digits += bytes([digit | (128 if length else 0)])
        if not length:
            return bytes([first]) + digits + body


class Subscriber(threading.Thread):
    """Calls `heard(topic, payload, retained)` for each message below `topic` (at least once), until `stop`."""

    KEEP_ALIVE = 20

    def __init__(self, port, topic, heard):
        super().__init__(name="mqtt subscriber", daemon=True)
        self.port, self.topic, self.heard, self.ended = port, topic, heard, threading.Event()

    def run(self):
        while not self.ended.is_set():
            try:
                self.listen()
            except OSError:
                self.ended.wait(0.5)

    def stop(self):
        self.ended.set()
        self.join(10)

    def listen(self):
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            # Flags 0: the session is kept, so that messages wait for this client.
            connection.sendall(packet(0x10, text("MQTT") + bytes([4, 0]) + struct.pack(">H", self.KEEP_ALIVE) + text("soak")))
            connection.sendall(packet(0x82, struct.pack(">H", 1) + text(self.topic) + b"\x01"))
            connection.settimeout(1)
            data, pinged, answered = b"", time.monotonic(), time.monotonic()
            while not self.ended.is_set():
                if time.monotonic() > pinged + self.KEEP_ALIVE / 4:
                    connection.sendall(b"\xc0\x00")
                    pinged = time.monotonic()
                if time.monotonic() > answered + self.KEEP_ALIVE:
                    raise TimeoutError("the broker does not answer")
                try:
                    more = connection.recv(1 << 16)
                except TimeoutError:
                    continue
                if not more:
                    raise ConnectionResetError("the broker closed the connection")
                answered, data = time.monotonic(), data + more
                while found := self.split(data):
                    (first, body), data = found
                    if first >> 4 == 3:
                        self.publish(connection, first, body)
            connection.sendall(b"\xe0\x00")

    @staticmethod
    def split(data):
        """The first packet of `data` and the rest; None if it is not complete."""
        length, at, shift = 0, 1, 0
        while True:
            if at >= len(data):
                return None
            length |= (data[at] & 127) << shift
            shift, at = shift + 7, at + 1
            if not data[at - 1] & 128:
                break
        if len(data) < at + length:
            return None
        return (data[0], data[at:at + length]), data[at + length:]

    def publish(self, connection, first, body):
        (length,) = struct.unpack_from(">H", body)
        topic, rest = body[2:2 + length].decode(), body[2 + length:]
        if first >> 1 & 3:
            number, rest = rest[:2], rest[2:]
            self.heard(topic, rest, bool(first & 1))
            connection.sendall(b"\x40\x02" + number)
        else:
            self.heard(topic, rest, bool(first & 1))
