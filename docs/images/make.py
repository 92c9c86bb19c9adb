#!/usr/bin/env python3
"""Makes the pictures of the command line: runs the real binary on a small store of made-up logs, in a terminal
of its own, and writes what the terminal shows as SVG. Python 3, standard library.

    cargo build --release && docs/images/make.py [target/release/timberline]

The same binary makes the same pictures."""

import fcntl
import json
import os
import pty
import random
import re
import struct
import subprocess
import sys
import tempfile
import termios
from html import escape
from pathlib import Path

HERE = Path(__file__).resolve().parent
COLUMNS = 112
START = 1_793_534_400  # 2026-11-01T12:00:00Z
MINUTES = 60

PICTURES = [
    ("query", ['query', '{env="prod"} |= "error"', "--limit", "8", "--exclude-label", "service_name"]),
    ("chart", ["query", 'sum by (app) (rate({env="prod"}[5m]))', "--step", "30s"]),
    ("volume", ["volume", '{env="prod"}', "--target-labels", "app"]),
    ("json", ["query", '{app="shop"} | json | took > 495 | line_format "{{.path}} {{.took}} ms"',
              "--limit", "6", "-o", "raw"]),
]

# The sixteen colours of a terminal, on a dark ground.
COLOURS = ["#484f58", "#ff7b72", "#3fb950", "#d29922", "#58a6ff", "#bc8cff", "#39c5cf", "#b1bac4",
           "#6e7681", "#ffa198", "#56d364", "#e3b341", "#79c0ff", "#d2a8ff", "#56d4dd", "#ffffff"]
GROUND, INK = "#0d1117", "#e6edf3"
CELL, LINE, MARGIN = 8.43, 19, 16


def entries():
    """An hour of three services: a busy shop with a burst of errors, a search, a quiet billing."""
    rng = random.Random(7)
    for second in range(MINUTES * 60):
        burst = 2100 <= second < 2700
        for app, many in (("shop", 3 + second // 900), ("search", 2 + (second // 300) % 3), ("billing", 1)):
            for place in range(many * (3 if burst and app == "shop" else 1)):
                when = (START + second) * 1_000_000_000 + place * 1_000_000 + rng.randrange(1_000_000)
                bad = rng.random() < (0.2 if burst and app == "shop" else 0.002)
                status, took = (503 if bad else 200), rng.randrange(3, 500)
                if app == "shop":
                    path = rng.choice(["/", "/cart", "/checkout", "/search"])
                    line = json.dumps({"level": "error" if bad else "info", "path": path,
                                       "status": status, "took": took})
                else:
                    line = f'level={"error" if bad else "info"} status={status} took={took}ms id={rng.getrandbits(32):08x}'
                yield {"timestamp": str(when), "line": line, "labels": {"app": app, "env": "prod"}}


def terminal(command):
    """What the command writes to a terminal of COLUMNS columns."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
    environment = {"PATH": os.environ["PATH"], "TERM": "xterm-256color", "LANG": "C.UTF-8", "HOME": "/",
                   "PAGER": "cat"}
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=slave, stderr=slave, env=environment)
    os.close(slave)
    said = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:  # The terminal is closed.
            break
        if not piece:
            break
        said += piece
    os.close(master)
    if child.wait() != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{said.decode(errors='replace')}")
    return said.decode().replace("\r\n", "\n").rstrip("\n")


def runs(line, style):
    """A line as texts with their styles: escape sequences of colours are read, others left out."""
    found, at = [], 0
    for match in re.finditer(r"\x1b\[([0-9;?]*)([A-Za-z])", line):
        found.append((line[at:match.start()], dict(style)))
        at = match.end()
        if match[2] != "m":
            continue
        codes = [int(code or 0) for code in match[1].split(";")]
        while codes:
            code = codes.pop(0)
            if code == 0:
                style.clear()
            elif code in (1, 2, 3, 4):
                style[("bold", "dim", "italic", "underline")[code - 1]] = True
            elif code == 22:
                style.pop("bold", None), style.pop("dim", None)
            elif 30 <= code <= 37 or 90 <= code <= 97:
                style["colour"] = COLOURS[code - 30 if code < 90 else code - 82]
            elif code == 38 and codes[:1] == [5]:
                style["colour"] = of_256(codes[1])
                del codes[:2]
            elif code == 38 and codes[:1] == [2]:
                style["colour"] = "#%02x%02x%02x" % tuple(codes[1:4])
                del codes[:4]
            elif code == 39:
                style.pop("colour", None)
    found.append((line[at:], dict(style)))
    return [(text, style) for text, style in found if text]


def of_256(number):
    if number < 16:
        return COLOURS[number]
    if number >= 232:
        return "#" + f"{8 + 10 * (number - 232):02x}" * 3
    number -= 16
    return "#" + "".join(f"{0 if part == 0 else 55 + 40 * part:02x}" for part in (number // 36, number // 6 % 6, number % 6))


def svg(prompt, said):
    lines = [prompt, *said.split("\n")]
    width, height = MARGIN * 2 + COLUMNS * CELL, MARGIN * 2 + len(lines) * LINE
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" height="{height}"'
           ' font-family="ui-monospace, Menlo, Consolas, \'DejaVu Sans Mono\', monospace" font-size="14" font-variant-ligatures="none">',
           f'<rect width="100%" height="100%" rx="8" fill="{GROUND}"/>']
    style = {}
    for row, line in enumerate(lines):
        column, y = 0, MARGIN + row * LINE + 14
        for text, look in runs(line, style):
            looks = f' fill="{look.get("colour", INK)}"'
            looks += ' font-weight="bold"' if look.get("bold") else ""
            looks += ' font-style="italic"' if look.get("italic") else ""
            looks += ' opacity="0.6"' if look.get("dim") else ""
            # Blanks are left out, and each word has its place: fonts differ in how wide what is not ASCII is.
            for word in re.finditer(r"\S+(?: \S+)*" if text.isascii() else r"\S+", text):
                x, wide = MARGIN + (column + word.start()) * CELL, len(word[0]) * CELL
                out.append(f'<text x="{x:.1f}" y="{y}" textLength="{wide:.1f}" lengthAdjust="spacingAndGlyphs"{looks}>'
                           f'{escape(word[0], quote=False)}</text>')
            column += len(text)
        if column > COLUMNS:
            sys.exit(f"over {COLUMNS} columns: {line}")
    return "\n".join([*out, "</svg>"]) + "\n"


def shown(argument):
    return argument if re.fullmatch(r"[\w./:,-]+", argument) else "'" + argument + "'"


def main():
    binary = Path(sys.argv[1] if len(sys.argv) > 1 else HERE / "../../target/release/timberline").resolve()
    with tempfile.TemporaryDirectory() as work:
        logs, data = Path(work, "logs.jsonl"), Path(work, "data")
        logs.write_text("".join(json.dumps(entry) + "\n" for entry in entries()))
        subprocess.run([binary, "import", logs, "--data", data, "--quiet"], check=True)
        where = ["--data", data, "-z", "UTC", "--from", str(START), "--to", str(START + MINUTES * 60)]
        for name, arguments in PICTURES:
            said = terminal([binary, *arguments, *where, "--color", "always"])
            prompt = "\x1b[32m$\x1b[0m \x1b[1mtimberline " + " ".join(map(shown, arguments)) + "\x1b[0m"
            (HERE / f"{name}.svg").write_text(svg(prompt, said))
            print(HERE / f"{name}.svg")


if __name__ == "__main__":
    main()
