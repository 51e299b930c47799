-- tiny, and a writer with random weights beside them (build/tests/models): who writes a result, and
-- what holds for any writer.
SELECT '-- no writer beside the weights';
SELECT latent_info() ->> '$.writer';
SELECT latent_interp('The sea is old.', 'The dog said no.', 0.5, '{"decoder":"exact"}') = latent_interp('The sea is old.', 'The dog said no.', 0.5);
SELECT latent_decode('The sea is old.', '{"decoder":"writer"}');
SELECT latent_complete('The sea is');
SELECT count(*) FROM latent_path('The sea.', 'The dog.', 3, '{"decoder":"writer"}');

SELECT '-- options';
SELECT length(latent_load('build/tests/models/writing'));
SELECT latent_decode('The sea.', '{"decoder":"small"}');
SELECT latent_decode('The sea.', '{"decoder":1}');
SELECT latent_decode('The sea.', '{"decoder":null}');
SELECT latent_decode('The sea.', '{"decoders":"exact"}');
SELECT latent_complete('The sea', NULL, '{"decoder":"exact"}');
SELECT latent_complete('The sea', latent_sub('a', 'b'));
SELECT latent_complete(x'00');
SELECT latent_complete(5);
SELECT latent_sample(1, '{"kind":"picture","decoder":"writer"}');
SELECT latent_complete('The sea', latent_sample(1, '{"kind":"picture"}'));
SELECT latent_info() ->> '$.writer';      -- nobody has written yet

