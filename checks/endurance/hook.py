"""A receiver of web hooks that can be down, slow or failing."""

import http.server, json, socket, threading, time


class Hook:
    """Keeps every event that it acknowledged, by path. `mode`: `up`, `down` (refuses connections), `slow` or `failing` (status 503)."""

    SLOW = 2.0  # seconds for an answer

    def __init__(self):
        self.mode, self.received, self.server, self.port = "down", {}, None, 0
        self.set("up")

    def set(self, mode):
        before, self.mode = self.mode, mode
        if mode == "down" and self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None
        elif mode != "down" and before == "down":
            hook = self

            class Handler(http.server.BaseHTTPRequestHandler):
                timeout = 30

                def do_POST(self):
                    body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                    if hook.mode == "slow":
                        time.sleep(hook.SLOW)
                    good = hook.mode != "failing"
                    if good:
                        hook.received.setdefault(self.path, []).append(json.loads(body))
                    self.send_response(204 if good else 503)
                    self.end_headers()

                def log_message(self, *_):
                    pass

            http.server.ThreadingHTTPServer.allow_reuse_address = True
            self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
            self.server.daemon_threads = True
            self.port = self.server.server_port
            threading.Thread(target=self.server.serve_forever, args=(0.1,), name="web hook", daemon=True).start()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
