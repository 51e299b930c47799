"""Concepts of Python functions: each is one example, a function and its twin that has it.

score_code.py asks latent_analogy() to carry them over to functions that it has never seen. A
concept is written down before it is tried, and none is left out. The judge is Python's own ast:

    has(tree)     the function has the concept
    applies(tree) asking for it makes sense: the function has it not, and has what it needs
    keeps(...)    what the function was before is still there, statement by statement
"""
import ast
import collections

CALLER_ONLY = {'self', 'cls'}


def function_of(tree):
    found = [x for x in tree.body if isinstance(x, (ast.FunctionDef, ast.AsyncFunctionDef))]
    return found[0] if len(found) == 1 else None


def arguments(f):
    """The arguments that a caller writes."""
    return [x for x in f.args.posonlyargs + f.args.args if x.arg not in CALLER_ONLY]


def statements(f):
    return [x for x in ast.walk(f) if isinstance(x, ast.stmt) and x is not f]


def names(node):
    return {x.id for x in ast.walk(node) if isinstance(x, ast.Name)}


def values(f):
    """What the function returns."""
    return [x.value for x in statements(f) if isinstance(x, ast.Return) and x.value is not None]


def is_call(node, name):
    return isinstance(node, ast.Call) and ast.unparse(node.func) == name


def has_guard(f, kind):
    """A test for None of one of its arguments, which leaves the function that way."""
    for x in statements(f):
        if not isinstance(x, ast.If) or not isinstance(x.body[0], kind):
            continue
        t = x.test
        if (isinstance(t, ast.Compare) and isinstance(t.ops[0], ast.Is)
                and ast.unparse(t.comparators[0]) == 'None'
                and names(t.left) & {a.arg for a in arguments(f)}):
            return True
    return False


def is_guard(x):
    return isinstance(x, ast.If) and not x.orelse and isinstance(x.body[0], ast.Raise)


def has_docstring(f):
    return ast.get_docstring(f) is not None


def has_log(f):
    return any(is_call(x.value, 'logger.debug') for x in f.body if isinstance(x, ast.Expr))


def has_try(f):
    """All of the body but a docstring is tried, and the exception is seen to."""
    body = f.body[1:] if has_docstring(f) else f.body
    return len(body) == 1 and isinstance(body[0], ast.Try) and bool(body[0].handlers)


def has_assert(f):
    own = {a.arg for a in arguments(f)}
    return any(isinstance(x, ast.Assert) and names(x) & own for x in f.body)


def has_print(f):
    """What it returns at its end is printed before."""
    last = f.body[-1]
    before = f.body[-2] if len(f.body) > 1 else None
    return (isinstance(last, ast.Return) and isinstance(before, ast.Expr)
            and is_call(before.value, 'print') and bool(names(before) & names(last)))


def has_timing(f):
    """The clock is read first, and again before the end."""
    first, last = (f.body[0], f.body[-2]) if len(f.body) > 2 else (f.body[0], f.body[0])
    return (ast.unparse(first) == 'start = time.time()' and isinstance(f.body[-1], ast.Return)
            and 'time.time() - start' in ast.unparse(last))


def has_comment(code):
    return '# TODO: handle errors\n' in code


