"""The faults of the endurance check. Each has an `inject`, a `heal`, and a `recovered` that says whether the program works as before.

A fault gets the run (`checks/soak`), which holds the servers and what is known about the program, and a random generator.
"""

import json, signal, socket, time

from clients import request
from websocket import BINARY, WebSocket, scene_and_picture

# How long a live source delivers nothing until it counts as stalled (docs/sources.md), and how much later that must have been shown.
STALLED, SHOWN = 5.0, 3.0


class Fault:
    outage = (4, 20)  # seconds between `inject` and `heal`: the least and the most
    limit = 30  # seconds in which the program must have recovered

    def __init__(self, run, chance):
        self.run, self.chance, self.faults = run, chance, []

    def inject(self):
        pass

    def during(self, seconds):
        """Called ten times a second until `heal`, with the seconds since `inject`."""

    def heal(self):
        pass

    def recovered(self, since):
        """Whether the program has recovered; `since`: the time of `heal`."""
        return self.run.pictures_since(since + 0.5) and self.run.ready()


class CameraFault(Fault):
    """The cameras deliver nothing. After five seconds this must be shown everywhere; a new viewer must get no picture without a mark."""

    outage = (3, 25)

    def __init__(self, run, chance):
        super().__init__(run, chance)
        self.checked = False

    def during(self, seconds):
        if self.checked or seconds < STALLED + SHOWN:
            return
        self.checked, run = True, self.run
        for number in (1, 2):
            status = run.json(f"cameras/{number}/api/v1/status")
            if not status or not status["source"]["stalled_since"]:
                self.faults.append(f"camera {number}: the status says nothing of the pause")
            scene = run.json(f"cameras/{number}/api/v1/scene")
            if not scene or not scene.get("stalled_since"):
                self.faults.append(f"camera {number}: the scene is not marked")
            if not run.stalled_scene(number, time.time() - seconds):
                self.faults.append(f"camera {number}: viewers got no marked picture")
        if run.ready():
            self.faults.append("/readyz says that all cameras deliver")
        if not all(run.camera_state(number) == "stalled" for number in (1, 2)):
            self.faults.append("MQTT does not say that the cameras are stalled")
        try:
            link, until = WebSocket(run.live(1), timeout=1.5), time.monotonic() + 1.5
            while time.monotonic() < until:
                kind, message = link.receive()
                if kind == BINARY and not json.loads(scene_and_picture(message)[0]).get("stalled_since"):
                    self.faults.append("a new viewer got a picture without a mark")
            link.close()
        except TimeoutError:
            link.close()
        except OSError as error:
            self.faults.append(f"a new viewer was refused: {error}")


class CameraKilled(CameraFault):
    name = "cameras killed"

    def inject(self):
        self.run.cameras.kill()
        self.run.cameras.wait()

    def heal(self):
        self.run.start_cameras()


class CameraFrozen(CameraFault):
    name = "cameras frozen"

    def inject(self):
        self.run.cameras.send_signal(signal.SIGSTOP)

    def heal(self):
        self.run.cameras.send_signal(signal.SIGCONT)


class BrokerFault(Fault):
    outage = (5, 30)
    limit = 100  # the pauses between two attempts grow to 60 s, and the state is published every 30 s

    def recovered(self, since):
        return self.run.mqtt_state_since(since) and self.run.availability == "online" and self.run.undelivered()["mqtt"] == 0


class BrokerStopped(BrokerFault):
    name = "broker stopped"

    def inject(self):
        self.run.broker.terminate()
        self.run.broker.wait()

    def heal(self):
        self.run.start_broker()


class BrokerFrozen(BrokerFault):
    name = "broker frozen"

    def inject(self):
        self.run.broker.send_signal(signal.SIGSTOP)

    def heal(self):
        self.run.broker.send_signal(signal.SIGCONT)


class DatabaseFault(Fault):
    """The picture goes on meanwhile, and people are still recognised."""

    outage = (5, 25)

    def during(self, seconds):
        if seconds > 3 and not self.run.pictures_since(time.time() - 2):
            self.faults.append(f"no picture for two seconds, {seconds:.0f} s after the database was gone")
        if seconds > 18 and self.run.named < time.time() - 15:
            self.faults.append(f"the program identified no face for 15 seconds, {seconds:.0f} s after the database was stopped")

    def recovered(self, since):
        status, _ = request(self.run.address, "api/v1/people?limit=1", timeout=5)
        said = self.run.json("cameras/1/api/v1/status")
        return status == 200 and said and not said["gallery"]["failure"] and self.run.ready()


