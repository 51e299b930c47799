"""Makes the pictures to train on: sets of emoji and icons from npm, at 64x64, and their words.

    python3 pictures.py prepare --out DIR
    python3 pictures.py examples --out DIR --to ../examples/pictures

Needs npm and rsvg-convert (Debian: librsvg2-bin).

`prepare` writes DIR/pixels.npy [n, 64, 64, 4] uint8, RGBA with straight alpha, and DIR/index.json:
{"concepts": [...], "pictures": [...]}. A picture (a row of pixels.npy) is {set, name, concept,
split}. `concept` is a number: the row of `concepts`, which is {id, label, keywords, group, texts}.
`id` is the code points of the emoji (or the name of a picture that is no emoji). `texts` is what
one may call it, the label first.

Held out, as pictures_held.tsv lists them (drawn once at random): 5% of the concepts, in every set
(split "concept"), and of two sets 10% of the concepts that other sets show too (split "style"; also
in the set that was drawn after the same designs). Whole sets are held out as well (split "set").
Skin tones and the components of emoji are left out, and icons whose name holds that of a held-out
concept.
"""
import argparse
import io
import json
import multiprocessing
import os
import re
import subprocess
import unicodedata
import zlib

import numpy as np

SIZE = 64
# npm package @iconify-json/<name>: version, licence. The board measures with the first six, as it
# did before there were others.
BOARD_SETS = {
    'noto': ('1.2.9', 'Apache-2.0'),
    'fluent-emoji-flat': ('1.2.6', 'MIT'),
    'twemoji': ('1.2.5', 'CC-BY-4.0'),
    'openmoji': ('1.2.29', 'CC-BY-SA-4.0'),
    'fxemoji': ('1.2.2', 'Apache-2.0'),
    'emojione': ('1.2.3', 'CC-BY-4.0'),
}
EMOJI_SETS = {
    **BOARD_SETS,
    'noto-v1': ('1.2.5', 'Apache-2.0'),
    'fluent-emoji': ('1.2.7', 'MIT'),
    'emojione-v1': ('1.2.3', 'CC-BY-SA-4.0'),
}
ICON_SETS = {
    'streamline-plump-color': ('1.2.2', 'CC-BY-4.0'),
    'streamline-ultimate-color': ('1.2.2', 'CC-BY-4.0'),
    'streamline-emojis': ('1.2.4', 'CC-BY-4.0'),
    'streamline-kameleon-color': ('1.2.2', 'CC-BY-4.0'),
    'streamline-flex-color': ('1.2.2', 'CC-BY-4.0'),
    'streamline-freehand-color': ('1.2.2', 'CC-BY-4.0'),
    'game-icons': ('1.2.4', 'CC-BY-3.0'),
    'icon-park': ('1.2.4', 'Apache-2.0'),
}
HELD_SETS = {
    'flat-color-icons': ('1.2.3', 'MIT'),
    'meteocons': ('1.2.4', 'MIT'),
    'streamline-stickies-color': ('1.2.2', 'CC-BY-4.0'),
}
SETS = {**EMOJI_SETS, **ICON_SETS, **HELD_SETS}
# Sets that show the designs of a set of which styles are held out.
SIBLINGS = {'noto-v1': 'noto', 'fluent-emoji': 'fluent-emoji-flat'}
# Sets of one colour are drawn in one of these, by the name.
INKS = ('#1f2937', '#b91c1c', '#1d4ed8', '#15803d', '#b45309', '#6d28d9', '#0e7490', '#be185d')
EMOJIBASE = '17.0.0'
EXAMPLE_SETS = ('noto', 'fluent-emoji-flat')  # examples/pictures/LICENSES.md has their terms
# Labels of what the repository ships in both sets. Among them are held-out ones: dog, rabbit,
# rocket, volcano, lion, sunflower, ...
EXAMPLES = (
    'grinning face, winking face, loudly crying face, sleeping face, enraged face, '
    'smiling face with sunglasses, cat face, dog face, mouse face, fox, bear, panda, lion, '
    'tiger face, cow face, pig face, frog, monkey face, horse face, unicorn, elephant, giraffe, '
    'dog, cat, rabbit, hedgehog, bat, chicken, penguin, owl, duck, turtle, snake, dragon, whale, '
    'dolphin, fish, octopus, butterfly, bug, honeybee, lady beetle, rose, sunflower, tulip, '
    'cactus, palm tree, evergreen tree, deciduous tree, four leaf clover, maple leaf, mushroom, '
    'red apple, green apple, banana, grapes, watermelon, strawberry, cherries, pineapple, lemon, '
    'tomato, carrot, bread, cheese wedge, hamburger, pizza, hot dog, cookie, birthday cake, '
    'ice cream, hot beverage, beer mug, wine glass, house, castle, volcano, automobile, bus, '
    'train, bicycle, motorcycle, airplane, helicopter, rocket, sailboat, sun, full moon, star, '
    'cloud, rainbow, snowflake, snowman, fire, soccer ball, basketball, trophy, guitar, violin, '
    'clown face, robot, ghost, alien, crown, top hat, key, hammer, light bulb, alarm clock, '
    'books, red heart').split(', ')
