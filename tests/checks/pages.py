#!/usr/bin/python3
"""The pages (README.md of every folder, and others): their SQL gives what they show, links lead on.

    tests/checks/pages.py [PAGE.md...]          all pages if none is named

The ```sql blocks of a page are one session of the shell, as a reader would type them. If a ```text
block follows a block, it is what the block prints; otherwise the block prints no error.
"""
import os
import re
import sys

from common import SHELL, WORK, difference, main, ok, plain_errors, read, run, write

MARKER = '--8<--'
NOT_OURS = ('build', '.git', 'shared', 'node_modules')


def all_pages():
    found = []
    for folder, folders, files in os.walk('.'):
        folders[:] = sorted(f for f in folders if f not in NOT_OURS)
        found += [os.path.relpath(f'{folder}/{f}') for f in sorted(files) if f.endswith('.md')]
    return found


def fenced(text):
    """The fenced blocks: (language, body, where the body begins)."""
    blocks = re.finditer(r'^```(\w*)[^\n]*\n(.*?)^```', text, re.M | re.S)
    return [(m[1], m[2], m.start(2)) for m in blocks]


def outputs(path):
    """Runs every ```sql block of a page, in one shell, in turn.

    Gives (block, expected output or None, output, where the expected one begins) of each.
    """
    text = read(path)
    blocks = fenced(text)
    stem = f'{WORK}/{path.replace("/", "_")}'
    commands = ['.load build/latent', '.print ' + MARKER]
    sql = [i for i, b in enumerate(blocks) if b[0] == 'sql']
    for i in sql:
        write(f'{stem}_{i}.sql', blocks[i][1])
        commands += [f'.read {stem}_{i}.sql', '.mode list', '.headers off', '.print ' + MARKER]
    out = plain_errors(run(['stdbuf', '-oL', *SHELL, *commands])[1]).split(MARKER + '\n')[1:]
    results = []
    for at, i in enumerate(sql):
        got = out[at] if at < len(out) else '(nothing)'
        after = blocks[i][2] + len(blocks[i][1]) + 3
        follows = i + 1 < len(blocks) and blocks[i + 1][0] == 'text'
        if follows and '\n#' not in text[after:blocks[i + 1][2]]:
            results.append((blocks[i][1], blocks[i + 1][1], got, blocks[i + 1][2]))
        else:
            results.append((blocks[i][1], None, got, 0))
    return results


def check_statements(path):
    for block, expected, got, _ in outputs(path):
        name = f'{path}: ' + ' '.join(block.split())[:90]
        if expected is None:
            ok('error: ' not in got, name, got)
        else:
            ok(got == expected, name, difference(expected, got))


def check_targets(path):
    blocks = ' '.join(b[1] for b in fenced(read(path)) if b[0] in ('sh', 'bash', 'console'))
    indented = ' '.join(re.findall(r'^    (?:.*&& )?make .*', read(path), re.M))
    for target in sorted(set(re.findall(r'\bmake ([a-z]+[a-z-]*)\b', blocks + indented))):
        ok(run(['make', '-n', target])[0] == 0, f'{path}: make {target} exists')


def anchors(path):
    """What a link may have behind its #: the headings of a page, as GitHub writes them."""
    text = re.sub(r'^```.*?^```', '', read(path), flags=re.M | re.S)
    headings = re.findall(r'^#+ (.*)', text, re.M)
    return {re.sub(r'[^\w -]', '', h.lower()).replace(' ', '-') for h in headings}


def check_links(path):
    text = re.sub(r'^```.*?^```', '', read(path), flags=re.M | re.S)
    folder = os.path.dirname(path)
    for link in sorted(set(re.findall(r'\]\(([^)\s:]+)\)', text))):
        file, _, anchor = link.partition('#')
        target = os.path.normpath(os.path.join(folder, file)) if file else path
        good = os.path.exists(target)
        if good and anchor:
            good = target.endswith('.md') and anchor in anchors(target)
        ok(good, f'{path}: {link} leads somewhere')


def check():
    pages = [os.path.relpath(p) for p in sys.argv[1:]] or all_pages()
    for path in pages:
        ok(os.path.exists(path), f'{path} is there')
        check_statements(path)
        check_targets(path)
        check_links(path)


if __name__ == '__main__':
    main(check)
