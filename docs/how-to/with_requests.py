"""A requests session whose requests go through a pipeline; run it with `python with_requests.py`."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import requests

from seawall import Deadline, Pipeline, Retry
from seawall.backoff import Exponential
from seawall.integrations.requests import SeawallAdapter

prices = Pipeline("prices", Deadline(5.0), Retry(attempts=3, backoff=Exponential(base=0.01)))


class Flaky(BaseHTTPRequestHandler):
    """Fails once, then answers."""

    failed = False

    def do_GET(self) -> None:
        """One answer."""
        self.send_response(200 if Flaky.failed else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()
        Flaky.failed = True

    def log_message(self, *_: object) -> None:
        """Says nothing."""


server = HTTPServer(("127.0.0.1", 0), Flaky)
threading.Thread(target=server.serve_forever, daemon=True).start()

with requests.Session() as session:
    session.mount("http://", SeawallAdapter(prices))
    print("status", session.get(f"http://127.0.0.1:{server.server_port}/A-100").status_code)
server.shutdown()
server.server_close()