SELECT '-- who writes: what was encoded is the small decoder''s; what is between or beyond, the writer''s';
CREATE TABLE t(id INTEGER PRIMARY KEY, body TEXT, z BLOB);
INSERT INTO t(body) VALUES ('The sea is old.'), ('The dog said no. It was night. The cat was in the house.'), (''), ('Grüße ' || char(0) || '😀'), (CAST(x'41ff42' AS TEXT)), (char(10));
UPDATE t SET z = latent_encode(body);
CREATE TABLE said AS SELECT id, latent_decode(z) AS own, latent_decode(z, '{"decoder":"exact"}') AS exact, latent_decode(z, '{"decoder":"writer"}') AS written FROM t;
SELECT id, own = exact, typeof(written), length(written) > 0, own = written FROM said;
-- A random network's r hardly differ: here are two texts whose r do.
CREATE TABLE apart AS SELECT id, iif(id = 1, z, latent_from_json(json_set(latent_json(z), '$.segments[0].r', json((SELECT json_group_array(-value) FROM json_each(latent_json(z), '$.segments[0].r')))))) AS z FROM t WHERE id IN (1, 3);
CREATE TEMP TABLE who(name, own, exact, written);
INSERT INTO who SELECT 'interp', latent_interp(a.z, b.z, 0.5), latent_interp(a.z, b.z, 0.5, '{"decoder":"exact"}'), latent_interp(a.z, b.z, 0.5, '{"decoder":"writer"}') FROM apart a, apart b WHERE a.id = 1 AND b.id = 3;
INSERT INTO who SELECT 'the start of a path', latent_interp('The sea.', 'The dog.', 0), latent_decode('The sea.'), latent_decode('The sea.', '{"decoder":"writer"}');
INSERT INTO who SELECT 'analogy', latent_analogy('a', 'The dog.', 'The sea.'), latent_analogy('a', 'The dog.', 'The sea.', '{"decoder":"exact"}'), latent_analogy('a', 'The dog.', 'The sea.', '{"decoder":"writer"}');
INSERT INTO who SELECT 'move', latent_move('The sea.', latent_sub('a', 'The dog.'), 0.9), latent_move('The sea.', latent_sub('a', 'The dog.'), 0.9, '{"decoder":"exact"}'), latent_move('The sea.', latent_sub('a', 'The dog.'), 0.9, '{"decoder":"writer"}');
INSERT INTO who SELECT 'a move of nothing', latent_move(z, latent_sub('a', 'The dog.'), 0), latent_move(z, latent_sub('a', 'The dog.'), 0, '{"decoder":"exact"}'), latent_move(z, latent_sub('a', 'The dog.'), 0, '{"decoder":"writer"}') FROM t WHERE id = 2;
INSERT INTO who SELECT 'an analogy of nothing', latent_analogy('a', 'a', 'The sea.'), latent_analogy('a', 'a', 'The sea.', '{"decoder":"exact"}'), latent_analogy('a', 'a', 'The sea.', '{"decoder":"writer"}');
INSERT INTO who SELECT 'vary', latent_vary('The sea.', 0.5, 3), latent_vary('The sea.', 0.5, 3, '{"decoder":"exact"}'), latent_vary('The sea.', 0.5, 3, '{"decoder":"writer"}');
INSERT INTO who SELECT 'vary by nothing', latent_vary('The sea.', 0, 3), latent_vary('The sea.', 0, 3, '{"decoder":"exact"}'), latent_vary('The sea.', 0, 3, '{"decoder":"writer"}');
INSERT INTO who SELECT 'sample', latent_sample(5), latent_sample(5, '{"decoder":"exact"}'), latent_sample(5, '{"decoder":"writer"}');
INSERT INTO who SELECT 'a mean', latent_decode(latent_mean(z)), latent_decode(latent_mean(z), '{"decoder":"exact"}'), latent_decode(latent_mean(z), '{"decoder":"writer"}') FROM apart;
INSERT INTO who SELECT 'the shorter r of a middle', latent_decode(z), latent_decode(z, '{"decoder":"exact"}'), latent_decode(z, '{"decoder":"writer"}') FROM (SELECT latent_mean(z, 2 + (id % 2)) AS z FROM apart);
INSERT INTO who SELECT 'a direction', latent_decode(latent_sub('The sea.', 'The dog.'), '{"kind":"text"}'), latent_decode(latent_sub('The sea.', 'The dog.'), '{"kind":"text","decoder":"exact"}'), latent_decode(latent_sub('The sea.', 'The dog.'), '{"kind":"text","decoder":"writer"}');
INSERT INTO who SELECT 'fidelity', latent_fidelity('The sea.'), latent_fidelity('The sea.', '{"decoder":"exact"}'), latent_fidelity('The sea.', '{"decoder":"writer"}');
SELECT name, iif(own IS written, 'writer', ''), iif(own IS exact, 'exact', '') FROM who;
SELECT 'cross', latent_cross('The sea.', 'The dog.') = latent_cross('The sea.', 'The dog.', 1, '{"decoder":"writer"}'), latent_cross('The sea.', 'The dog.') <> latent_cross('The sea.', 'The dog.', 1, '{"decoder":"exact"}');
SELECT 'cross by nothing', latent_cross('The sea.', 'The dog.', 0) = latent_cross('The sea.', 'The dog.', 0, '{"decoder":"exact"}'), latent_cross('The sea.', 'The dog.', 0) <> latent_cross('The sea.', 'The dog.', 0, '{"decoder":"writer"}');
SELECT 'a picture''s is its own', latent_decode(latent_sample(2, '{"kind":"picture"}')) = latent_decode(latent_sample(2, '{"kind":"picture"}'), '{"decoder":"exact"}');

SELECT '-- paths';
CREATE TABLE p AS SELECT * FROM latent_path((SELECT z FROM apart WHERE id = 1), (SELECT z FROM apart WHERE id = 3), 5);
SELECT count(*), min(typeof(content)), min(fidelity) >= -1, max(fidelity) < 1.001 FROM p;
SELECT 'ends', (SELECT content FROM p WHERE t = 0) = latent_decode(z) FROM apart WHERE id = 1;
SELECT 'again', count(*) FROM (SELECT * FROM p EXCEPT SELECT * FROM latent_path((SELECT z FROM apart WHERE id = 1), (SELECT z FROM apart WHERE id = 3), 5, '{"decoder":"writer"}'));
SELECT 'interp', sum(content = latent_interp((SELECT z FROM apart WHERE id = 1), (SELECT z FROM apart WHERE id = 3), t, '{"best_of":1}')) = 4 FROM latent_path((SELECT z FROM apart WHERE id = 1), (SELECT z FROM apart WHERE id = 3), 4, '{"best_of":1}');
SELECT 'the small decoder''s', count(*) > 0 FROM (SELECT content FROM p EXCEPT SELECT content FROM latent_path((SELECT z FROM apart WHERE id = 1), (SELECT z FROM apart WHERE id = 3), 5, '{"decoder":"exact"}'));
SELECT 'even, distinct', count(*) BETWEEN 1 AND 4 FROM latent_path('The sea.', 'The dog.', 4, '{"steps":"even","distinct":true,"best_of":2}');
SELECT 'documents', count(*), min(length(content) > 0) FROM latent_path('It rains. We stay. The sea is old.', 'She sings.', 3);

