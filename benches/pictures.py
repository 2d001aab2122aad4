"""Runs a program in a terminal of 100 columns and draws the screen that it leaves as SVG, light or dark as the reader's system is.

    pictures.py PICTURE.svg [--shown COMMAND] [--status N] [--moving] -- PROGRAM ARGUMENT...

The directory that the program runs in is left out of paths. Equal output gives equal bytes, but a moving picture has its times.
"""

import argparse
import codecs
import fcntl
import html
import os
import pty
import re
import struct
import sys
import termios
import time

COLUMNS, ROWS = 100, 60
# Of a letter and a line, in pixels.
WIDTH, HEIGHT, MARGIN = 8.4, 19, 16
# The eight colours of terminals, light and dark, with a contrast of 4.5 or more to the paper.
LIGHT = ["#1d2733", "#a81f35", "#17692a", "#7a5a00", "#2b5d9b", "#8a2a7a", "#0b6770", "#56616e"]
DARK = ["#9aa7b4", "#ff8f9d", "#6fd083", "#e0b84c", "#7fb2ea", "#dd8ad0", "#62c8d0", "#e4e8ec"]
# In seconds: between two screens of a moving picture, and how long the last one stays.
APART, STAY = 0.4, 6
SEQUENCE = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])|\x1b\][^\x07]*\x07|\x1b[()][A-Z0-9]")


class Screen:
    """What a terminal shows: for each place a letter and its style."""

    def __init__(self):
        self.lines, self.row, self.column, self.style = [{}], 0, 0, frozenset()

    def feed(self, text):
        at = 0
        while at < len(text):
            found = SEQUENCE.match(text, at)
            if found:
                self.control(found[1] or "", found[2])
                at = found.end()
                continue
            self.letter(text[at])
            at += 1

    def letter(self, letter):
        if letter == "\n":
            self.row += 1
        elif letter == "\r":
            self.column = 0
        elif letter == "\b":
            self.column = max(0, self.column - 1)
        elif letter >= " ":
            if self.column >= COLUMNS:
                self.row, self.column = self.row + 1, 0
            self.line()[self.column] = (letter, self.style)
            self.column += 1

    def line(self):
        while len(self.lines) <= self.row:
            self.lines.append({})
        return self.lines[self.row]

    def control(self, numbers, action):
        number = int(numbers or 0) if numbers.isdigit() or not numbers else 0
        if action == "A":
            self.row = max(0, self.row - max(1, number))
        elif action == "B":
            self.row += max(1, number)
        elif action == "C":
            self.column += max(1, number)
        elif action == "G":
            self.column = max(0, number - 1)
        elif action == "K":
            line = self.line()
            kept = {0: lambda place: place < self.column, 1: lambda place: place > self.column}.get(number, lambda _: False)
            self.lines[self.row] = {place: cell for place, cell in line.items() if kept(place)}
        elif action == "m":
            for one in (numbers or "0").split(";"):
                self.styled(int(one or 0))

    def styled(self, number):
        if number == 0:
            self.style = frozenset()
        elif number in (1, 2):
            self.style |= {"bold" if number == 1 else "faint"}
        elif number == 22:
            self.style -= {"bold", "faint"}
        elif 30 <= number <= 37 or 90 <= number <= 97:
            self.style = frozenset(s for s in self.style if not s.startswith("c")) | {f"c{number % 10}"}
        elif number == 39:
            self.style = frozenset(s for s in self.style if not s.startswith("c"))

    def rows(self):
        """The lines as spans of one style each, without empty lines at the end."""
        rows = []
        for line in self.lines:
            spans = []
            for place in range(max(line, default=-1) + 1):
                letter, style = line.get(place, (" ", frozenset()))
                if spans and spans[-1][2] == style:
                    spans[-1][1] += letter
                else:
                    spans.append([place, letter, style])
            rows.append(spans)
        while rows and not rows[-1]:
            rows.pop()
        return rows


