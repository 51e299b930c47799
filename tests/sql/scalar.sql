-- The scalar functions: properties that hold for any weights. Every line of the output says 1 after
-- its name.
CREATE TABLE t(id INTEGER PRIMARY KEY, body TEXT, z BLOB AS (latent_encode(body)) STORED);
INSERT INTO t(body) VALUES ('A man rides a horse.'), ('The soup is cold.'), ('It rains. We stay.'), (''), ('zero' || char(0) || 'byte'),
  (CAST(x'41ff42' AS TEXT)), ('Grüße 😀 ▁'), (char(10));

-- NULL in, NULL out, before anything else is checked.
SELECT 'null', latent_encode(NULL) IS NULL AND latent_decode(NULL) IS NULL AND latent_interp(NULL, 5, 'x') IS NULL
  AND latent_interp('a', 'b', NULL) IS NULL AND latent_slerp('a', NULL, 0.5) IS NULL AND latent_add(NULL, 'a') IS NULL
  AND latent_sub('a', NULL) IS NULL AND latent_scale('a', NULL) IS NULL AND latent_analogy('a', NULL, 'c') IS NULL
  AND latent_move('a', 'b', NULL) IS NULL AND latent_vary('a', 0.5, NULL) IS NULL AND latent_sample(NULL) IS NULL
  AND latent_distance(NULL, 'a') IS NULL AND latent_fidelity(NULL) IS NULL AND latent_score(NULL, 'a') IS NULL
  AND latent_json(NULL) IS NULL AND latent_from_json(NULL) IS NULL AND latent_vector(NULL) IS NULL AND latent_vector('a', NULL) IS NULL
  AND latent_from_vector(NULL) IS NULL AND latent_load(NULL) IS NULL;
SELECT 'null options', latent_decode('a', NULL) = latent_decode('a'), latent_decode('a', '{}') = latent_decode('a');

-- The blob: magic, version 1, kind text, f16; its length is what its segments need. A generated
-- column holds the same.
SELECT 'blob', min(hex(substr(z, 1, 8)) = '4C544E5401010100'), min(typeof(z) = 'blob'), min(z = latent_encode(body)) FROM t;
SELECT 'length', min(length(z) = 16 + 2*json_array_length(latent_json(z), '$.segments')
  *(json_array_length(latent_json(z), '$.segments[0].s') + json_array_length(latent_json(z), '$.segments[0].r'))) FROM t;
SELECT 'two sentences', json_array_length(latent_json(z), '$.segments') = 2 FROM t WHERE id = 3;
SELECT 'idempotent', min(latent_encode(z) = z) FROM t;

-- Text and its latent are the same point everywhere.
SELECT 'decode', min(latent_decode(body) IS latent_decode(z)) FROM t;
SELECT 'distance to itself', max(abs(latent_distance(body, z))) < 1e-6 FROM t;
SELECT 'distance', min(latent_distance(body, 'A dog.') = latent_distance(z, latent_encode('A dog.'))) FROM t;
SELECT 'symmetric', min(abs(latent_distance(a.z, b.z) - latent_distance(b.z, a.z)) < 1e-6), min(latent_distance(a.z, b.z) BETWEEN -1e-6 AND 2) FROM t a, t b;
SELECT 'score', min(latent_score(body, body) = latent_score(body, z)), max(latent_score(body, z)) <= 0 FROM t;
SELECT 'fidelity', min(latent_fidelity(body) = latent_fidelity(z)), max(latent_fidelity(z)) < 1.00001 FROM t;
SELECT 'always text', min(typeof(latent_decode(z)) = 'text') FROM t;

-- A path begins and ends with what its ends decode to.
SELECT 'ends', min(latent_interp(a.body, b.body, 0) IS latent_decode(a.z)), min(latent_interp(a.body, b.body, 1) IS latent_decode(b.z)),
  min(latent_slerp(a.body, b.body, 0) = a.z), min(latent_slerp(a.body, b.body, 1) = b.z) FROM t a, t b WHERE a.id < 4 AND b.id < 4;
