#!/usr/bin/env python3
"""Pushes a log file to a Loki-compatible server, or reads one back, byte for byte.

  push_file.py push FILE NAME=VALUE [NAME=VALUE ...] [--url http://127.0.0.1:3100] [--start NANOSECONDS]
  push_file.py read NAME=VALUE [NAME=VALUE ...]      [--url ...] [--start NANOSECONDS] > FILE

A line is what stands before a newline; the file must be UTF-8. `read` ends every line with a newline, also
the last one of a file that does not end in one. Lines get timestamps a microsecond apart,
from --start (an hour ago by default; `push` prints it), so that `read` gives them back in the file's order.
Needs nothing but Python's standard library.
"""
import argparse, json, sys, time, urllib.error, urllib.parse, urllib.request

LINES_PER_PUSH = 1000
LINES_PER_READ = 5000
STEP_NS = 1000


def labels(pairs):
    return dict(pair.split("=", 1) for pair in pairs)


def push(args):
    start = args.start if args.start is not None else (time.time_ns() - 3600 * 10**9)
    with open(args.file, "rb") as f:
        lines = f.read().decode("utf-8").split("\n")
    if lines[-1] == "":
        lines.pop()
    for first in range(0, len(lines), LINES_PER_PUSH):
        values = [[str(start + i * STEP_NS), lines[i]] for i in range(first, min(first + LINES_PER_PUSH, len(lines)))]
        body = json.dumps({"streams": [{"stream": labels(args.label), "values": values}]}).encode()
        request = urllib.request.Request(args.url + "/loki/api/v1/push", body, {"Content-Type": "application/json"})
        try:
            urllib.request.urlopen(request).read()
        except urllib.error.HTTPError as error:
            sys.exit(f"refused with {error.code}: {error.read().decode()}")
    print(f"{len(lines)} lines pushed; read them back with --start {start}", file=sys.stderr)


def read(args):
    if args.start is None:
        sys.exit("read needs the --start that push printed")
    selector = "{" + ", ".join(f"{name}={json.dumps(value)}" for name, value in labels(args.label).items()) + "}"
    start = args.start
    while True:
        query = {"query": selector, "start": start, "end": args.start + 86400 * 10**9, "limit": LINES_PER_READ, "direction": "forward"}
        with urllib.request.urlopen(args.url + "/loki/api/v1/query_range?" + urllib.parse.urlencode(query)) as answer:
            streams = json.load(answer)["data"]["result"]
        entries = sorted((int(ts), line) for stream in streams for ts, line in stream["values"])
        for _, line in entries:
            sys.stdout.buffer.write(line.encode() + b"\n")
        if len(entries) < LINES_PER_READ:
            return
        start = entries[-1][0] + 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("push", "read"):
        command = commands.add_parser(name)
        if name == "push":
            command.add_argument("file")
        command.add_argument("label", nargs="+", help="NAME=VALUE")
        command.add_argument("--url", default="http://127.0.0.1:3100")
        command.add_argument("--start", type=int)
    args = parser.parse_args()
    {"push": push, "read": read}[args.command](args)


if __name__ == "__main__":
    main()