SELECT '-- documents: the plain model has no part unless it is asked for';
CREATE TABLE d AS SELECT latent_interp(a.z, b.z, 0.5, '{"decoder":"writer"}') AS content, latent_interp(a.z, b.z, 0.5, '{"decoder":"writer","fluency":0}') AS alone, latent_interp(a.z, b.z, 0.5, '{"decoder":"writer","fluency":0.7}') AS fluent FROM t a, t b WHERE a.id = 2 AND b.id = 1;
SELECT typeof(content), content = alone, content <> fluent FROM d;

SELECT '-- settings: a seed repeats, another one does not; a temperature draws';
SELECT latent_sample(7) = latent_sample(7), latent_sample(7) <> latent_sample(8), latent_sample(7, '{"seed":1}') <> latent_sample(7, '{"seed":2}');
SELECT latent_vary('The sea.', 0.5, 1) = latent_vary('The sea.', 0.5, 1), latent_vary('The sea.', 0.5, 1) <> latent_vary('The sea.', 0.5, 2);
SELECT latent_decode(z, '{"decoder":"writer","temperature":0.8,"seed":4}') = latent_decode(z, '{"decoder":"writer","temperature":0.8,"seed":4}'), latent_decode(z, '{"decoder":"writer","temperature":0.8,"seed":4}') <> latent_decode(z, '{"decoder":"writer","temperature":0.8,"seed":5}') FROM t WHERE id = 1;
SELECT count(DISTINCT latent_decode(z, '{"decoder":"writer","temperature":' || value || ',"seed":3}')) > 1 FROM t, json_each('[0,0.5,1,10]') WHERE t.id = 1;
SELECT latent_decode(z, '{"decoder":"writer","temperature":0.0001}') = latent_decode(z, '{"decoder":"writer"}'), latent_decode(z, '{"decoder":"writer","temperature":1e-40}') = latent_decode(z, '{"decoder":"writer"}') FROM t WHERE id = 1;
SELECT latent_decode(z, '{"decoder":"writer","fluency":1}') <> latent_decode(z, '{"decoder":"writer"}'), latent_decode(z, '{"decoder":"writer","detail":0}') <> latent_decode(z, '{"decoder":"writer"}'), latent_decode(z, '{"decoder":"writer","fluency":0}') = latent_decode(z, '{"decoder":"writer"}') FROM t WHERE id = 1;
SELECT typeof(latent_decode(z, '{"decoder":"writer","best_of":4}')), typeof(latent_decode(z, '{"decoder":"writer","best_of":4,"fluency":0.3}')), latent_decode(z, '{"decoder":"writer","beams":4}') = latent_decode(z, '{"decoder":"writer"}') FROM t WHERE id = 1;
SELECT 'max_tokens', n <= 3 FROM (SELECT (SELECT count(*) FROM latent_tokens(x)) AS n FROM (SELECT latent_decode(z, '{"decoder":"writer","max_tokens":2}') AS x FROM t WHERE id = 1));

