#!/usr/bin/python3
"""Maps of the notes as an XML reader sees them: all on the page, no mark hides another."""
import base64
import xml.etree.ElementTree

from common import WORK, main, ok, shell, write

DOT_PNG = ('89504E470D0A1A0A0000000D4948445200000001000000010802000000907753DE'
           '0000000C4944415478DA63F8D0A0000003F40191ED293CC80000000049454E44AE426082')
SVG = '{http://www.w3.org/2000/svg}'


def check():
    write(f'{WORK}/maps.sql',
          'SELECT latent_plot(body, body) FROM notes;\n'
          f"SELECT latent_plot(body, id, x'{DOT_PNG}') FROM notes WHERE id % 9 = 0;\n")
    out = shell('.read sql/notes.sql', '.mode list', '.separator , \x1e',
                f'.read {WORK}/maps.sql')[1]
    texts = [text for text in out.split('\x1e') if text.strip()]
    ok(len(texts) == 2, 'two maps are drawn', out[:300])
    for text, n in zip(texts, (182, 20)):
        check_map(text, n)


def check_map(text, n):
    try:
        root = xml.etree.ElementTree.fromstring(text)
    except xml.etree.ElementTree.ParseError as e:
        ok(False, f'a map of {n} notes is XML', str(e))
        return
    dots = [numbers(c, 'cx', 'cy') for c in root.iter(SVG + 'circle') if c.get('r') == '4']
    images = [numbers(i, 'x', 'y', 'width') for i in root.iter(SVG + 'image')]
    titles = {t.text for t in root.iter(SVG + 'title')}
    ok(len(dots) + len(images) == n == len(titles), f'a map of {n} notes has all of them',
       f'{len(dots)} and {len(images)}, {len(titles)} tooltips')
    outside = off_page(root, dots, images)
    ok(not outside, f'a map of {n} notes has them on its page', str(outside))
    hidden = overlaps(dots, 8) + overlaps(images, None)
    ok(not hidden, f'on a map of {n} notes none covers another', str(hidden[:3]))
    n_labels = len(list(root.iter(SVG + 'text')))
    ok(n / 2 < n_labels, f'on a map of {n} notes many have labels', str(n_labels))
    if images:
        starts = [picture(i)[:24] for i in root.iter(SVG + 'image')]
        bad = [s for s in starts if s[:8] + s[16:24] != b'\x89PNG\r\n\x1a\n\0\0\0\x40\0\0\0\x40']
        ok(not bad, 'pictures on a map are PNGs of 64x64', str(bad[:1]))


def numbers(element, *names):
    return tuple(float(element.get(name)) for name in names)


def picture(element):
    data = element.get('href').removeprefix('data:image/png;base64,')
    return base64.b64decode(data, validate=True)


def off_page(root, dots, images):
    width, height = (float(x) for x in root.get('viewBox').split()[2:])
    within = lambda x, y, least, size: (least <= x <= width - size and least <= y <= height - size)
    return ([d for d in dots if not within(*d, 4, 4)]
            + [i for i in images if not within(i[0], i[1], 0, i[2])])


def overlaps(marks, size):
    """Pairs of marks nearer than size; size: None takes the mark's own width."""
    pairs = [(a, b) for i, a in enumerate(marks) for b in marks[:i]]
    return [(a, b) for a, b in pairs
            if abs(a[0] - b[0]) < (size or a[2]) and abs(a[1] - b[1]) < (size or a[2])]


if __name__ == '__main__':
    main(check)