SELECT 'middle', abs(latent_distance(latent_slerp(a.z, b.z, 0.5), a.z) - latent_distance(latent_slerp(a.z, b.z, 0.5), b.z)) < 0.01
  FROM t a, t b WHERE a.id = 1 AND b.id = 2;
SELECT 'number as text', latent_slerp('a', 'b', '0.5') = latent_slerp('a', 'b', 0.5);

-- Algebra: kinds, and sums that cancel.
SELECT 'kinds', json_extract(latent_json(latent_sub('a', 'b')), '$.kind') = 'direction',
  json_extract(latent_json(latent_add('a', latent_sub('b', 'c'))), '$.kind') = 'text',
  json_extract(latent_json(latent_add(latent_sub('b', 'c'), 'a')), '$.kind') = 'text',
  json_extract(latent_json(latent_add('a', 'b')), '$.kind') = 'text',
  json_extract(latent_json(latent_sub('a', latent_sub('b', 'c'))), '$.kind') = 'text',
  json_extract(latent_json(latent_sub(latent_sub('b', 'c'), 'a')), '$.kind') = 'direction',
  json_extract(latent_json(latent_add(latent_sub('a', 'b'), latent_sub('b', 'c'))), '$.kind') = 'direction',
  json_extract(latent_json(latent_scale('a', 1)), '$.kind') = 'direction';
SELECT 'there', abs(latent_distance(latent_add('a', latent_sub('b', 'a')), 'b')) < 1e-3;
SELECT 'and back', abs(latent_distance(latent_sub(latent_add('a', latent_sub('b', 'a')), latent_sub('b', 'a')), 'a')) < 1e-3;
SELECT 'nothing added', latent_move('a', latent_sub('b', 'c'), 0) = latent_decode('a'),
  latent_decode(latent_add('a', latent_scale('b', 0))) = latent_decode('a');
SELECT 'opposite', abs(latent_distance(latent_scale('a', -3), 'a') - 2) < 1e-3;
SELECT 'move', latent_move('a', latent_sub('b', 'a'), 1, '{"fluency":0,"best_of":1}') = latent_decode('b'),
  latent_move('c', latent_sub('b', 'a'), 0.5) = latent_move('c', latent_scale(latent_sub('b', 'a'), 0.5), 1, '{"fluency":0.1}');
SELECT 'a move of nothing, whatever the amount, and an analogy of nothing', latent_move('a', latent_sub('b', 'b'), 1) = latent_decode('a', '{"fluency":0.2}'),
  latent_analogy('b', 'b', 'a') = latent_decode('a', '{"fluency":0.2}');
SELECT 'analogy', latent_analogy('a', 'b', 'a', '{"fluency":0,"best_of":1}') = latent_decode('b'),
  latent_analogy('a', 'b', 'c') = latent_move('c', latent_sub('b', 'a'), 1);
SELECT 'a direction as a point', latent_decode(latent_scale('a', 7), '{"kind":"text"}') = latent_decode('a');

-- The same seed gives the same; amount 0 gives the text itself.
SELECT 'sample', latent_sample(1) = latent_sample(1), latent_sample(-1) = latent_sample(-1), typeof(latent_sample(9223372036854775807)) = 'text';
SELECT 'sample options', latent_sample(5, '{"decoder":"exact"}') = latent_sample(5, '{"fluency":0.5,"detail":0.5,"temperature":0.7,"seed":5,"decoder":"exact"}');
SELECT 'vary', latent_vary('a', 0.5, 1) = latent_vary('a', 0.5, 1), latent_vary('a', 0, 7) = latent_decode('a');
SELECT 'sampled alike', latent_decode('a', '{"temperature":2,"seed":3}') = latent_decode('a', '{"temperature":2,"seed":3}');

