"""Curves as SVG, in plain text: panels side by side, one legend for all of them."""
import math

COLOURS = {'latent': '#d1242f', 'vec1': '#0969da', 'sqlite-vec': '#6e7781', 'sqlite-vec bits': '#8c6d1f', 'vectorlite': '#1a7f37', 'Faiss IVF': '#8250df', 'Faiss HNSW': '#bf5af2'}
WIDTH, HEIGHT, LEFT, TOP, BOTTOM, GAP = 340, 240, 52, 30, 40, 30


def short(x):
    return f'{x / 1000:g}k' if x >= 1000 else f'{x:g}'


class Axis:
    """From numbers to pixels; ticks are numbers."""

    def __init__(self, low, high, ticks, is_log, start, end):
        turn = math.log if is_log else lambda x: x
        self.ticks, self.low, self.high = [t for t in ticks if low <= t <= high], low, high
        self.at = lambda x: start + (turn(x) - turn(low)) / (turn(high) - turn(low)) * (end - start)


def decades(low, high):
    """1, 2, 5, 10, ... around the numbers."""
    ticks = [m * 10.0 ** e for e in range(-3, 7) for m in (1, 2, 5)]
    inside = [t for t in ticks if low / 2.5 < t < high * 2.5]
    return inside[0], inside[-1], inside


def text(x, y, words, anchor='middle', more=''):
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}"{more}>{words}</text>'


def frame(title, x_label, y_label, x, y, x_name):
    out = [text(WIDTH / 2, 16, title, more=' font-weight="bold"')]
    for t in y.ticks:
        out.append(f'<path d="M{LEFT} {y.at(t):.1f}H{WIDTH - 8}" class="g"/>' + text(LEFT - 5, y.at(t) + 4, short(t), 'end'))
    for t in x.ticks:
        out.append(f'<path d="M{x.at(t):.1f} {TOP}V{HEIGHT - BOTTOM}" class="g"/>' + text(x.at(t), HEIGHT - BOTTOM + 14, x_name(t)))
    out.append(text((LEFT + WIDTH) / 2, HEIGHT - 8, x_label))
    out.append(f'<text transform="translate(12 {(TOP + HEIGHT - BOTTOM) / 2:.0f}) rotate(-90)" text-anchor="middle">{y_label}</text>')
    return out


def line(points, x, y, colour, dash=''):
    inside = [(px, py) for px, py in points if x.low <= px <= x.high and y.low <= py <= y.high]
    if not inside:
        return ''
    path = 'M' + 'L'.join(f'{x.at(px):.1f} {y.at(py):.1f}' for px, py in inside)
    dots = '' if dash else ''.join(f'<circle cx="{x.at(px):.1f}" cy="{y.at(py):.1f}" r="2.5" fill="{colour}"/>' for px, py in inside)
    return f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.8"{dash}/>{dots}'


def panel(title, curves, x_label, y_label, x_range=None, guide=None):
    """curves: {name: [(x, y)]}; x is linear over x_range = (low, high, ticks), or logarithmic. guide: one more line, dashed."""
    points = [p for c in curves.values() for p in c if not x_range or p[0] >= x_range[0]]
    if not points:
        return ''
    y = Axis(*decades(min(p[1] for p in points), max(p[1] for p in points)), True, HEIGHT - BOTTOM, TOP)
    if x_range:
        x, name = Axis(*x_range, False, LEFT, WIDTH - 8), lambda t: f'{t:g}'
    else:
        low, high, ticks = decades(min(p[0] for p in points), max(p[0] for p in points))
        x, name = Axis(low, high, [t for t in ticks if f'{t:.0e}'[0] in '13'] + [3 * t for t in ticks if f'{t:.0e}'[0] == '1'], True, LEFT, WIDTH - 8), short
    out = frame(title, x_label, y_label, x, y, name)
    if guide:
        out.append(line(guide, x, y, '#57606a', ' stroke-dasharray="4 3"'))
    return '\n'.join(out + [line(sorted(c), x, y, COLOURS[name]) for name, c in curves.items()])


def picture(panels, names):
    """One SVG of the panels, and below them the names of the curves."""
    panels = [p for p in panels if p]
    width = len(panels) * WIDTH + (len(panels) - 1) * GAP
    columns = max(1, width // 110)
    rows = -(-len(names) // columns)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT + 4 + 18 * rows}" width="{width}" font-family="sans-serif" font-size="11">',
           '<style>.g{stroke:#d0d7de;stroke-width:.6}</style><rect width="100%" height="100%" fill="#fff"/>']
    out += [f'<g transform="translate({i * (WIDTH + GAP)} 0)">\n{p}\n</g>' for i, p in enumerate(panels)]
    for i, name in enumerate(names):
        x, y = 20 + i % columns * 110, HEIGHT + 10 + i // columns * 18
        out.append(f'<path d="M{x} {y}h16" stroke="{COLOURS[name]}" stroke-width="3"/>' + text(x + 21, y + 4, name, 'start'))
    return '\n'.join(out) + '\n</svg>\n'
