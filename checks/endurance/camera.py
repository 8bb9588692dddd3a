"""An RTSP server with cameras that show photos of people in turn: camera.py PORT CAMERAS SIZE RATE PHOTO…

Serves rtsp://127.0.0.1:PORT/1, /2, … Each picture carries the time at which it was made, as blocks in its two top rows: 32 bits of
milliseconds, and their complement. A photo is shown for three to seven seconds, and between two photos nothing for a second or two. Prints
`ready PORT` once it serves, and ends with the program that started it. Needs GStreamer's RTSP server and the system's Python.
"""

import random, sys, threading, time

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer

BITS = 32
ROW = 12  # height of a row of blocks, in pixels


def stamp(width):
    """The two rows of blocks of this moment: grey values."""
    now = int(time.time() * 1000) & 0xFFFFFFFF
    block = width // BITS
    return b"".join(b"".join((b"\xe0" if value >> (31 - bit) & 1 else b"\x20") * block for bit in range(BITS)) * ROW
                    for value in (now, now ^ 0xFFFFFFFF))


def age_of(grey, stride, width):
    """The seconds since the picture with these grey values was made; None if its blocks cannot be read."""
    block = width // BITS
    values = [sum((grey[row * stride + bit * block + block // 2] > 128) << (31 - bit) for bit in range(BITS)) for row in (ROW // 2, ROW + ROW // 2)]
    if values[0] ^ values[1] != 0xFFFFFFFF:
        return None
    age = (int(time.time() * 1000) - values[0]) & 0xFFFFFFFF
    return (age - (1 << 32) if age >> 31 else age) / 1000


def photo(path, width, height):
    """A photo in the middle of a grey picture, I420."""
    caps = f"video/x-raw,format=I420,width={width},height={height},pixel-aspect-ratio=1/1"
    pipeline = Gst.parse_launch(f'filesrc name=file ! decodebin ! videoconvert ! videoscale add-borders=true ! {caps} ! appsink name=out sync=false')
    pipeline.get_by_name("file").set_property("location", path)
    pipeline.set_state(Gst.State.PLAYING)
    sample = pipeline.get_by_name("out").emit("try-pull-sample", 20 * Gst.SECOND)
    if sample is None:
        sys.exit(f"{path} cannot be decoded")
    buffer = sample.get_buffer()
    data = buffer.extract_dup(0, buffer.get_size())
    pipeline.set_state(Gst.State.NULL)
    return data


class Camera(GstRtspServer.RTSPMediaFactory):
    def __init__(self, width, height, rate, photos):
        super().__init__()
        self.width, self.height, self.rate, self.photos = width, height, rate, photos
        self.sources, self.shown, self.until, self.chance = [], None, 0.0, random.Random()
        self.empty = b"\x60" * (width * (height - 2 * ROW)) + b"\x80" * (width * height // 2)
        self.set_shared(True)

    def do_create_element(self, url):
        caps = f"video/x-raw,format=I420,width={self.width},height={self.height},framerate={self.rate}/1"
        return Gst.parse_launch(f"( appsrc name=source is-live=true do-timestamp=true format=time max-buffers=3 leaky-type=downstream caps={caps} "
                                f"! x264enc tune=zerolatency speed-preset=ultrafast key-int-max={self.rate * 2} bitrate=1000 "
                                "! rtph264pay name=pay0 pt=96 config-interval=1 )")

    def do_configure(self, media):
        source = media.get_element().get_by_name_recurse_up("source")
        self.sources.append(source)
        media.connect("unprepared", lambda _: self.sources.remove(source))

    def push(self):
        if time.monotonic() > self.until:
            showing = self.shown is None
            self.shown = self.chance.choice(self.photos) if showing else None
            self.until = time.monotonic() + (self.chance.uniform(3, 7) if showing else self.chance.uniform(1, 2))
        if self.sources:
            buffer = Gst.Buffer.new_wrapped(stamp(self.width) + (self.shown or self.empty))
            for source in self.sources:
                source.emit("push-buffer", buffer)
        return True


def main():
    port, cameras, size, rate, *paths = sys.argv[1:]
    width, height = map(int, size.split("x"))
    Gst.init(None)
    # The photos begin below the blocks. The chroma of the blocks does not matter, so the planes of the photo only move down.
    below = height - 2 * ROW
    chroma = b"\x80" * (width // 2 * ROW)
    photos = []
    for path in paths:
        data = photo(path, width, below)
        grey, one, other = data[:width * below], data[width * below:width * below * 5 // 4], data[width * below * 5 // 4:]
        photos.append(grey + chroma + one + chroma + other)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    factories = [Camera(width, height, int(rate), photos) for _ in range(int(cameras))]
    for number, factory in enumerate(factories, 1):
        server.get_mount_points().add_factory(f"/{number}", factory)
    if not server.attach(None):
        sys.exit(f"port {port} is taken")
    for factory in factories:
        GLib.timeout_add(1000 // int(rate), factory.push)
    loop = GLib.MainLoop()
    threading.Thread(target=lambda: (sys.stdin.buffer.read(), loop.quit()), daemon=True).start()
    print("ready", server.get_bound_port(), flush=True)
    loop.run()


if __name__ == "__main__":
    main()