-- Out and in again. (Not with json_valid(): SQLite's function says 0 when memory runs out, and the
-- sweep takes that for a wrong row.)
SELECT 'json', min(latent_from_json(latent_json(z)) = z), min(json_type(latent_json(z)) = 'object'), min(json_extract(latent_json(z), '$.kind') = 'text') FROM t;
SELECT 'json of a direction', latent_from_json(latent_json(latent_sub('a', 'b'))) = latent_sub('a', 'b');
SELECT 'model', json_extract(latent_json('a'), '$.model') = json_extract(latent_info(), '$.model.fingerprint');
SELECT 'vector', min(latent_from_vector(latent_vector(z)) = z), min(length(latent_vector(z)) = 2*(length(z) - 16)) FROM t;
SELECT 'parts', min(latent_vector(z, 'z') = latent_vector(z)), min(CAST(latent_vector(z, 's') || latent_vector(z, 'r') AS BLOB) = latent_vector(z)) FROM t WHERE id <> 3;
SELECT 'part lengths', min(length(latent_vector(z, 's')) + length(latent_vector(z, 'r')) = length(latent_vector(z))) FROM t;
SELECT 'brought back to the sphere', latent_distance(latent_from_vector(latent_vector(latent_scale('a', 5))), 'a') < 1e-3,
  round((SELECT sum(value*value) FROM json_each(latent_json(latent_from_vector(latent_vector(latent_scale('a', 5)))), '$.segments[0].s')), 2) = 1;

-- These functions may stand wherever SQL has expressions: indexes, checks, triggers, views; also
-- with a schema that is not trusted.
CREATE TABLE log(id, near, CHECK( latent_distance(near, near) < 0.1 ));
CREATE INDEX by_distance ON t(latent_distance(z, 'soup'));
CREATE TRIGGER after_t AFTER INSERT ON t BEGIN INSERT INTO log VALUES (new.id, latent_slerp(new.body, 'horse', 0.1)); END;
CREATE VIEW decoded AS SELECT id, latent_decode(z) AS text FROM t;
PRAGMA trusted_schema = OFF;
INSERT INTO t(body) VALUES ('A new row.');
SELECT 'trigger', count(*) = 1, min(typeof(near) = 'blob') FROM log;
SELECT 'view', count(*) = 9 FROM decoded;
SELECT 'index', (SELECT group_concat(id) FROM (SELECT id FROM t ORDER BY latent_distance(z, 'soup'), id))
  = (SELECT group_concat(id) FROM (SELECT id FROM t NOT INDEXED ORDER BY latent_distance(+z, 'soup'), id));
SELECT 'nearest', (SELECT id FROM t ORDER BY latent_distance(z, 'The soup is cold.') LIMIT 1) = 2;

-- The model in use.
SELECT 'load', latent_load(json_extract(latent_info(), '$.model.path')) = json_extract(latent_info(), '$.model.fingerprint');
SELECT 'info', json_type(latent_info()) = 'object', json_extract(latent_info(), '$.sqlite') = sqlite_version(), json_extract(latent_info(), '$.model.parameters') > 1000;
-- Algebra of documents with different numbers of segments: a difference has a segment for each pair,
-- and a move keeps the segments of what is moved.
CREATE VIEW documents AS SELECT latent_encode('A dog. A cat.') AS two, latent_encode('A dog. It is. A cat.') AS three, latent_encode('Go on. A dog. We. It is. No.') AS five;
SELECT 'uneven sub', json_extract(latent_json(z), '$.kind') = 'direction', json_array_length(latent_json(z), '$.segments') BETWEEN 1 AND 2 FROM (SELECT latent_sub(three, two) AS z FROM documents);
SELECT 'uneven add', json_extract(latent_json(z), '$.kind') = 'text', json_array_length(latent_json(z), '$.segments') BETWEEN 2 AND 3 FROM (SELECT latent_add(three, two) AS z FROM documents);
SELECT 'uneven direction', json_array_length(latent_json(latent_add(five, latent_sub(three, two))), '$.segments') = 5, json_array_length(latent_json(latent_sub(five, latent_sub(three, two))), '$.segments') = 5 FROM documents;
SELECT 'uneven content', typeof(latent_move(five, latent_sub(three, two), 1)) = 'text', typeof(latent_analogy(two, three, five)) = 'text', typeof(latent_move(two, three, 0.5)) = 'text' FROM documents;
