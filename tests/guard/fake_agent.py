"""A stand-in for the agent, as a process of its own: does what the test tells it over a socket.

Started as `fake_agent.py CONTROL --link-fd K --plan-fd N`. It reports everything that the guard says.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time

MARK = {"LEADERD_ELECTION": "db"}
DAEMON = """
import os, sys, time
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
open(sys.argv[1], "w").write(str(os.getpid()))
time.sleep(600)
"""


def main():
    control = socket.socket(socket.AF_UNIX)
    control.connect(sys.argv[1])
    link = socket.socket(fileno=int(sys.argv[3]))
    link.set_inheritable(False)
    with open(int(sys.argv[5]), encoding="utf-8") as file:
        payload = json.load(file)
    say(control, {"hello": os.getpid(), "payload": payload, "env": dict(os.environ)})
    orders = control.makefile("r")
    while True:
        ready, _, _ = select.select([control, link], [], [])
        if link in ready:
            packet = link.recv(1 << 18)
            if not packet:
                os._exit(3)
            say(control, {"got": json.loads(packet)})
        if control in ready:
            line = orders.readline()
            if not line:
                os._exit(4)
            obey(json.loads(line), link, control)


def say(control, fields):
    control.sendall(json.dumps(fields).encode() + b"\n")


def obey(order, link, control):
    if "send" in order:
        link.send(
            order["send"].encode() if isinstance(order["send"], str) else json.dumps(order["send"]).encode()
        )
        say(control, {"done": "send"})
    elif "exit" in order:
        os._exit(order["exit"])
    elif "close" in order:
        link.close()
        time.sleep(600)
    elif "spawn" in order:
        environment = {**os.environ, **order.get("env", MARK)}
        child = subprocess.Popen(order["spawn"], env=environment, start_new_session=True)
        say(control, {"done": child.pid})
    elif "daemon" in order:
        environment = {**os.environ, **order.get("env", MARK)}
        subprocess.run([sys.executable, "-c", DAEMON, order["daemon"]], env=environment, check=True)
        say(control, {"done": "daemon"})
    elif "spin" in order:
        say(control, {"done": "spin"})
        while True:
            pass


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    main()
