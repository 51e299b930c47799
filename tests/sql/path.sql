-- latent_path, and what every table-valued function has in common: properties that hold for any
-- weights.
CREATE TABLE t(id INTEGER PRIMARY KEY, body TEXT);
INSERT INTO t VALUES (1, 'A man rides a horse.'), (2, 'The soup is cold.'), (3, NULL);
CREATE TABLE p AS SELECT rowid AS id, * FROM latent_path('A man rides a horse.', 'The soup is cold.', 4);

SELECT 'rows', id, round(t, 4), typeof(content), typeof(latent), typeof(fidelity), typeof(distance_a), typeof(distance_b) FROM p;
SELECT 'ends', (SELECT content FROM p WHERE t = 0) = latent_decode('A man rides a horse.'), (SELECT content FROM p WHERE t = 1) = latent_decode('The soup is cold.');
SELECT 'interp', id, (SELECT content FROM latent_path('A man rides a horse.', 'The soup is cold.', 4, '{"best_of":1}') q WHERE q.t = p.t) = latent_interp('A man rides a horse.', 'The soup is cold.', t, '{"best_of":1}'), latent = latent_slerp('A man rides a horse.', 'The soup is cold.', t) AS on_arc,
  latent_distance(latent, latent_slerp('A man rides a horse.', 'The soup is cold.', 0.5)) <= latent_distance(latent_slerp('A man rides a horse.', 'The soup is cold.', t), latent_slerp('A man rides a horse.', 'The soup is cold.', 0.5)) + 1e-6 AS eased FROM p;
SELECT 'distances', id, abs(distance_a - latent_distance(content, 'A man rides a horse.')) < 0.0001, abs(distance_b - latent_distance(content, 'The soup is cold.')) < 0.0001 FROM p;
SELECT 'fidelity', min(fidelity) >= -1, max(fidelity) <= 1.0001 FROM p;
SELECT 'fidelity without fluency', max(abs(fidelity - latent_fidelity(latent, '{"decoder": "exact"}'))) < 0.01 FROM latent_path('A man rides a horse.', 'The soup is cold.', 3, '{"decoder": "exact", "fluency": 0, "best_of": 1}');
SELECT 'latents', count(*), sum(content = latent_interp(latent_encode('A man rides a horse.'), 'The soup is cold.', t))
FROM latent_path(latent_encode('A man rides a horse.'), 'The soup is cold.', 2);
SELECT 'documents', count(*) FROM latent_path('It rains. We stay.', 'She sings.', 3);

-- Even steps: as many rows, t still rises from 0 to 1.
CREATE TABLE even AS SELECT rowid AS id, * FROM latent_path('A man rides a horse.', 'The soup is cold.', 3, '{"steps": "even", "max_tokens": 4, "best_of": 1}');
SELECT 'even', count(*), min(t), max(t), sum(t > (SELECT t FROM even f WHERE f.id = e.id - 1)) FROM even e;
-- Distinct: what is left when repetitions are taken out.
SELECT 'distinct', count(*) = (SELECT count(*) FROM
  (SELECT content, lag(content) OVER (ORDER BY t) AS before FROM latent_path('A man.', 'A mane.', 6)) WHERE content IS NOT before)
FROM latent_path('A man.', 'A mane.', 6, '{"distinct": true}');
-- Both: from text to text, no two neighbours alike, the ends in place.
CREATE TABLE both AS SELECT rowid AS id, * FROM latent_path('A man rides a horse.', 'The soup is cold.', 3, '{"steps": "even", "distinct": true, "best_of": 2}');
SELECT 'both', count(*) BETWEEN 1 AND 3, min(t), max(t) IN (0, 1), total(content = (SELECT content FROM both f WHERE f.id = e.id - 1)) FROM both e;
SELECT 'the same', count(*) FROM latent_path('A man.', 'A man.', 3, '{"distinct": true, "steps": "even", "fluency": 0, "best_of": 1}');

-- Arguments from another table, in any order of FROM; the hidden columns; NULL gives no rows.
SELECT 'lateral', t.id, count(p.t) FROM t LEFT JOIN latent_path(t.body, 'The soup is cold.', 2) p GROUP BY t.id;
SELECT 'from the right', count(*) FROM latent_path(t.body, 'The soup is cold.', 2) p, t;
SELECT 'hidden', a, b, n, options FROM latent_path('x', 'y', 2) WHERE t = 1;
SELECT 'where', count(*) FROM latent_path WHERE a = 'x' AND b = 'y' AND n = 2;
SELECT 'where not', count(*) FROM latent_path('x', 'y', 2) WHERE n = 3;
SELECT 'null', (SELECT count(*) FROM latent_path(NULL, 'x', 2)), (SELECT count(*) FROM latent_path('x', 'x', NULL)), (SELECT count(*) FROM latent_path('x', 'y', 2, NULL));
CREATE VIEW v AS SELECT id, content FROM t, latent_path(t.body, 'y', 2);
PRAGMA trusted_schema = OFF;
SELECT 'view', count(*) FROM v;
PRAGMA trusted_schema = ON;
SELECT 'twice at once', count(*) FROM latent_path('x', 'y', 2) p, latent_path('x', 'y', 2) q;

-- The manual.
SELECT 'functions', count(*) = count(DISTINCT name), min(instr(usage, name) > 0), min(length(sentence)) > 10, count(example) = count(*) FROM latent_functions;
SELECT 'kinds', kind, min(n_min), max(n_max) > 0 FROM latent_functions GROUP BY kind ORDER BY kind;
SELECT 'usage', usage FROM latent_functions WHERE name = 'latent_path';
SELECT 'registered', count(*) FROM latent_functions f
WHERE kind IN ('scalar', 'aggregate') AND (SELECT count(*) FROM pragma_function_list l WHERE l.name = f.name) <> n_max - n_min + 1;
