#!/usr/bin/python3
"""One dialect of C, and lines that fit a screen: ext/README.md says which.

    tests/checks/lines.py               every file, except those of EXEMPT
    tests/checks/lines.py FILE...       these, whether exempt or not; every line that breaks a rule
    tests/checks/lines.py --all         all of them in this way

The rules are regular expressions over code without comments and strings, so they do not find
everything. What they find is wrong.
"""
import glob
import os
import re
import sys

from common import main, ok, read, skip

WIDTH = 100
# Files that do not keep to the rules yet. An entry that is no longer needed is a failure.
EXEMPT = """
""".split()
# A row of this table has its example and its result on a line each, so that tests/golden.py can
# write them.
TABLE_ROW = re.compile(r'ext/functions/functions\.c: *\.(usage|sentence|example|result) = ')

C_FILES = ('ext/*.[ch]', 'ext/*/*.[ch]', 'tests/*.[ch]', 'tests/*/*.[ch]', 'examples/*.[ch]',
           'bindings/*/*.[ch]')
OTHERS = ('model/*.py', 'tests/*.py', 'tests/*/*.py', 'examples/*.py', 'examples/*/*.py',
          'bindings/*/*.py', 'bindings/*/*/*.py',
          'Makefile', 'tests/run', 'tests/reference', '.ci/*')
CONTROL = r'\b(?:if|while|for|switch)'
TYPE = (r'(?:(?:static|const|unsigned|signed|volatile|register|extern)\s+)*'
        r'(?:struct\s+\w+|enum\s+\w+|union\s+\w+|int|char|short|long(?:\s+long)?(?:\s+int)?|float'
        r'|double|void|FILE|DIR|va_list|size_t|ssize_t|off_t|u?int\d+_t|u?intptr_t|sqlite3\w*|u64'
        r'|clockid_t|pthread_\w+|cJSON|__m\d+i?|unsigned|signed|time_t|pid_t)(?:\s+const)?')
DECLARATION = re.compile(rf'^\s*{TYPE}(?:\s+|\s*\*+\s*)[\w*]')
SHORT = re.compile(r"-?(0x[0-9a-fA-F]+|[\d.]+(e-?\d+)?)\w*$|-?[A-Z][A-Z0-9_]*$|\"\"$|\{\}$|'x'$")
INT_MOST = 2**31 - 1


# ---- Text ----
def blanked(text):
    """The code with comments, strings and characters emptied; every line stays on its line."""
    def empty(m):
        if m[0][0] == '/':
            return '\n' * m[0].count('\n') if '\n' in m[0] else ''
        return m[0][0] + m[0][-1] if m[0][0] == '"' else "'x'"
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', empty, text,
                  flags=re.S)


def closing(text, at):
    """Where the bracket that opens at `at` is closed; the length of the text if nowhere."""
    depth = 0
    for i in range(at, len(text)):
        depth += (text[i] in '([{') - (text[i] in ')]}')
        if depth == 0:
            return i
    return len(text)


def outer(text):
    """The text without what stands in brackets: f(a, b) is f()."""
    kept, depth = '', 0
    for c in text:
        depth -= c in ')]}'
        kept += c if depth <= 0 else ''
        depth += c in '([{'
    return kept


def without_for(line):
    """The line with the head of each for loop emptied."""
    at = 0
    while m := re.compile(r'\bfor\(').search(line, at):
        end = closing(line, m.end() - 1)
        line = line[:m.end()] + line[end:]
        at = m.end()
    return line


def functions(code):
    """(first line, parameters, body with its braces, is a pointer returned) of each function."""
    for m in re.finditer(r'^(?![#\s}])([^;{}=#]*?)(\w+)\(([^;{}]*)\)\s*\{', code, re.M):
        end = closing(code, m.end() - 1)
        body = code[m.end() - 1:end + 1]
        first = code.count('\n', 0, m.end() - 1) + 1
        yield first, m[3], body, m[1].rstrip().endswith('*')


