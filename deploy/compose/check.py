"""Exits 0 when the application answers on loopback."""

import http.client
import sys

connection = http.client.HTTPConnection("127.0.0.1", 8080, timeout=0.8)
try:
    connection.request("GET", "/")
    status = connection.getresponse().status
except OSError as error:
    sys.exit(f"the application does not answer: {error}")
sys.exit(0 if status == 200 else f"the application answers {status}")
