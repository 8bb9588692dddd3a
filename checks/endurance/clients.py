"""Clients of the page: viewers that come and go, a client that changes the gallery, one that reads, and one that sends garbage."""

import collections, json, random, socket, threading, time, urllib.error, urllib.parse, urllib.request

from websocket import BINARY, WebSocket


def request(address, path, method="GET", body=None, timeout=30):
    """The status and the body of the answer; status 0 if there was none. `body`: bytes, or a value to send as JSON."""
    headers = {}
    if body is not None and not isinstance(body, bytes):
        body, headers = json.dumps(body).encode(), {"Content-Type": "application/json"}
    try:
        with urllib.request.urlopen(urllib.request.Request(address + path, body, headers, method=method), timeout=timeout) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
    except (OSError, ValueError):
        return 0, b""


class Repeating(threading.Thread):
    """Calls `step` with pauses of random length until `stop`. An exception of a step is kept in `failure` and ends the thread."""

    def __init__(self, name, seed, pauses):
        super().__init__(name=name, daemon=True)
        self.chance, self.pauses, self.ended, self.failure = random.Random(f"{seed}-{name}"), pauses, threading.Event(), None

    def run(self):
        try:
            while not self.ended.wait(self.chance.uniform(*self.pauses)):
                self.step()
        except Exception as error:  # Told by the report.
            self.failure = f"{self.name}: {error!r}"

    def stop(self):
        self.ended.set()
        self.join(60)


class Viewers(Repeating):
    """Opens viewers of the live picture, up to `MOST` at a time. Each stays 5 to 40 seconds and behaves in one of four ways."""

    MOST = 4
    KINDS = ("prompt", "slow", "silent", "vanishing")

    def __init__(self, seed, sockets):
        super().__init__("viewers", seed, (2, 6))
        self.sockets, self.present, self.count = sockets, [], collections.Counter()

    def step(self):
        self.present = [viewer for viewer in self.present if viewer.is_alive()]
        if len(self.present) < self.MOST:
            words = (self.chance.choice(self.sockets), self.chance.choice(self.KINDS), self.chance.uniform(5, 40))
            viewer = threading.Thread(target=self.view, args=words, daemon=True)
            viewer.start()
            self.present.append(viewer)

    def view(self, url, kind, seconds):
        """`prompt` answers each picture, `slow` after a second, `silent` never; `vanishing` is prompt and ends without a word."""
        until = time.monotonic() + seconds
        try:
            link = WebSocket(url, timeout=10)
        except OSError:
            self.count["refused"] += 1
            return
        self.count[kind] += 1
        try:
            while time.monotonic() < until and not self.ended.is_set():
                if kind == "silent":
                    time.sleep(0.5)  # Reads nothing, so the messages fill the buffers.
                    continue
                try:
                    if link.receive()[0] == BINARY:
                        self.count["pictures"] += 1
                        if kind == "slow":
                            time.sleep(1)
                        link.send("seen")
                except TimeoutError:
                    pass
        except OSError:
            self.count["disconnected"] += 1
        link.vanish() if kind in ("vanishing", "silent") else link.close()

    def stop(self):
        super().stop()
        for viewer in self.present:
            viewer.join(15)