# ---- Rules: each yields (line number, what is wrong) ----
def rule_statements(lines):
    """2: one statement a line."""
    for n, line in lines:
        plain = without_for(line)
        is_table = re.match(r'\s*(case\b.*|default) ?:', plain)
        is_struct = re.match(r'\s*(typedef |static |const )*(struct|union)\b[^=(]*\{', plain)
        is_case = plain.count(';') == 2 and plain.endswith('; break;')
        if plain.count(';') > 1 and not (is_table or is_case or is_struct):
            yield n, 'more than one statement'
        for statement in plain.split(';')[:-1]:
            rest = re.sub(rf'^\s*(\}}? ?else\b|{CONTROL}\(.*?\s\))*\s*', '', statement)
            is_assignment = re.match(r'[\w.*()\[\]>-]+ [-+*/%&|^<>]*= ', outer(rest))
            if (is_assignment or rest.startswith('return ')) and ',' in outer(rest):
                yield n, 'a comma between statements'


def rule_declarations(code, lines):
    """3: one initialised variable each, counters in the for."""
    for n, line in lines:
        if DECLARATION.match(line) and line.rstrip().endswith(';'):
            parts = [p.split('=', 1)[1].strip(' ;') for p in outer(line).split(',') if '=' in p]
            if len(parts) > 1 and not all(SHORT.match(p) for p in parts):
                yield n, 'more than one variable with a value'
    for first, _, body, _ in functions(code):
        for m in re.finditer(r'^\s*int ([^;()]*);', body, re.M):
            for name in re.findall(r'(?:^|,)\s*(\w+)(?=\s*(?:,|$))', m[1]):
                if is_counter_only(name, body):
                    n = first + body.count('\n', 0, m.start(1))
                    yield n, f'{name} counts in for loops alone'


def is_counter_only(name, body):
    """Is the name used in loops `for(name=...` and nowhere else?"""
    rest, n_loops = body, 0
    while m := re.search(rf'\bfor\({name} ?=', rest):
        end = closing(rest, m.start() + 3)
        while after := re.match(rf'\s*{CONTROL}\(', rest[end + 1:]):
            end = closing(rest, end + after.end())
        after = re.match(r'\s*\{', rest[end + 1:])
        stop = closing(rest, end + after.end()) if after else rest.find(';', end)
        rest = rest[:m.start()] + rest[stop + 1:]
        n_loops += 1
    return n_loops > 0 and len(re.findall(rf'(?<![.>])\b{name}\b', rest)) == 1


def rule_pointers(code):
    """4: a pointer is compared with NULL."""
    for first, parameters, body, gives_pointer in functions(code):
        names = set(re.findall(rf'\b\w+(?: const)? \*+(?:const )?(\w+)', parameters))
        for m in re.finditer(rf'^\s*{TYPE} \*+(?:const )?[^;]*;', body, re.M):
            names |= set(re.findall(r'(?:^|,)[^,=]*\*(?:const )?(\w+)(?![\w\[])', outer(m[0])))
        for name in sorted(names):
            for pattern, wrong in ((rf'!{name}\b(?!\s*(?:\[|->|\.|\())', f'!{name}'),
                                   (rf'(?<![\w*.>&]){name} ?[!=]= ?0\b(?![.x])', f'{name}==0'),
                                   (rf'(?<![\w*.>&]){name} = 0;', f'{name} = 0')):
                for m in re.finditer(pattern, body):
                    yield first + body.count('\n', 0, m.start()), f'{wrong} of a pointer'
        if gives_pointer:
            for m in re.finditer(r'\breturn 0;', body):
                yield first + body.count('\n', 0, m.start()), 'return 0 for a pointer'