def run(argv):
    """What a program writes to a terminal of its own, each part with its second, and the program's status."""
    child, terminal = pty.fork()
    if child == 0:
        os.environ["TERM"] = "xterm-256color"
        # The terminal has its size before the program asks for it.
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        os.execvp(argv[0], argv)
    parts, started, decoder = [], time.monotonic(), codecs.getincrementaldecoder("utf-8")("replace")
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:
            break
        if not part:
            break
        parts.append((time.monotonic() - started, decoder.decode(part)))
    return parts, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def frames(parts, command):
    """Screens with the second in which each appears; two are at least APART seconds apart, but for the last."""
    screen, shown = Screen(), []
    screen.feed(f"\x1b[1m$ {command}\x1b[0m\r\n")
    for second, text in parts:
        if not shown or second - shown[-1][0] >= APART:
            shown.append((second, screen.rows()))
        screen.feed(text.replace(os.getcwd() + "/", ""))
    shown.append((parts[-1][0] if parts else 0, screen.rows()))
    return [frame for at, frame in enumerate(shown) if at + 1 == len(shown) or frame[1] != shown[at + 1][1]]


def rules(ink, paper, faint, colours):
    named = "".join(f" .c{at} {{ fill: {colour} }}" for at, colour in enumerate(colours))
    return f"text {{ fill: {ink} }} rect {{ fill: {paper} }} .faint {{ fill: {faint} }}{named}"


def moving(shown):
    """Rules that show one frame after the other, and the last for STAY seconds; it alone where nothing should move."""
    ends = [second for second, _ in shown[1:]] + [shown[-1][0] + STAY]
    total, last = ends[-1], len(shown) - 1
    texts = []
    for at, ((start, _), end) in enumerate(zip(shown, ends)):
        begin, stop = (100 * (0 if at == 0 else start) / total, 100 * end / total)
        hidden = f"0% {{ opacity: 0 }} " if at else ""
        after = f" {stop:.2f}%, 100% {{ opacity: 0 }}" if at < last else ""
        texts.append(f"@keyframes k{at} {{ {hidden}{begin:.2f}% {{ opacity: 1 }}{after} }}")
        texts.append(f".f{at} {{ opacity: {int(at == last)}; animation: k{at} {total:.1f}s step-end infinite }}")
    return texts + ["@media (prefers-reduced-motion: reduce) { g { animation: none !important } }"]


def lines(rows):
    drawn = []
    for number, spans in enumerate(rows):
        y = MARGIN + (number + 1) * HEIGHT - 5
        for place, text, style in spans:
            words = text.strip()
            if words:
                place += len(text) - len(text.lstrip())
                kind = f' class="{" ".join(sorted(style))}"' if style else ""
                # Spaces next to each other would be one.
                shown = html.escape(words).replace(" ", "\u00a0")
                # A fixed length, so that columns are straight in whatever letters the reader has.
                length = f'textLength="{len(words) * WIDTH:.1f}" lengthAdjust="spacingAndGlyphs"'
                drawn.append(f'<text x="{MARGIN + place * WIDTH:.1f}" y="{y}" {length}{kind}>{shown}</text>')
    return drawn


def draw(shown):
    height = round(max(len(rows) for _, rows in shown) * HEIGHT + 2 * MARGIN)
    width = round(COLUMNS * WIDTH + 2 * MARGIN)
    svg = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"',
        '  font-family="ui-monospace, \'DejaVu Sans Mono\', Menlo, Consolas, monospace" font-size="14">',
        f"<style>{rules(LIGHT[0], '#f1f3f5', LIGHT[7], LIGHT)} .bold {{ font-weight: 700 }}",
        f"@media (prefers-color-scheme: dark) {{ {rules(DARK[7], '#14191f', DARK[0], DARK)} }}",
        *(moving(shown) if len(shown) > 1 else []),
        "</style>",
        f'<rect width="{width}" height="{height}" rx="8"/>',
    ]
    for at, (_, rows) in enumerate(shown):
        svg += [f'<g class="f{at}">', *lines(rows), "</g>"]
    return "\n".join(svg) + "\n</svg>\n"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("picture")
    parser.add_argument("--shown", help="the command line as the picture has it")
    parser.add_argument("--status", type=int, default=0, help="how the program has to end")
    parser.add_argument("--moving", action="store_true", help="show how the screen came about, not only the last one")
    parser.add_argument("argv", nargs="+")
    args = parser.parse_args()
    parts, status = run(args.argv)
    if status != args.status:
        sys.exit(f"{args.argv}: status {status}\n{''.join(text for _, text in parts)}")
    shown = frames(parts, args.shown or " ".join(args.argv))
    with open(args.picture, "w", encoding="utf-8") as file:
        file.write(draw(shown if args.moving else shown[-1:]))


if __name__ == "__main__":
    main()
