"""The plot of a run, as SVG."""

from xml.sax.saxutils import escape

WIDTH, LEFT, RIGHT, TOP, HEIGHT, GAP = 1280, 96, 92, 84, 140, 54
INK, QUIET, GRID = "#1f2933", "#66788a", "#e4e9ee"
LINES = ["#1668b8", "#d9622b", "#2c8a4b", "#8a4fb0"]
SPANS = {"cameras": "#f2b632", "broker": "#5aa9e6", "database": "#e4572e", "web hook": "#7fb069", "network": "#9b72cf", "viewers": "#8d99ae",
         "photo": "#d36ba6"}


def steps(low, high, count=4):
    """Round values between `low` and `high` for the marks of an axis."""
    span = max(high - low, 1e-9)
    size = 10 ** len(str(int(span / count))) if span / count >= 1 else 1.0
    while size > span / count:
        size /= 10
    size *= next(factor for factor in (1, 2, 5, 10, 20) if size * factor >= span / count)
    first = int(low / size - 1e-9) + (low > 0 and low % size > 1e-9)
    return [value * size for value in range(first, int(high / size + 1e-9) + 1)]


def plain(value):
    return f"{value:.3f}".rstrip("0").rstrip(".") if value != int(value) else f"{int(value)}"


class Panel:
    """One plot. `lines`: (name, [(minute, value)]); `band`: (low, high, name); `marks`: (value, name) of horizontal lines."""

    def __init__(self, title, unit, lines, band=None, marks=(), low=None, high=None):
        self.title, self.unit, self.lines, self.band, self.marks = title, unit, lines, band, list(marks)
        values = [value for _, points in lines for _, value in points if value is not None] or [0]
        values += [mark for mark, _ in self.marks] + (list(band[:2]) if band else [])
        least, most = min(values), max(values)
        room = max((most - least) * 0.08, most * 0.01, 0.1)
        self.low, self.high = (least - room if low is None else low), (most + room if high is None else high)

    def draw(self, out, top, minutes):
        right, bottom = WIDTH - RIGHT, top + HEIGHT
        x = lambda minute: LEFT + (right - LEFT) * minute / minutes
        y = lambda value: bottom - HEIGHT * (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        out.append(f'<rect x="{LEFT}" y="{top}" width="{right - LEFT}" height="{HEIGHT}" fill="#fbfcfd" stroke="{GRID}"/>')
        if self.band:
            low, high, name = self.band
            out.append(f'<rect x="{LEFT}" y="{y(high):.1f}" width="{right - LEFT}" height="{y(low) - y(high):.1f}" fill="{LINES[2]}" opacity="0.12"/>')
            out.append(f'<text x="{right + 6}" y="{y((low + high) / 2) + 4:.1f}" class="small" fill="{LINES[2]}">{escape(name)}</text>')
        for value in steps(self.low, self.high):
            out.append(f'<line x1="{LEFT}" x2="{right}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="{GRID}"/>')
            out.append(f'<text x="{LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{plain(value)}</text>')
        for value, name in self.marks:
            out.append(f'<line x1="{LEFT}" x2="{right}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="#c22" stroke-dasharray="5 4"/>')
            out.append(f'<text x="{right + 6}" y="{y(value) + 4:.1f}" class="small" fill="#c22">{escape(name)}</text>')
        for (_, points), colour in zip(self.lines, LINES):
            pieces, piece = [], []
            for minute, value in points + [(0, None)]:
                if value is None:
                    pieces, piece = pieces + ([piece] if piece else []), []
                else:
                    piece.append(f"{x(minute):.1f},{y(value):.1f}")
            out.extend(f'<polyline points="{" ".join(piece)}" fill="none" stroke="{colour}" stroke-width="1.6" stroke-linejoin="round"/>' for piece in pieces)
        out.append(f'<text x="{LEFT}" y="{top - 10}" class="head">{escape(self.title)}</text>')
        at = right
        for (name, _), colour in reversed(list(zip(self.lines, LINES))):
            at -= 7.0 * len(name) + 34
            out.append(f'<line x1="{at}" x2="{at + 18}" y1="{top - 14}" y2="{top - 14}" stroke="{colour}" stroke-width="3"/>')
            out.append(f'<text x="{at + 24}" y="{top - 10}">{escape(name)}</text>')
        middle = top + HEIGHT / 2
        out.append(f'<text x="20" y="{middle}" text-anchor="middle" class="quiet" transform="rotate(-90 20 {middle})">{escape(self.unit)}</text>')


def time_line(out, top, minutes, faults):
    """One row for each kind of fault, with a bar from each injection to its recovery. Returns the bottom."""
    out.append(f'<text x="{LEFT}" y="{top - 10}" class="head">Faults, from the injection to the recovery</text>')
    kinds = [kind for kind in SPANS if any(fault[0] == kind for fault in faults)]
    for row, kind in enumerate(kinds):
        y = top + row * 20
        own = [fault for fault in faults if fault[0] == kind]
        out.append(f'<rect x="{LEFT}" y="{y}" width="{WIDTH - RIGHT - LEFT}" height="16" fill="#f6f8fa"/>')
        out.append(f'<text x="{LEFT - 8}" y="{y + 12}" text-anchor="end">{kind}</text>')
        out.append(f'<text x="{WIDTH - RIGHT + 6}" y="{y + 12}" class="small">{len(own)}</text>')
        for _, begin, end, good in own:
            left, right = (LEFT + (WIDTH - RIGHT - LEFT) * min(minute, minutes) / minutes for minute in (begin, end))
            out.append(f'<rect x="{left:.1f}" y="{y}" width="{max(right - left, 1.5):.1f}" height="16" fill="{SPANS[kind]}"'
                       + ("/>" if good else ' stroke="#c22" stroke-width="2.5"/>'))
    return top + max(len(kinds), 1) * 20


def plot(title, subtitle, minutes, panels, faults):
    """The SVG. `faults`: (kind, first minute, last minute, whether it was recovered from), kind being a key of SPANS."""
    total = TOP + len(panels) * (HEIGHT + GAP) + len({fault[0] for fault in faults} or {0}) * 20 + 60
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{total}" viewBox="0 0 {WIDTH} {total}">',
           f"<style>text {{ font: 12px system-ui, 'DejaVu Sans', sans-serif; fill: {INK} }} .title {{ font-size: 20px; font-weight: 600 }}"
           f" .head {{ font-size: 13px; font-weight: 600 }} .quiet {{ fill: {QUIET} }} .small {{ font-size: 11px }}</style>",
           f'<rect width="{WIDTH}" height="{total}" fill="white"/>',
           f'<text x="{LEFT}" y="32" class="title">{escape(title)}</text><text x="{LEFT}" y="52" class="quiet">{escape(subtitle)}</text>']
    top = TOP + 8
    for panel in [*panels, None]:
        if panel:
            panel.draw(out, top, minutes)
            bottom = top + HEIGHT
        else:
            bottom = time_line(out, top, minutes, faults)
        for minute in steps(0, minutes, 10):
            at = LEFT + (WIDTH - RIGHT - LEFT) * minute / minutes
            out.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{bottom}" y2="{bottom + 4}" stroke="{QUIET}"/>')
            out.append(f'<text x="{at:.1f}" y="{bottom + 17}" text-anchor="middle" class="small quiet">{plain(minute)}</text>')
        top = bottom + GAP
    out.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{bottom + 38}" text-anchor="middle" class="quiet">minutes since the start</text>')
    out.append("</svg>")
    return "\n".join(out)