HAIR = ('bald', 'curly-hair', 'curly-haired', 'red-hair', 'red-haired', 'white-hair',
        'white-haired')
TONES = {'1F3FB', '1F3FC', '1F3FD', '1F3FE', '1F3FF'}
MORE_WORDS = (
    'grin tears weary wry tear hourglass clamshell floppy typewriter backhand pennant ballot '
    'script opened half semi dot minimize maximize bold exclamation above below side sideways '
    'missing smiley bell cancellation touch tone stamped storm mood wide flowers chili control '
    'knob disk steam negative squared latin capital fist fisted flex bicep wired networked '
    'computers mans womans mens runner mantelpiece clock pages pen rays stock')
SHORT_WORDS = 'of no ok tv up on in at to go no at ox id'
TONED_NAME = re.compile(r'(-skin-tone|-tone\d|-(medium-)?(light|dark)|-medium)$')


def install(out):
    """The packages under out/npm, at the versions above."""
    folder = f'{out}/npm'
    os.makedirs(folder, exist_ok=True)
    if not os.path.exists(f'{folder}/package.json'):
        with open(f'{folder}/package.json', 'w', encoding='utf8') as f:
            f.write('{"private": true}')
    wanted = [f'@iconify-json/{name}@{version}' for name, (version, _) in SETS.items()]
    wanted.append(f'emojibase-data@{EMOJIBASE}')
    subprocess.run(['npm', 'install', '--no-audit', '--no-fund', *wanted], cwd=folder, check=True,
                   stdout=subprocess.DEVNULL)
    return f'{folder}/node_modules'


def read_json(path):
    with open(path, encoding='utf8') as f:
        return json.load(f)


def code_points(hexcode):
    """An emoji's id: its code points without joiners and variation selectors.

    The sets write these two differently.
    """
    return '-'.join(c for c in hexcode.upper().split('-') if c not in ('FE0F', '200D'))


def squeeze(name):
    """Letters and digits only: the sets differ in hyphens, and one writes none.

    All flags become flag + name.
    """
    name = re.sub(r'^flag-for-(flag-)?', 'flag-', name.lower())
    name = re.sub(r'[^a-z0-9]', '', unicodedata.normalize('NFKD', name))
    return 'flag' + name[:-4] if name.endswith('flag') else name


def unicode_name(hexcode):
    """The character's own name, for emoji of one character."""
    return '' if '-' in hexcode else unicodedata.name(chr(int(hexcode, 16)), '')


class IconSet:
    """One package: the SVG of each name, without aliases, and the code points of some names."""

    def __init__(self, folder):
        f = read_json(f'{folder}/icons.json')
        self.icons = f['icons']
        self.aliases = f.get('aliases', {})
        self.size = f.get('width', 16), f.get('height', 16)
        self.ids = {}
        for points, name in read_json(f'{folder}/chars.json').items():
            self.ids.setdefault(self.root(name), set()).add(code_points(points))

    def root(self, name):
        """The name that an alias stands for."""
        while name in self.aliases:
            name = self.aliases[name]['parent']
        return name

    def names(self):
        """Names worth a picture: no skin tones, no hair alone."""
        def is_wanted(name):
            if any(TONES & set(i.split('-')) for i in self.ids.get(name, ())):
                return False
            return name not in HAIR and (name in self.ids or not TONED_NAME.search(name))

        return [n for n in self.icons if is_wanted(n)]

    def svg(self, name):
        """A document around the icon's body, its box made square."""
        icon = self.icons[name]
        w = icon.get('width', self.size[0])
        h = icon.get('height', self.size[1])
        side = max(w, h)
        left = icon.get('left', 0) - (side - w) / 2
        top = icon.get('top', 0) - (side - h) / 2
        return ('<svg xmlns="http://www.w3.org/2000/svg" '
                f'xmlns:xlink="http://www.w3.org/1999/xlink" width="{SIZE}" height="{SIZE}" '
                f'color="{INKS[zlib.crc32(name.encode()) % len(INKS)]}" '
                f'viewBox="{left} {top} {side} {side}">{icon["body"]}</svg>')


