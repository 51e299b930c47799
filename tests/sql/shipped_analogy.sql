-- shipped: what was done to one function is done to another of another number of lines.
CREATE TABLE g(code TEXT);
INSERT INTO g VALUES('def shortest(paths, *limits):
    best = None
    for path in paths:
        if best is None or len(path) < len(best):
            best = path
    if not best:
        return None
    return best');

-- A statement is changed: each `return` is, with what the line has.
SELECT latent_analogy('def mean(values):
    return sum(values) / len(values)', 'def mean(values):
    return round(sum(values) / len(values), 2)', code, '{"kind":"code"}') FROM g;

-- Two places, and a name.
SELECT latent_analogy('def mean(values):
    total = sum(values)
    return total / len(values)', 'def mean(values):
    start = time.time()
    total = sum(values)
    log("mean of values took", time.time() - start)
    return total / len(values)', code, '{"kind":"code"}') FROM g;

-- All of the body goes into a block.
SELECT latent_analogy('def ratio(a, b):
    return a / b', 'def ratio(a, b):
    try:
        return a / b
    except ZeroDivisionError:
        return None', code, '{"kind":"code"}') FROM g;

-- An argument, where one may stand; a type.
SELECT latent_analogy('def area(w, h):
    return w * h', 'def area(w, h=1) -> float:
    return w * h', code, '{"kind":"code"}') FROM g;

-- A check is taken away.
SELECT latent_analogy('def root(x):
    if x < 0:
        return None
    return x ** 0.5', 'def root(x):
    return x ** 0.5', code, '{"kind":"code"}') FROM g;

-- The same of single lines.
SELECT latent_analogy('def total(values):', 'async def total(values):', 'def lookup(self, key):', '{"kind":"code"}'),
  latent_analogy('return x', 'return str(x)', '    return a + b', '{"kind":"code"}'),
  latent_analogy('if x:', 'if not x:', '    elif self.done:', '{"kind":"code"}');