class Editor(Repeating):
    """Adds, renames, watches and removes people, and undoes removals. Remembers what was acknowledged.

    `expected`: for each person by number, what was acknowledged last: `name` and `watched`, or None after a removal. A change that was not
    acknowledged may or may not have been made, so the person is left out from then on.
    """

    MOST = 8

    def __init__(self, seed, address, photos):
        super().__init__("editor", seed, (1.5, 4.5))
        self.address, self.photos, self.number = address, photos, 0
        self.expected, self.present, self.acknowledged, self.failed = {}, [], collections.Counter(), collections.Counter()
        self.touched = set()  # people who were removed at some time, or may have been
        self.removal = None  # the last one: its number for undoing, what was expected before, and when it was

    def step(self):
        choices = ["add"] if len(self.present) < 2 else ["rename", "watch", "remove"] + ["add"] * (len(self.present) < self.MOST)
        what = self.chance.choice(choices + ["undo"] * (self.removal is not None and time.monotonic() < self.removal[2] + 15))
        status = getattr(self, what)()
        done = 200 <= status < 300
        (self.acknowledged if done else self.failed)[what if done else f"{what}: {status}"] += 1

    def add(self):
        self.number += 1
        name, photo = f"Guest {self.number}", self.chance.choice(self.photos)
        query = urllib.parse.urlencode({"name": name, "file": photo.name, "accept_poor": "true"})
        status, body = request(self.address, f"api/v1/people?{query}", "POST", photo.read_bytes())
        if status == 201:
            person = json.loads(body)["person"]
            self.expected[person] = {"name": name, "watched": False}
            self.present.append(person)
        return status

    def change(self, field, value):
        person = self.chance.choice(self.present)
        status, _ = request(self.address, f"api/v1/people/{person}", "PATCH", {field: value})
        if status == 200:
            self.expected[person][field] = value
        else:
            self.uncertain(person)
        return status

    def rename(self):
        self.number += 1
        return self.change("name", f"Guest {self.number}, renamed")

    def watch(self):
        return self.change("watched", self.chance.random() < 0.5)

    def remove(self):
        person = self.chance.choice(self.present)
        self.touched.add(person)
        status, body = request(self.address, f"api/v1/people/{person}", "DELETE")
        if status == 200:
            self.removal = (json.loads(body)["undo"], self.expected[person], time.monotonic())
            self.expected[person] = None
            self.present.remove(person)
        else:
            self.uncertain(person)
        return status

    def undo(self):
        (number, before, _), self.removal = self.removal, None
        status, body = request(self.address, "api/v1/people/undo", "POST", {"undo": number})
        if status == 200:
            person = json.loads(body)["id"]
            self.expected[person] = before
            self.present.append(person)
        return status

    def uncertain(self, person):
        self.expected.pop(person, None)
        if person in self.present:
            self.present.remove(person)


class Reader(Repeating):
    """Lists people, sightings and alarms, searches photos, and reads pictures. Counts the answers by status."""

    def __init__(self, seed, address, photos):
        super().__init__("reader", seed, (2, 6))
        self.address, self.photos, self.count = address, photos, collections.Counter()

    def step(self):
        photo = self.chance.choice(self.photos).read_bytes
        choices = [("api/v1/people", None), ("api/v1/sightings?limit=50", None), ("api/v1/sightings/groups", None), ("api/v1/alarms", None),
                   ("api/v1/people/search", photo), ("api/v1/sightings/search", photo), ("api/v1/analyze", photo), ("api/v1/snapshot", None),
                   ("api/v1/scene", None), ("api/v1/status", None), ("api/v1/networks", None)]
        path, body = self.chance.choice(choices)
        status, _ = request(self.address, path, "POST" if body else "GET", body() if body else None)
        self.count[f"{path.split('?')[0]}: {status}"] += 1


class Garbage(Repeating):
    """Sends requests that make no sense. The program must refuse them and go on: a status of 500 or more is counted as an error."""

    def __init__(self, seed, address, live, photos):
        super().__init__("garbage", seed, (5, 15))
        self.address, self.live, self.photos, self.sent, self.errors = address, live, photos, 0, []

    def step(self):
        noise = self.chance.randbytes(self.chance.randrange(1, 20_000))
        kind = self.chance.choice(["bytes", "photo", "json", "method", "half", "frames", "number"])
        self.sent += 1
        status = 400
        if kind == "photo":
            status, _ = request(self.address, "api/v1/people/search", "POST", noise)
        elif kind == "json":
            status, _ = request(self.address, "api/v1/settings", "PATCH", {"no such setting": "x" * 1000})
        elif kind == "method":
            status, _ = request(self.address, "api/v1/people", "BREW")
        elif kind == "number":
            status, _ = request(self.address, f"api/v1/people/{'9' * 40}")
        elif kind == "frames":
            try:
                link = WebSocket(self.live, timeout=3)
                link.send(noise[:100], self.chance.randrange(16))
                link.socket.sendall(noise)
                link.vanish()
            except OSError:
                pass
        else:
            parts = urllib.parse.urlsplit(self.address)
            try:
                with socket.create_connection((parts.hostname, parts.port), timeout=3) as raw:
                    if kind == "half":  # A request whose body never comes; the connection is ended.
                        raw.sendall(f"POST {parts.path}api/v1/people/search HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: 100000\r\n\r\n".encode())
                    raw.sendall(noise)
                    self.ended.wait(1)
            except OSError:
                pass
        if status >= 500:
            self.errors.append(f"{kind}: status {status}")