def rule_values(text, lines):
    """5 and 6: { 0 }, no memset of a struct, constants."""
    # The parameters of a header that is included for each kind of CPU belong to the preprocessor.
    is_template = re.search(r'kernels_(lanes|tile)\.h', text)
    for n, line in lines:
        if re.search(r'\{0\}', line):
            yield n, '{0} without spaces'
        if re.search(r'\bmemset\((&|[^,]+, 0, sizeof ?\(?\*\w+\)?\))', line):
            yield n, 'memset of a struct'
        m = re.match(r'\s*#\s*define\s+([A-Za-z]\w*)\s+([-(]?\d[-\w.+*/<>() ]*)$', line)
        if m and not is_large(m[2]) and not m[1].startswith('SQLITE_') and not is_template:
            yield n, f'#define of a number: {m[1]}'


def is_large(text):
    """Is it one number that does not fit an int?"""
    plain = re.sub('[uUlL]+$', '', text.strip(' ()'))
    try:
        return abs(int(plain, 0) if plain.isalnum() else float(plain)) > INT_MOST
    except ValueError:
        return False


def rule_spaces(code, lines):
    """7: spaces."""
    patterns = (
        (rf'{CONTROL} +\(', 'a space before the ( of a statement'),
        (r'\b(?:if|while|switch)\([^ \n)]', 'no space after if( while( switch('),
        (r'\}[ ]{2,}else|\} else\b|\belse \{|\belse\{[^\n]*[^\s{]$', 'not }else{'),
        (r'\)[ ]+\{', 'a space before {'),
        (r'\w (?:==|!=) \w', 'spaces around a comparison'),
        (r',(?=[^\s)])', 'no space after a comma'),
        (r'\w\*+\)', 'no space before * in a cast'),
        (r'\b(?:char|int|void|float|double|\w+_t)\*+ ?\w', 'no space before *'),
        (r'[\w)\]] ?[-+*/%&|^]?=[\w(&*!"{-]|[\w)\]][-+*/%&|^]?= [^=]', 'no spaces around ='),
        (r'\t', 'a tab'),
    )
    for n, line in lines:
        if line.lstrip().startswith('#'):
            continue
        plain = without_for(line)
        uncompared = re.sub(r'[<>=!]=', '~', plain)
        for pattern, wrong in patterns:
            if re.search(pattern, plain if '=' not in wrong else uncompared):
                yield n, wrong
        yield from ((n, f'no space before the ) of {word}') for word in unspaced(line))


def rule_blank_lines(text):
    """3 and 7: where they must be, and where not. The text still has its comments."""
    for m in re.finditer(r'\n[ ]*\n[ ]*\n', text):
        yield text.count('\n', 0, m.start()) + 2, 'two blank lines'
    for m in re.finditer(r'\{[ ]*\n[ ]*\n', text):
        yield text.count('\n', 0, m.start()) + 1, 'a blank line after {'
    # Trivial functions, with a body of one line, may stand together.
    for m in re.finditer(r'(?<!\{)\n(.*)\n\}\n(?=[^\n#}])', text):
        if not text[:m.start()].endswith('{'):
            yield text.count('\n', 0, m.end()), 'no blank line after a function'


def unspaced(line):
    """if( while( switch( on one line that are closed without a space."""
    for m in re.finditer(r'\b(if|while|switch)\( ', line):
        end = closing(line, m.end() - 2)
        if end < len(line) and line[end - 1] != ' ':
            yield m[1] + '('


def rule_conditionals(lines):
    """8: no conditional operator in the middle of another."""
    for n, line in lines:
        if re.search(r'\?[^:?;{}]*\?', re.sub(r'\([^()]*\)', '', line)):
            yield n, 'a conditional operator in another'


