-- tiny, and a code model with the same weights (build/tests/models): latent_analogy() of functions,
-- what holds for any weights. Equal statements are partners, and so are heads of functions.
SELECT length(latent_load('build/tests/models/code.safetensors'));
CREATE TABLE f(code TEXT);
INSERT INTO f VALUES('def total(values):
    return sum(values)');
CREATE TABLE g(id INTEGER PRIMARY KEY, code TEXT);
INSERT INTO g VALUES(1, 'def lookup(self, key):
    name = self.names[key]
    return name.upper()'), (2, 'def one():
	return 1'), (3, 'async def get(
        url,
        timeout=3):

    """Get it."""
    # at once
    return await fetch(url,
                       timeout)
');

SELECT '-- inserted: first, below the head, at the end';
CREATE TABLE twin(what TEXT, code TEXT);
INSERT INTO twin VALUES('decorator', '@cached
def total(values):
    return sum(values)'), ('check', 'def total(values):
    if values is None:
        raise ValueError("values of total")
    return sum(values)'), ('docstring', 'def total(values):
    """The total."""
    return sum(values)'), ('after', 'def total(values):
    return sum(values)
print(total)'), ('block', 'def total(values):
    with lock:
        return sum(values)');
SELECT what, id, latent_analogy(f.code, twin.code, g.code, '{"kind":"code"}') AS made, latent_valid(latent_analogy(f.code, twin.code, g.code, '{"kind":"code"}')) AS valid FROM f, twin, g ORDER BY what, id;

SELECT '-- changed: the head';
SELECT latent_analogy(f.code, column1, g.code, '{"kind":"code"}') FROM f, g, (VALUES('def total(values) -> int:
    return sum(values)'), ('def total(values, start=0):
    return sum(values)'), ('def _total(values):
    return sum(values)')) WHERE id<>2 ORDER BY column1, id;

SELECT '-- deleted: a docstring; a block';
SELECT latent_analogy('def f(x):
    """What it is."""
    return x', 'def f(x):
    return x', code, '{"kind":"code"}') FROM g WHERE id=3;
SELECT latent_analogy('def f(x):
    if x < 0:
        raise ValueError(x)
    return x', 'def f(x):
    return x', 'def g(x, y):
    if x < y:
        y += 1
        raise ValueError(y)
    return x', '{"kind":"code"}');

SELECT '-- latents say what they decode to';
SELECT latent_analogy(latent_encode(f.code, '{"kind":"code"}'), twin.code, g.code) = latent_analogy(latent_decode(latent_encode(f.code, '{"kind":"code"}')), twin.code, g.code, '{"kind":"code"}') FROM f, twin, g WHERE id=1 AND what='check';

SELECT '-- nothing to carry over: the content at c + b - a, as of anything else';
SELECT latent_analogy(f.code, f.code, g.code, '{"kind":"code"}') = latent_decode(latent_add(latent_encode(g.code, '{"kind":"code"}'), latent_sub(latent_encode(f.code, '{"kind":"code"}'), f.code)), '{"fluency":0.2}') FROM f, g WHERE id=1;
SELECT typeof(latent_analogy('', 'x = 1', 'y = 2', '{"kind":"code"}')), typeof(latent_analogy('x = 1', '', 'y = 2', '{"kind":"code"}')), typeof(latent_analogy('x = 1', 'x = 2', '', '{"kind":"code"}')), typeof(latent_analogy('x = 1', 'x = 2', char(10, 10, 32), '{"kind":"code"}'));

SELECT '-- no Python at all; an open bracket, an open string, a backslash at the end';
SELECT typeof(latent_analogy('a', 'b ! c', 'a (((', '{"kind":"code"}')), typeof(latent_analogy('x = """a', 'x = "b', 'x = ''', '{"kind":"code"}')), typeof(latent_analogy('x \', 'x \\', '\', '{"kind":"code"}')), typeof(latent_analogy(CAST(x'00ff0a00' AS TEXT), CAST(x'ff0a20' AS TEXT), CAST(x'0a0a80' AS TEXT), '{"kind":"code"}'));

SELECT '-- errors';
SELECT latent_analogy('x', latent_encode('x', '{"kind":"code"}'), latent_encode('x', '{"kind":"text"}'));
SELECT latent_analogy(latent_sub(latent_encode('x', '{"kind":"code"}'), 'y'), 'x', 'y');
SELECT latent_analogy('x', 'y', 3, '{"kind":"code"}');