SELECT '-- going on with a text';
SELECT typeof(latent_complete('The sea is')), latent_complete('The sea is') = latent_complete('The sea is', NULL, NULL), latent_complete('The sea is') = latent_complete('The sea is', NULL, '{"decoder":"writer"}');
SELECT latent_complete(NULL), latent_complete(NULL, 'x'), latent_complete(NULL, NULL, '{"decoder":"writer"}');
SELECT latent_complete('The sea is') <> latent_complete('The dog was in'), latent_complete('The sea is', 'the dog') <> latent_complete('The sea is'), latent_complete('The sea is', 'the dog', '{"fluency":0}') <> latent_complete('The sea is', 'Two old cats!', '{"fluency":0}');
SELECT latent_complete('The sea is', 'the dog') = latent_complete('The sea is', latent_encode('the dog')), latent_complete('The sea is', 'the dog', '{"fluency":0}') <> latent_complete('The dog was in', 'the dog', '{"fluency":0}'), latent_complete('The sea is', 'the dog', '{"fluency":1}') <> latent_complete('The sea is', 'the dog');
SELECT latent_complete('The sea is', z) IS NOT NULL FROM t WHERE id = 2;
SELECT typeof(latent_complete('')), typeof(latent_complete('', 'the dog')), typeof(latent_complete(char(0))), typeof(latent_complete(CAST(x'ff' AS TEXT), CAST(x'41ff42' AS TEXT)));
SELECT latent_complete('', NULL, '{"temperature":1,"seed":1}') = latent_complete('', NULL, '{"temperature":1,"seed":1}'), latent_complete('', NULL, '{"temperature":1,"seed":1}') <> latent_complete('', NULL, '{"temperature":1,"seed":2}');
CREATE TABLE long AS WITH RECURSIVE n(i, x) AS (SELECT 1, 'The rain was on the sea. ' UNION ALL SELECT i+1, x || 'row ' || i || ' is on the sea. ' FROM n WHERE i<200) SELECT x FROM n ORDER BY i DESC LIMIT 1;
SELECT 'a long text counts by its end', length(x) > 2000, latent_complete(x) = latent_complete(substr(x, 1000)), latent_complete('Another start. ' || x, 'the dog') = latent_complete(x, 'the dog'), latent_complete(x) <> latent_complete(x || 'No') FROM long;
SELECT 'max_tokens', length(latent_complete('The sea', NULL, '{"max_tokens":1}')) <= length(latent_complete('The sea', NULL, '{"max_tokens":3}')), substr(latent_complete('The sea'), 1, 1) = substr(latent_complete('The sea', NULL, '{"max_tokens":4}'), 1, 1);
SELECT 'many rows', count(latent_complete(body)), count(latent_complete(body, z)) FROM t;

SELECT '-- tables';
CREATE TABLE notes(id INTEGER PRIMARY KEY, body TEXT);
INSERT INTO notes VALUES (2, 'The sea is old.'), (3, 'The sea was old.'), (5, 'The dog said no.'), (7, 'The cat said no.'), (11, 'It was night. The house was old.'), (12, NULL);
CREATE VIRTUAL TABLE l USING latent(body, content='notes', content_rowid='id');
INSERT INTO l(l) VALUES ('rebuild');
SELECT 'imagine', count(*) BETWEEN 1 AND 3, min(typeof(content)) FROM latent_imagine('l', 'The sea said no.', 3);
SELECT 'imagine, exact', count(*) BETWEEN 1 AND 3 FROM latent_imagine('l', 'The sea said no.', 3, '{"decoder":"exact"}');
SELECT 'gaps', count(*) <= 2, total(typeof(content) <> 'text') FROM latent_gaps('l', 2);
SELECT 'gaps, exact', count(*) <= 2 FROM latent_gaps('l', 2, '{"decoder":"exact"}');
SELECT 'labels', count(DISTINCT cluster), min(typeof(label)) FROM latent_cluster('l', 2);
SELECT 'labels, exact', count(DISTINCT cluster), min(typeof(label)) FROM latent_cluster('l', 2, '{"decoder":"exact"}');

