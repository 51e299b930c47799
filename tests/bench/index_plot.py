"""Curves as SVG, in plain text: panels side by side, one legend for all of them."""
import math

COLOURS = {
    'latent': '#d1242f',
    'vec1': '#0969da',
    'sqlite-vec': '#6e7781',
    'sqlite-vec bits': '#8c6d1f',
    'vectorlite': '#1a7f37',
    'Faiss IVF': '#8250df',
    'Faiss HNSW': '#bf5af2',
}
WIDTH, HEIGHT, LEFT, TOP, BOTTOM, GAP = 340, 240, 52, 30, 40, 30


def short(x):
    return f'{x / 1000:g}k' if x >= 1000 else f'{x:g}'


class Axis:
    """From numbers to pixels; ticks are numbers."""

    def __init__(self, low, high, ticks, is_log, start, end):
        self.low = low
        self.high = high
        self.ticks = [t for t in ticks if low <= t <= high]
        self.is_log = is_log
        self.start = start
        self.end = end

    def turn(self, x):
        return math.log(x) if self.is_log else x

    def at(self, x):
        low = self.turn(self.low)
        high = self.turn(self.high)
        return self.start + (self.turn(x) - low) / (high - low) * (self.end - self.start)


def decades(low, high):
    """1, 2, 5, 10, ... around the numbers."""
    ticks = [m * 10.0 ** e for e in range(-3, 7) for m in (1, 2, 5)]
    inside = [t for t in ticks if low / 2.5 < t < high * 2.5]
    return inside[0], inside[-1], inside


def text(x, y, words, anchor='middle', more=''):
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}"{more}>{words}</text>'


def frame(title, x_label, y_label, x, y, x_name):
    out = [text(WIDTH / 2, 16, title, more=' font-weight="bold"')]
    bottom = HEIGHT - BOTTOM
    for t in y.ticks:
        out.append(f'<path d="M{LEFT} {y.at(t):.1f}H{WIDTH - 8}" class="g"/>'
                   + text(LEFT - 5, y.at(t) + 4, short(t), 'end'))
    for t in x.ticks:
        out.append(f'<path d="M{x.at(t):.1f} {TOP}V{bottom}" class="g"/>'
                   + text(x.at(t), bottom + 14, x_name(t)))
    out.append(text((LEFT + WIDTH) / 2, HEIGHT - 8, x_label))
    out.append(f'<text transform="translate(12 {(TOP + bottom) / 2:.0f}) rotate(-90)" '
               f'text-anchor="middle">{y_label}</text>')
    return out


def line(points, x, y, colour, dash=''):
    inside = [(px, py) for px, py in points if x.low <= px <= x.high and y.low <= py <= y.high]
    if not inside:
        return ''
    places = [(f'{x.at(px):.1f}', f'{y.at(py):.1f}') for px, py in inside]
    path = 'M' + 'L'.join(f'{px} {py}' for px, py in places)
    dots = ''
    if not dash:
        dots = ''.join(f'<circle cx="{px}" cy="{py}" r="2.5" fill="{colour}"/>'
                       for px, py in places)
    return f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.8"{dash}/>{dots}'


def plain(x):
    return f'{x:g}'


def rows_axis(low, high):
    """Logarithmic, with a tick at every 1 and 3 of a decade."""
    low, high, ticks = decades(low, high)
    ones = [t for t in ticks if f'{t:.0e}'[0] == '1']
    return Axis(low, high, ones + [3 * t for t in ones], True, LEFT, WIDTH - 8)


def panel(title, curves, x_label, y_label, x_range=None, guide=None):
    """curves: {name: [(x, y)]}.

    x is linear over x_range = (low, high, ticks), or logarithmic. guide: one more line, dashed.
    """
    points = [p for c in curves.values() for p in c if not x_range or p[0] >= x_range[0]]
    if not points:
        return ''
    low, high, ticks = decades(min(p[1] for p in points), max(p[1] for p in points))
    y = Axis(low, high, ticks, True, HEIGHT - BOTTOM, TOP)
    if x_range:
        x = Axis(*x_range, False, LEFT, WIDTH - 8)
        out = frame(title, x_label, y_label, x, y, plain)
    else:
        x = rows_axis(min(p[0] for p in points), max(p[0] for p in points))
        out = frame(title, x_label, y_label, x, y, short)
    if guide:
        out.append(line(guide, x, y, '#57606a', ' stroke-dasharray="4 3"'))
    return '\n'.join(out + [line(sorted(c), x, y, COLOURS[name]) for name, c in curves.items()])


def picture(panels, names):
    """One SVG of the panels, and below them the names of the curves."""
    panels = [p for p in panels if p]
    width = len(panels) * WIDTH + (len(panels) - 1) * GAP
    columns = max(1, width // 110)
    rows = -(-len(names) // columns)
    height = HEIGHT + 4 + 18 * rows
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
           f'width="{width}" font-family="sans-serif" font-size="11">',
           '<style>.g{stroke:#d0d7de;stroke-width:.6}</style>'
           '<rect width="100%" height="100%" fill="#fff"/>']
    out += [f'<g transform="translate({i * (WIDTH + GAP)} 0)">\n{p}\n</g>'
            for i, p in enumerate(panels)]
    for i, name in enumerate(names):
        x = 20 + i % columns * 110
        y = HEIGHT + 10 + i // columns * 18
        out.append(f'<path d="M{x} {y}h16" stroke="{COLOURS[name]}" stroke-width="3"/>'
                   + text(x + 21, y + 4, name, 'start'))
    return '\n'.join(out) + '\n</svg>\n'