class Concepts:
    """What pictures show.

    A concept is found by code points, or by any name that a set or Unicode has for it.
    """

    def __init__(self, modules, sets):
        self.rows = []
        self.by_id = {}
        self.by_name = {}
        folder = f'{modules}/emojibase-data'
        emoji = [e for e in read_json(f'{folder}/en/data.json') if e.get('group') != 2]
        self.add_emoji(emoji, read_json(f'{folder}/meta/groups.json')['groups'])
        for source in ('cldr', 'joypixels', 'iamcal'):
            self.add_names(read_json(f'{folder}/en/shortcodes/{source}.json'))
        for name in EMOJI_SETS:
            self.add_aliases(sets[name])
        texts = [t for e in emoji for t in (e['label'], *e.get('tags', []))]
        texts += [n for name in EMOJI_SETS for n in sets[name].ids]
        self.words = {w for t in texts for w in re.findall('[a-z]{2,}', t.lower())}
        self.words |= set(MORE_WORDS.split())
        self.words -= {w for w in self.words if len(w) == 2 and w not in SHORT_WORDS.split()}

    def add_emoji(self, emoji, groups):
        """The emoji themselves, found by their labels and then by their names in Unicode."""
        for e in emoji:
            group = groups.get(str(e.get('group')), 'symbols')
            self.add(code_points(e['hexcode']), e['label'], e.get('tags', []), group)
        for e in emoji:
            known = self.by_id[code_points(e['hexcode'])]
            self.by_name.setdefault(squeeze(unicode_name(e['hexcode'])), known)

    def add_names(self, shortcodes):
        """Other names, by code points."""
        for points, names in shortcodes.items():
            known = self.by_id.get(code_points(points))
            if known is None:
                continue
            for name in names if isinstance(names, list) else [names]:
                self.by_name.setdefault(squeeze(name), known)

    def add_aliases(self, s):
        """What a set calls the emoji that it has code points of."""
        called = {}
        for name in (*s.icons, *s.aliases):
            called.setdefault(s.root(name), []).append(name)
        for name, ids in s.ids.items():
            for known in sorted(ids & self.by_id.keys()):
                for other in called.get(name, ()):
                    self.by_name.setdefault(squeeze(other), self.by_id[known])

    def split(self, name):
        """A name written without spaces, cut into the fewest known words and figures.

        As it is, if that cannot be done.
        """
        best = [(0, [])]
        for end in range(1, len(name) + 1):
            known = [a for a in range(end)
                     if best[a] and (name[a:end] in self.words or name[a:end].isdigit())]
            cuts = ((best[a][0] + 1, best[a][1] + [name[a:end]]) for a in known)
            best.append(min(cuts, default=None))
        return ' '.join(best[-1][1]) if best[-1] else name

    def add(self, id, label, keywords, group):
        """A new concept; gives its number."""
        label = label.lower() if label.isupper() else label
        self.by_id[id] = len(self.rows)
        self.by_name.setdefault(squeeze(label), len(self.rows))
        keywords = [k for k in keywords if k != label]
        self.rows.append(dict(id=id, label=label, keywords=keywords, group=group,
                              texts=phrasings(label, keywords)))
        return self.by_id[id]

    def find_icon(self, name):
        """The concept of an icon. Its name has a number or a style behind, and no code points."""
        words = [w for w in re.sub(r'-(flat|duo|fill)$', '', name).split('-') if not w.isdigit()]
        return self.find('-'.join(words) or name, ())

    def find(self, name, ids):
        """The concept of a picture. One that nobody knows becomes its own, called by its name."""
        for i in sorted(ids):
            if i in self.by_id:
                return self.by_id[i]
        if squeeze(name) in self.by_name:
            return self.by_name[squeeze(name)]
        label = ' '.join(self.split(part) for part in name.split('-'))
        return self.add(name, label, label.split() if ' ' in label else [], 'extra')


def phrasings(label, keywords):
    """What one may call a concept, the label first."""
    name = re.sub(r'^flag: ', 'flag of ', label).replace(': ', ' ')
    article = 'an' if name[0].lower() in 'aeiou' else 'a'
    texts = [label, name, f'{article} {name}', f'a picture of {article} {name}', f'{name} emoji',
             f'an icon of {name}']
    if keywords:
        texts += [f'{name}, {", ".join(keywords[:n])}' for n in (4, 9)]
    return list(dict.fromkeys(texts))