SELECT '-- code: lines in order, each with those before it';
CREATE TABLE f(id INTEGER PRIMARY KEY, code TEXT);
INSERT INTO f(code) VALUES ('def f(x):' || char(10) || '    return x'), ('if y:' || char(10) || '    y = 0' || char(10) || 'return y'), ('pass'), ('');
SELECT a.id, b.id, latent_interp(a.code, b.code, 0.5, '{"kind":"code","decoder":"writer"}') <> latent_interp(a.code, b.code, 0.5, '{"kind":"code","decoder":"exact"}') FROM f a, f b WHERE a.id < b.id AND b.id < 4;
SELECT id, latent_decode(code, '{"kind":"code"}') = latent_decode(code, '{"kind":"code","decoder":"exact"}'), latent_decode(code, '{"kind":"code","decoder":"writer"}') <> '', typeof(latent_decode(code, '{"kind":"code","decoder":"writer","best_of":3}')) FROM f;
SELECT 'path', count(*), min(length(content) > 0) FROM latent_path((SELECT code FROM f WHERE id = 1), (SELECT code FROM f WHERE id = 2), 4, '{"kind":"code"}');
SELECT 'a line alone is the small decoder''s', latent_vary(code, 0.5, 1, '{"kind":"code"}') <> latent_vary(code, 0.5, 1, '{"kind":"code","decoder":"writer"}') FROM f WHERE id = 3;
SELECT 'vary', latent_vary(code, 0.5, 1, '{"kind":"code"}') = latent_vary(code, 0.5, 1, '{"kind":"code","decoder":"writer"}') FROM f WHERE id = 1;
SELECT 'towards code', latent_complete('if x:', latent_encode('pass', '{"kind":"code"}')) = latent_complete('if x:', 'pass', '{"kind":"code"}'), latent_complete('if x:', 'pass', '{"kind":"code"}') <> latent_complete('if x:', 'return x', '{"kind":"code","fluency":0}');

SELECT '-- a move of one segment: the other comes back as it was';
CREATE TABLE moved AS SELECT latent_from_json(json_set(latent_json(z), '$.segments[0].r', json((SELECT json_group_array(value/2) FROM json_each(latent_json(z), '$.segments[0].r'))))) AS z, latent_decode(z) AS was FROM t WHERE id = 2;
SELECT substr(latent_decode(z), -8) = substr(was, -8), substr(latent_decode(z, '{"decoder":"writer"}'), -8) = substr(was, -8), substr(latent_decode(z), 1, 8) = substr(was, 1, 8) FROM moved;

SELECT '-- what the writer is';
SELECT key, type, iif(key IN ('ms_a_piece', 'path'), '', value) FROM json_each(latent_info(), '$.writer');
SELECT latent_info() ->> '$.writer.ms_a_piece' >= 0, latent_info() ->> '$.writer.path' LIKE '%/tests/data/llama';

SELECT '-- other weights: their writer, or none, or one that reads other latents';
SELECT length(latent_load('build/tests/models/all'));
SELECT latent_interp('The sea.', 'The dog.', 0.5) = latent_interp('The sea.', 'The dog.', 0.5, '{"decoder":"exact"}');
SELECT length(latent_load('build/tests/models/reads_other'));
SELECT latent_interp('The sea.', 'The dog.', 0.5, '{"decoder":"writer"}');
SELECT latent_interp('The sea.', 'The dog.', 0.5, '{"decoder":"exact"}') <> '', latent_decode('The sea.') <> '';
SELECT length(latent_load('build/tests/models/reads_wide'));
SELECT latent_interp('The sea.', 'The dog.', 0.5, '{"decoder":"writer"}');
SELECT length(latent_load('build/tests/models/reads_other_code'));
SELECT latent_interp('pass', 'return', 0.5, '{"kind":"code","decoder":"writer"}');
SELECT latent_interp('The sea.', 'The dog.', 0.5) <> '', latent_interp('pass', 'return', 0.5, '{"kind":"code","decoder":"exact"}') <> '';
SELECT length(latent_load('build/tests/models/reads_no_code'));
SELECT latent_interp('pass', 'return', 0.5, '{"kind":"code"}') = latent_interp('pass', 'return', 0.5, '{"kind":"code","decoder":"exact"}');
SELECT latent_interp('pass', 'return', 0.5, '{"kind":"code","decoder":"writer"}');
SELECT length(latent_load('build/tests/models/bad_code'));
SELECT latent_interp('The sea.', 'The dog.', 0.5, '{"decoder":"writer"}');
SELECT length(latent_load('build/tests/models/bad_writer'));
SELECT latent_interp('The sea.', 'The dog.', 0.5, '{"decoder":"writer"}');
SELECT count(*) FROM latent_path('The sea.', 'The dog.', 3, '{"decoder":"writer"}');
SELECT latent_complete('The sea');
SELECT length(latent_load('build/tests/models/writing'));
SELECT own = latent_interp(a.z, b.z, 0.5) FROM who, apart a, apart b WHERE name = 'interp' AND a.id = 1 AND b.id = 3;
