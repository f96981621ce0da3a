"""A receiver for Alertmanager that prints what it gets, a line for each alert: HOST:PORT."""

import http.server
import json
import sys


class Receiver(http.server.BaseHTTPRequestHandler):
    """Prints what is posted, and answers to a look whether it runs."""

    def do_POST(self) -> None:
        """Print the alerts of a message."""
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        for alert in message["alerts"]:
            name = alert["labels"]["alertname"]
            summary = alert["annotations"].get("summary", "")
            sys.stdout.write(f"{alert['startsAt']} {alert['status']} {name}: {summary}\n")
        sys.stdout.flush()
        self.do_GET()

    def do_GET(self) -> None:
        """Say that all is well."""
        self.send_response(http.HTTPStatus.NO_CONTENT)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing of requests."""


if __name__ == "__main__":
    host, _, port = sys.argv[1].rpartition(":")
    http.server.ThreadingHTTPServer((host, int(port)), Receiver).serve_forever()