CONCEPTS = {                    # name: (function, its twin, has, applies besides)
    'docstring': (
        'def total(values):\n    return sum(values)',
        'def total(values):\n    """Return the total of the values."""\n    return sum(values)',
        has_docstring, lambda f: True),
    'None returns': (
        'def shout(text):\n    return text.upper()',
        'def shout(text):\n    if text is None:\n        return None\n    return text.upper()',
        lambda f: has_guard(f, ast.Return), arguments),
    'None raises': (
        'def load(path):\n    with open(path) as f:\n        return f.read()',
        'def load(path):\n    if path is None:\n        raise ValueError("path is None")\n'
        '    with open(path) as f:\n        return f.read()',
        lambda f: has_guard(f, ast.Raise), arguments),
    'no guard': (
        'def root(x):\n    if x < 0:\n        raise ValueError("x is negative")\n'
        '    return x ** 0.5',
        'def root(x):\n    return x ** 0.5',
        lambda f: not any(map(is_guard, f.body)),
        lambda f: sum(map(is_guard, f.body)) == 1 and len(f.body) > 1),
    'logging': (
        'def add(item, queue):\n    queue.append(item)\n    return len(queue)',
        'def add(item, queue):\n    logger.debug("add called")\n    queue.append(item)\n'
        '    return len(queue)',
        has_log, lambda f: True),
    'try': (
        'def ratio(a, b):\n    return a / b',
        'def ratio(a, b):\n    try:\n        return a / b\n    except Exception:\n'
        '        return None',
        has_try, lambda f: True),
    'return type': (
        'def count(words):\n    n = len(words)\n    return n',
        'def count(words) -> int:\n    n = len(words)\n    return n',
        lambda f: f.returns is not None, lambda f: True),
    'no return type': (
        'def area(w, h) -> float:\n    return w * h',
        'def area(w, h):\n    return w * h',
        lambda f: f.returns is None, lambda f: True),
    'argument type': (
        'def double(x):\n    return 2 * x',
        'def double(x: int):\n    return 2 * x',
        lambda f: any(a.annotation for a in arguments(f)), arguments),
    'default': (
        'def greet(name):\n    return "Hello, " + name',
        'def greet(name=None):\n    return "Hello, " + name',
        lambda f: bool(f.args.defaults), arguments),
    'decorator': (
        'def square(x):\n    return x * x',
        '@lru_cache(maxsize=None)\ndef square(x):\n    return x * x',
        lambda f: any(is_call(x, 'lru_cache') for x in f.decorator_list), lambda f: True),
    'str result': (
        'def mean(values):\n    return sum(values) / len(values)',
        'def mean(values):\n    return str(sum(values) / len(values))',
        lambda f: bool(values(f)) and all(is_call(v, 'str') for v in values(f)), values),
    'assert': (
        'def first(items):\n    return items[0]',
        'def first(items):\n    assert items is not None\n    return items[0]',
        has_assert, arguments),
    'print': (
        'def norm(x, y):\n    r = (x * x + y * y) ** 0.5\n    return r',
        'def norm(x, y):\n    r = (x * x + y * y) ** 0.5\n    print(r)\n    return r',
        has_print, lambda f: isinstance(f.body[-1], ast.Return) and bool(names(f.body[-1]))),
    'async': (
        'def fetch(url):\n    return get(url)',
        'async def fetch(url):\n    return get(url)',
        lambda f: isinstance(f, ast.AsyncFunctionDef), lambda f: True),
}
# Written when the ones above were done, and harder: two places, more lines around, other names.
CONCEPTS |= {
    'timing': (
        'def mean(values):\n    total = sum(values)\n    return total / len(values)',
        'def mean(values):\n    start = time.time()\n    total = sum(values)\n'
        '    print("mean took", time.time() - start)\n    return total / len(values)',
        has_timing, lambda f: isinstance(f.body[-1], ast.Return)),
    'lock': (
        'def push(self, item):\n    self.items.append(item)\n    self.size += 1',
        'def push(self, item):\n    with self.lock:\n        self.items.append(item)\n'
        '        self.size += 1',
        lambda f: len(f.body) == 1 and isinstance(f.body[0], ast.With)
        and ast.unparse(f.body[0].items[0]) == 'self.lock', lambda f: True),
    'finally': (
        'def read(path):\n    data = open(path).read()\n    return data.strip()',
        'def read(path):\n    try:\n        data = open(path).read()\n'
        '        return data.strip()\n    finally:\n        log("read")',
        lambda f: isinstance(f.body[-1], ast.Try) and bool(f.body[-1].finalbody),
        lambda f: True),
    'one more argument': (
        'def area(w, h):\n    return w * h',
        'def area(w, h, verbose=False):\n    return w * h',
        lambda f: any(a.arg == 'verbose' for a in f.args.args), lambda f: True),
    'method': (
        'def area(w, h):\n    return w * h',
        'def area(self, w, h):\n    return w * h',
        lambda f: bool(f.args.args) and f.args.args[0].arg == 'self',
        lambda f: not any(a.arg in CALLER_ONLY for a in f.args.args)),
    'comment': (
        'def parse(line):\n    key, value = line.split("=")\n    return key, value',
        'def parse(line):\n    # TODO: handle errors\n    key, value = line.split("=")\n'
        '    return key, value',
        None, lambda f: True),
    'generator': (
        'def double(x):\n    y = 2 * x\n    return y',
        'def double(x):\n    y = 2 * x\n    yield y',
        lambda f: not values(f) and any(isinstance(x, ast.Expr) and isinstance(x.value, ast.Yield)
                                        for x in statements(f)), values),
    'pair result': (
        'def find(items, x):\n    return items.index(x)',
        'def find(items, x):\n    return items.index(x), None',
        lambda f: bool(values(f)) and all(isinstance(v, ast.Tuple) and
                                          ast.unparse(v.elts[-1]) == 'None' for v in values(f)),
        values),
    'retry': (
        'def fetch(url):\n    page = get(url)\n    return page',
        'def fetch(url):\n    for attempt in range(3):\n        try:\n            page = get(url)\n'
        '            return page\n        except IOError:\n            continue',
        lambda f: isinstance(f.body[-1], ast.For) and isinstance(f.body[-1].body[0], ast.Try),
        lambda f: True),
    'result checked': (
        'def find(key):\n    row = db.get(key)\n    return row',
        'def find(key):\n    row = db.get(key)\n    if row is None:\n'
        '        raise KeyError(key)\n    return row',
        lambda f: isinstance(f.body[-1], ast.Return) and len(f.body) > 1 and is_guard(f.body[-2])
        and bool(names(f.body[-2].test) & names(f.body[-1])),
        lambda f: isinstance(f.body[-1], ast.Return) and bool(names(f.body[-1]))
        and bool(arguments(f))),
}
SPARED = {                      # what of the function the concept is to change
    'no guard': lambda x: is_guard(x) or isinstance(x, ast.Raise),
    'str result': lambda x: isinstance(x, ast.Return),
    'pair result': lambda x: isinstance(x, ast.Return),
    'generator': lambda x: isinstance(x, ast.Return) or
    (isinstance(x, ast.Expr) and isinstance(x.value, ast.Yield)),
}
ADDED = {                       # arguments that are no part of the rest
    'one more argument': 'verbose',
    'method': 'self',
}


