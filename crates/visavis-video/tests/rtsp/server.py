#!/usr/bin/env python3
"""A camera with RTSP, made of GStreamer's RTSP server: server.py [--port N] [--codec h264|h265|jpeg] [--size WxH] …

Every picture carries the time at which it was made, as black and white blocks: 32 bits of milliseconds, and their complement.
Prints `ready PORT` once it serves rtsp://127.0.0.1:PORT/camera, and ends with the program that started it.
"""

import argparse
import sys
import threading
import time

try:
    import gi

    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import GLib, Gst, GstRtspServer
except (ImportError, ValueError) as error:
    sys.exit(f"absent: {error}")

ENCODERS = {
    "h264": "x264enc tune=zerolatency speed-preset=ultrafast key-int-max={gop} bitrate=1500 ! rtph264pay name=pay0 pt=96 config-interval=1",
    "h265": "x265enc tune=zerolatency speed-preset=ultrafast key-int-max={gop} bitrate=1500 log-level=none ! rtph265pay name=pay0 pt=96 config-interval=1",
    "jpeg": "jpegenc quality=90 ! rtpjpegpay name=pay0 pt=26",
}
BLOCKS = 64  # in two rows of 32


def picture(width, height):
    """A grey picture with the time in its upper quarter."""
    stamp = int(time.time() * 1000) & 0xFFFFFFFF
    block = width // 32
    rows = []
    for value in (stamp, stamp ^ 0xFFFFFFFF):
        row = b"".join((b"\xe0" if value >> (31 - bit) & 1 else b"\x20") * block for bit in range(32))
        rows.append((row + b"\x80" * (width - len(row))) * (height // 8))
    lines = height - 2 * (height // 8)
    rest = bytes((40 + (line * 3 + stamp // 40) % 170) for line in range(lines))
    return b"".join(rows) + b"".join(bytes([grey]) * width for grey in rest)


class Factory(GstRtspServer.RTSPMediaFactory):
    def __init__(self, words):
        super().__init__()
        self.words, self.sources = words, []
        self.set_shared(True)

    def do_create_element(self, url):
        words = self.words
        caps = f"video/x-raw,format=GRAY8,width={words.width},height={words.height},framerate={words.fps}/1"
        encoder = ENCODERS[words.codec].format(gop=words.gop)
        return Gst.parse_launch(
            f"( appsrc name=source is-live=true do-timestamp=true format=time max-buffers=3 leaky-type=downstream caps={caps} "
            f"! videoconvert ! video/x-raw,format=I420 ! {encoder} )"
        )

    def do_configure(self, media):
        source = media.get_element().get_by_name_recurse_up("source")
        self.sources.append(source)
        media.connect("unprepared", lambda _: self.sources.remove(source))

    def push(self):
        data = Gst.Buffer.new_wrapped(picture(self.words.width, self.words.height)) if self.sources else None
        for source in self.sources:
            source.emit("push-buffer", data)
        return True


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--codec", choices=ENCODERS, default="h264")
    parser.add_argument("--size", default="320x240")
    parser.add_argument("--fps", type=int, default=15)
    parser.add_argument("--gop", type=int, default=15)
    parser.add_argument("--user")
    parser.add_argument("--password")
    parser.add_argument("--udp-only", action="store_true")
    words = parser.parse_args()
    words.width, words.height = map(int, words.size.split("x"))
    Gst.init(None)
    encoder = ENCODERS[words.codec].split()[0]
    if not Gst.ElementFactory.find(encoder):
        sys.exit(f"absent: GStreamer has no {encoder}")

    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(words.port))
    factory = Factory(words)
    if words.udp_only:
        from gi.repository import GstRtsp

        factory.set_protocols(GstRtsp.RTSPLowerTrans.UDP)
    if words.user:
        auth = GstRtspServer.RTSPAuth()
        token = GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "viewer")
        auth.set_supported_methods(2)  # GST_RTSP_AUTH_DIGEST
        auth.add_digest(words.user, words.password, token)
        server.set_auth(auth)
        permissions = GstRtspServer.RTSPPermissions()
        permissions.add_permission_for_role("viewer", "media.factory.access", True)
        permissions.add_permission_for_role("viewer", "media.factory.construct", True)
        factory.set_permissions(permissions)
    server.get_mount_points().add_factory("/camera", factory)
    if not server.attach(None):
        sys.exit(f"port {words.port} is taken")
    GLib.timeout_add(1000 // words.fps, factory.push)
    loop = GLib.MainLoop()

    def end_with_parent():
        sys.stdin.buffer.read()
        loop.quit()

    threading.Thread(target=end_with_parent, daemon=True).start()
    print("ready", server.get_bound_port(), flush=True)
    loop.run()


main()
