-- shipped: what the shipped code weights say. New weights change it, and `make golden` writes it
-- anew.

-- Lines come back, with their indentation, in one greedy pass.
SELECT latent_decode(latent_encode('    return self.name', '{"kind":"code"}'));
SELECT latent_decode(latent_encode('if x is not None and len(x) > 0:', '{"kind":"code"}'));
SELECT latent_decode(latent_encode('for i, (key, value) in enumerate(items):', '{"kind":"code"}'));

-- So do functions, a segment a line.
SELECT latent_decode(latent_encode('def mean(values):
    total = 0
    for value in values:
        total += value
    return total / len(values)', '{"kind":"code"}'));

-- Between two lines.
SELECT round(t, 1), content FROM latent_path('return x + 1', 'raise ValueError(name)', 6, '{"kind":"code"}');

-- A direction, and what is drawn from the whole space.
SELECT latent_move(latent_encode('return self.name', '{"kind":"code"}'), latent_sub(latent_encode('return self.x()', '{"kind":"code"}'), 'return self.x'), 1);
SELECT latent_sample(1, '{"kind":"code"}');

-- Text is still text.
SELECT latent_decode(latent_encode('return x'));

-- Bred: every child is Python, and grows again.
CREATE TABLE garden(id INTEGER PRIMARY KEY, content, latent BLOB, parents, weights, generation, novelty, score, recipe);
INSERT INTO garden(id, content, latent, generation) SELECT key, value, latent_encode(value, '{"kind":"code"}'), 0 FROM json_each('["def add(a, b):\n    return a + b", "def mean(xs):\n    return sum(xs) / len(xs)", "for i in range(10):\n    print(i)", "def read(path):\n    with open(path) as f:\n        return f.read()"]');
INSERT INTO garden SELECT * FROM latent_breed('garden', '{"children":3,"generations":2,"mutation":0.3,"crossover":"segments"}');
INSERT INTO garden SELECT * FROM latent_explore('garden', 'reads a file', '{"children":4}');
SELECT id, parents, content FROM garden WHERE parents IS NOT NULL ORDER BY id;
SELECT count(*), min(latent_valid(content)) FROM garden;
SELECT total(content <> again) FROM (SELECT c.content, latent_grow(p.latent, c.recipe, j.key) AS again FROM garden c, json_each(c.parents) j JOIN garden p ON p.id = j.value GROUP BY c.id);