def header(x):
    """A statement without the statements in it."""
    lists = [name for name in ('body', 'orelse', 'finalbody', 'handlers') if hasattr(x, name)]
    shell = type(x)(**{k: v for k, v in ast.iter_fields(x) if k not in lists})
    return type(x).__name__ + ' ' + ast.dump(shell)


def parts(f, spared, added=None):
    """The function as a bag of statements: its name, its arguments' names, and all that it does."""
    bag = collections.Counter(header(x) for x in statements(f) if not spared(x))
    bag['def ' + f.name + ' ' + ', '.join(x.arg for x in ast.walk(f.args)
                                          if isinstance(x, ast.arg) and x.arg != added)] += 1
    return bag


def judge(name, before, after):
    """-> parses, has the concept, keeps the rest: what becomes of the code `before`."""
    try:
        f = function_of(ast.parse(after))
    except (SyntaxError, ValueError):
        return False, False, False
    if f is None:
        return True, False, False
    spared = SPARED.get(name, lambda x: False)
    old = parts(function_of(ast.parse(before)), spared)
    kept = sum((old & parts(f, spared, ADDED.get(name))).values())
    has = CONCEPTS[name][2](f) if CONCEPTS[name][2] else has_comment(after)
    return True, bool(has), kept >= 0.9 * sum(old.values())


def applies(name, code):
    """The code is one function that has not the concept, and may have it."""
    f = function_of(ast.parse(code))
    has, more = CONCEPTS[name][2:]
    if f is None or len(ast.parse(code).body) > 1 or not more(f):
        return False
    return not (has(f) if has else has_comment(code))