class DatabaseStopped(DatabaseFault):
    name = "database stopped"

    def inject(self):
        self.run.database("stop", "immediate")

    def heal(self):
        self.run.database("start")


class DatabaseFrozen(DatabaseFault):
    name = "database frozen"

    def inject(self):
        self.run.database("freeze")

    def heal(self):
        self.run.database("thaw")


class HookFault(Fault):
    outage = (10, 40)
    limit = 100  # the pauses between two attempts grow to 30 s

    def inject(self):
        self.run.hook.set(self.mode)

    def heal(self):
        self.run.hook.set("up")

    def recovered(self, since):
        """Every event from before `heal` has arrived."""
        return not self.run.unposted(before=self.run.known_before)


class HookDown(HookFault):
    name, mode = "web hook down", "down"


class HookSlow(HookFault):
    name, mode = "web hook slow", "slow"


class HookFailing(HookFault):
    name, mode = "web hook failing", "failing"


class NetworkSwitched(Fault):
    """Another network is chosen for a task, and later the one before."""

    name = "network switched"
    outage = (8, 20)
    limit = 60
    OTHERS = {"age": "age_mobilenetv1", "gender": "gender_mobilenetv1", "smile": "face_mobilefacenet", "expression": "face_mobilefacenet",
              "detection": "ssd_mobilenetv1_quarter", "keypoints": "onet"}

    def inject(self):
        self.task = self.chance.choice(sorted(self.OTHERS))
        self.before = self.run.json("cameras/1/api/v1/status")["tasks"][self.task]["network"]
        self.other_used = False
        self.choose(self.OTHERS[self.task])

    def choose(self, network):
        status, _ = request(self.run.address, f"api/v1/tasks/{self.task}", "PUT", {"network": network})
        if status != 202:
            self.faults.append(f"{self.task}: {network} was refused with status {status}")

    def used(self, network):
        status = self.run.json("cameras/1/api/v1/status")
        task = status and status["tasks"][self.task]
        return task and task["network"] == network and not task["loading"] and not task["failure"]

    def during(self, seconds):
        self.other_used = self.other_used or self.used(self.OTHERS[self.task])

    def heal(self):
        until = time.monotonic() + self.limit
        while not self.other_used and time.monotonic() < until:
            time.sleep(0.2)
            self.during(0)
        if not self.other_used:
            self.faults.append(f"{self.task}: {self.OTHERS[self.task]} was not used within {self.limit} s")
        self.choose(self.before)

    def recovered(self, since):
        return self.used(self.before) and super().recovered(since)


class ViewersVanish(Fault):
    """Ten viewers answer no picture and then end without a word."""

    name = "viewers vanish"
    outage = (4, 15)

    def inject(self):
        self.handles = self.run.handles()
        self.links = []
        for number in range(10):
            try:
                self.links.append(WebSocket(self.run.live(number % 2 + 1), receive_buffer=4096))
            except OSError as error:
                self.faults.append(f"a viewer was refused: {error}")

    def heal(self):
        for link in self.links:
            link.vanish()

    def recovered(self, since):
        # The other viewers come and go meanwhile, and each request has a connection.
        return self.run.handles() <= self.handles + 6 and super().recovered(since)


class PhotoTruncated(Fault):
    """A client sends half a photo, and one whose upload ends early. Then a whole photo is searched."""

    name = "photo truncated"
    outage = (2, 3)

    def inject(self):
        self.photo = self.chance.choice(self.run.guests).read_bytes()
        half = self.photo[:len(self.photo) // 2]
        for path in ("people/search", "analyze", "people?name=Test"):
            status, body = request(self.run.address, f"api/v1/{path}", "POST", half)
            if not 400 <= status < 500:
                self.faults.append(f"{path}: half a photo was answered with status {status}: {body[:80]!r}")
        host, port = self.run.base.split("//")[1].strip("/").split(":")
        with socket.create_connection((host, int(port)), timeout=5) as raw:
            raw.sendall(f"POST /cameras/1/api/v1/people/search HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: {len(self.photo)}\r\n\r\n".encode() + half)

    def recovered(self, since):
        status, _ = request(self.run.address, "api/v1/people/search", "POST", self.photo)
        return status == 200


ALL = {kind.name: kind for kind in (CameraKilled, CameraFrozen, BrokerStopped, BrokerFrozen, DatabaseStopped, DatabaseFrozen, HookDown, HookSlow,
                                    HookFailing, NetworkSwitched, ViewersVanish, PhotoTruncated)}
