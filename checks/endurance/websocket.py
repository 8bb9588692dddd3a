"""A small WebSocket client over a socket (RFC 6455), which can also behave badly."""

import base64, os, socket, struct, urllib.parse

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class WebSocket:
    """A connection to `url` (ws://HOST:PORT/PATH). Raises OSError if it cannot be opened or was closed."""

    def __init__(self, url, timeout=10.0, receive_buffer=None):
        parts = urllib.parse.urlsplit(url)
        self.socket = socket.socket()
        try:
            if receive_buffer:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            self.socket.settimeout(timeout)
            self.socket.connect((parts.hostname, parts.port))
            key = base64.b64encode(os.urandom(16)).decode()
            self.socket.sendall((f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                 f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n").encode())
            self.rest = b""
            while b"\r\n\r\n" not in self.rest:
                self.rest += self.more()
            head, self.rest = self.rest.split(b"\r\n\r\n", 1)
            if b" 101 " not in head.split(b"\r\n")[0]:
                raise OSError(f"no WebSocket: {head.splitlines()[0].decode(errors='replace')}")
        except BaseException:
            self.socket.close()
            raise

    def more(self):
        data = self.socket.recv(1 << 16)
        if not data:
            raise ConnectionResetError("the connection was closed")
        return data

    def exactly(self, count):
        while len(self.rest) < count:
            self.rest += self.more()
        data, self.rest = self.rest[:count], self.rest[count:]
        return data

    def receive(self):
        """The next text or binary message: its kind and its bytes. Raises TimeoutError if none comes in time."""
        message, kind = b"", None
        while True:
            first, second = self.exactly(2)
            length = second & 127
            if length == 126:
                length = struct.unpack(">H", self.exactly(2))[0]
            elif length == 127:
                length = struct.unpack(">Q", self.exactly(8))[0]
            data = self.exactly(length)
            code = first & 15
            if code == CLOSE:
                raise ConnectionResetError("the server closed the connection")
            if code == PING:
                self.send(data, PONG)
            elif code != PONG:
                kind = kind or code
                message += data
                if first & 128:
                    return kind, message

    def send(self, data, kind=TEXT):
        if isinstance(data, str):
            data = data.encode()
        mask = os.urandom(4)
        length = bytes([128 | len(data)]) if len(data) < 126 else bytes([254]) + struct.pack(">H", len(data))
        self.socket.sendall(bytes([128 | kind]) + length + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(data)))

    def close(self):
        """Closes as the standard says."""
        try:
            self.send(struct.pack(">H", 1000), CLOSE)
        except OSError:
            pass
        self.socket.close()

    def vanish(self):
        """Ends the connection without a word, with a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


def scene_and_picture(message):
    """The parts of a binary message of /api/v1/live: the JSON text and the JPEG."""
    (length,) = struct.unpack_from("<I", message)
    return message[4:4 + length], message[4 + length:]