def render(svg):
    """SVG text -> [64, 64, 4] uint8, straight alpha; None if it cannot be drawn."""
    from PIL import Image

    command = ['rsvg-convert', '-w', str(SIZE), '-h', str(SIZE)]
    r = subprocess.run(command, input=svg.encode(), capture_output=True)
    if r.returncode or not r.stdout:
        return None
    return np.array(Image.open(io.BytesIO(r.stdout)).convert('RGBA'))


def held_out():
    """{(a set or 'every set', id of a concept)}."""
    folder = os.path.dirname(os.path.abspath(__file__))
    with open(f'{folder}/pictures_held.tsv', encoding='utf8') as f:
        return {tuple(line.rstrip('\n').split('\t')) for line in f}


def hold_out(pictures, concepts):
    """Sets `split` of every picture.

    The list was drawn once: it stays when sets grow or names are understood better.
    """
    held = held_out()
    for p in pictures:
        id = concepts[p['concept']]['id']
        if p['set'] in HELD_SETS:
            p['split'] = 'set'
        elif ('every set', id) in held:
            p['split'] = 'concept'
        elif (SIBLINGS.get(p['set'], p['set']), id) in held:
            p['split'] = 'style'
        else:
            p['split'] = 'train'


def tells(concepts):
    """A pattern of the labels of the concepts that are held out in every set."""
    ids = sorted(i for where, i in held_out() if where == 'every set')
    labels = [re.escape(concepts.rows[concepts.by_id[i]]['label']) for i in ids
              if i in concepts.by_id]
    return re.compile(rf'\b({"|".join(labels)})\b')


def shown(name, icons, concepts, told):
    """[(name, concept)] of a set."""
    if name in EMOJI_SETS:
        return [(n, concepts.find(n, icons.ids.get(n, ()))) for n in icons.names()]
    return [(n, concepts.find_icon(n)) for n in icons.icons
            if name in HELD_SETS or not told.search(n.replace('-', ' '))]


def prepare(a):
    modules = install(a.out)
    sets = {name: IconSet(f'{modules}/@iconify-json/{name}') for name in SETS}
    concepts = Concepts(modules, sets)
    told = tells(concepts)
    pictures = [dict(set=s, name=n, concept=c)
                for s, icons in sets.items() for n, c in shown(s, icons, concepts, told)]
    with multiprocessing.Pool(a.jobs) as pool:
        drawn = pool.map(render, [sets[p['set']].svg(p['name']) for p in pictures], chunksize=64)
    kept = [(p, x) for p, x in zip(pictures, drawn) if x is not None and x[..., 3].any()]
    np.save(f'{a.out}/pixels.part.npy', np.stack([x for _, x in kept]))
    # A training may have the old file mapped.
    os.replace(f'{a.out}/pixels.part.npy', f'{a.out}/pixels.npy')
    write_index(f'{a.out}/index.json', [p for p, _ in kept], concepts)
    print(f'{len(drawn) - len(kept)} could not be drawn')


def write_index(path, pictures, concepts):
    """Numbers only the concepts that some picture shows."""
    used = sorted({p['concept'] for p in pictures})
    number = {old: new for new, old in enumerate(used)}
    for p in pictures:
        p['concept'] = number[p['concept']]
    rows = [concepts.rows[c] for c in used]
    hold_out(pictures, rows)
    with open(path, 'w', encoding='utf8') as f:
        json.dump(dict(concepts=rows, pictures=pictures), f, ensure_ascii=False, indent=0)
    counts = {s: sum(p['split'] == s for p in pictures)
              for s in ('train', 'style', 'concept', 'set')}
    print(f'{len(pictures)} pictures of {len(used)} concepts; {counts}')


def examples(a):
    """<to>/<set>/<label-with-dashes>.png for the pictures of EXAMPLES."""
    from PIL import Image

    pixels = np.load(f'{a.out}/pixels.npy', mmap_mode='r')
    index = read_json(f'{a.out}/index.json')
    label = [c['label'] for c in index['concepts']]
    found = {(p['set'], label[p['concept']]): i for i, p in enumerate(index['pictures'])}
    for s in EXAMPLE_SETS:
        os.makedirs(f'{a.to}/{s}', exist_ok=True)
        for name in EXAMPLES:
            picture = Image.fromarray(pixels[found[s, name]])
            picture.save(f'{a.to}/{s}/{name.replace(" ", "-")}.png', optimize=True)


def main():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('what', choices=['prepare', 'examples'])
    p.add_argument('--out', required=True)
    p.add_argument('--to', help='examples: folder to write them in')
    p.add_argument('--jobs', type=int, default=os.cpu_count())
    a = p.parse_args()
    if a.what == 'prepare':
        prepare(a)
    else:
        examples(a)


if __name__ == '__main__':
    main()