# A body of a function with one mistake, and the rule that finds it.
MISTAKES = {
    'x = 1; y = 2;': 'more than one statement',
    'if( x ){ f(); g(); }': 'more than one statement',
    'x = 1, y = 2;': 'a comma between statements',
    'if( x ) return f(p, 1), 2;': 'a comma between statements',
    'int a = f(x), b = 1;': 'more than one variable with a value',
    'int i;\n  for(i=0; i<9; i++) f(i, p);': 'i counts in for loops alone',
    '\n  f(x);': 'a blank line after {',
    'if( !p ) f(x);': '!p of a pointer',
    'if( p==0 ) f(x);': 'p==0 of a pointer',
    'p = 0;': 'p = 0 of a pointer',
    'char *q = f(p, 1);\n  if( !q ) f(x);': '!q of a pointer',
    'return 0;': 'return 0 for a pointer',
    'struct s a = {0};': '{0} without spaces',
    'memset(p, 0, sizeof(*p));': 'memset of a struct',
    '\n#define N 12': '#define of a number: N',
    'if (x) f(x);': 'a space before the ( of a statement',
    'if(x) f(x);': 'no space after if( while( switch(',
    'if( x) f(x);': 'no space before the ) of if(',
    'if( x ){\n    f(x);\n  } else {\n    f(y);\n  }': 'not }else{',
    'while( x ) {\n    f(x);\n  }': 'a space before {',
    'if( x == y ) f(x);': 'spaces around a comparison',
    'f(x,y);': 'no space after a comma',
    'f((char*)p, x);': 'no space before * in a cast',
    'char* q;': 'no space before *',
    'x=y;': 'no spaces around =',
    '\tf(x);': 'a tab',
    'f(x);\n\n\n  f(y);': 'two blank lines',
    'f(x); ': 'white space at the end',
    'f(x);\n  f(y);\n}\nint b;\nint g(void){': 'no blank line after a function',
    'x = a ? b ? c : d : e;': 'a conditional operator in another',
    'f("' + 'x' * 95 + '");': '103 columns',
}


def rules_find():
    """Each rule finds its mistake, and nothing in a function without one."""
    frame = 'char *g(struct s *p, int x, int y){\n  %s\n}\n'
    wrong = [w for w in broken_rules('a.c', frame % 'if( p==NULL || x==y ) return NULL;')]
    for body, rule in MISTAKES.items():
        found = {w for _, w in broken_rules('a.c', frame % body)}
        wrong += [f'{body}: {found} is not {rule}'] if rule not in found else []
    ok(not wrong, 'every rule finds an example', '\n'.join(map(str, wrong)))


# ---- Files ----
def broken_rules(path, text):
    """All (line number, what is wrong) of a file, in order."""
    found = []
    for n, line in enumerate(text.split('\n'), 1):
        if len(line) > WIDTH and not TABLE_ROW.match(f'{path}:{line}'):
            found.append((n, f'{len(line)} columns'))
        if line != line.rstrip():
            found.append((n, 'white space at the end'))
    if path.endswith(('.c', '.h')):
        code = blanked(text)
        # Macros of several lines are not looked at.
        code = re.sub(r'^ *#(?:.*\\\n)+.*', lambda m: '#' + '\n' * m[0].count('\n'), code,
                      flags=re.M)
        lines = list(enumerate(code.split('\n'), 1))
        found += rule_statements(lines)
        found += rule_declarations(code, lines)
        found += rule_pointers(code)
        found += rule_values(text, lines)
        found += rule_spaces(code, lines)
        found += rule_conditionals(lines)
        found += rule_blank_lines(text)
    return sorted(set(found))


def all_files():
    return sorted({p for pattern in C_FILES + OTHERS for p in glob.glob(pattern)
                   if os.path.isfile(p)})


def check():
    exempt = {p for pattern in EXEMPT for p in glob.glob(pattern)}
    if sys.argv[1:]:
        paths = all_files() if '--all' in sys.argv else [os.path.relpath(p) for p in sys.argv[1:]]
        exempt = set()
    else:
        paths = all_files()
    later = {}
    for path in paths:
        found = broken_rules(path, read(path))
        if path in exempt:
            later[path] = len(found)
        else:
            told = '\n'.join(f'{path}:{n}: {wrong}' for n, wrong in found)
            ok(not found, f'the lines of {path}', f'{len(found)} to change\n{told}')
    if later:
        skip(f'the lines of {len(later)} files', f'exempt; {sum(later.values())} to change')
        stale = [e for e in EXEMPT if not any(later.get(p) for p in glob.glob(e))]
        ok(not stale, 'every exemption is needed', ' '.join(stale))


if __name__ == '__main__':
    main(rules_find, check)
