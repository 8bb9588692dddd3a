"""Watches the pictures of a page and reads their age: watcher.py URL…

URL: the WebSocket of a camera (ws://…/api/v1/live). Prints one JSON line for each picture (`camera`, `at`, `age` in seconds or null if it
cannot be read, `stalled`, and `named`: whether a face is identified), and one for each message of a sighting or an alarm (`camera`,
`message`). Ends with the program that started it. Needs GStreamer and the system's Python.
"""

import json, os, sys, threading, time

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst

from camera import age_of
from websocket import BINARY, WebSocket, scene_and_picture

printing = threading.Lock()


def tell(**fields):
    with printing:
        print(json.dumps(fields), flush=True)


class Decoder:
    """Decodes JPEG pictures one by one."""

    def __init__(self):
        self.pipeline = Gst.parse_launch("appsrc name=in is-live=false format=time caps=image/jpeg,framerate=10/1 ! jpegdec ! appsink name=out sync=false")
        self.input, self.output = self.pipeline.get_by_name("in"), self.pipeline.get_by_name("out")
        self.pipeline.set_state(Gst.State.PLAYING)
        self.count = 0

    def age(self, jpeg):
        buffer = Gst.Buffer.new_wrapped(jpeg)
        buffer.pts = self.count * Gst.SECOND // 10
        self.count += 1
        self.input.emit("push-buffer", buffer)
        sample = self.output.emit("try-pull-sample", 5 * Gst.SECOND)
        if sample is None:
            raise RuntimeError("a picture cannot be decoded")
        caps = sample.get_caps().get_structure(0)
        width = caps.get_value("width")
        stride = (width + 3) // 4 * 4
        done, mapped = sample.get_buffer().map(Gst.MapFlags.READ)
        try:
            return age_of(mapped.data, stride, width)
        finally:
            sample.get_buffer().unmap(mapped)


def watch(camera, url):
    decoder = Decoder()
    while True:
        try:
            link = WebSocket(url, timeout=30)
            while True:
                kind, message = link.receive()
                if kind == BINARY:
                    at = time.time()
                    link.send("seen")
                    scene, picture = scene_and_picture(message)
                    scene = json.loads(scene)
                    age = decoder.age(picture)
                    # The decoder's own time is not part of the age.
                    age = None if age is None else round(age - (time.time() - at), 3)
                    named = any(face.get("resembles", {}).get("same_person") for face in scene["faces"])
                    tell(camera=camera, at=at, age=age, stalled=scene.get("stalled_since"), named=named)
                else:
                    message = json.loads(message)
                    if message["type"] in ("sighting", "alarm"):
                        tell(camera=camera, at=time.time(), message=message)
        except OSError as error:
            tell(camera=camera, at=time.time(), lost=str(error))
            time.sleep(0.5)


def main():
    Gst.init(None)
    for number, url in enumerate(sys.argv[1:], 1):
        threading.Thread(target=watch, args=(number, url), daemon=True).start()
    sys.stdin.buffer.read()
    os._exit(0)


main()
