-- NULL in, NULL out: in every argument of every function. Each statement gives a name and the
-- types, all "null".
SELECT 'encode', typeof(latent_encode(NULL)), typeof(latent_encode(NULL, '{}'));
SELECT 'decode', typeof(latent_decode(NULL)), typeof(latent_decode(NULL, '{}'));
SELECT 'interp', typeof(latent_interp(NULL, 'b', 0.5)), typeof(latent_interp('a', NULL, 0.5)), typeof(latent_interp('a', 'b', NULL)), typeof(latent_interp(NULL, NULL, NULL));
SELECT 'slerp', typeof(latent_slerp(NULL, 'b', 0.5)), typeof(latent_slerp('a', NULL, 0.5)), typeof(latent_slerp('a', 'b', NULL));
SELECT 'add', typeof(latent_add(NULL, 'b')), typeof(latent_add('a', NULL));
SELECT 'sub', typeof(latent_sub(NULL, 'b')), typeof(latent_sub('a', NULL));
SELECT 'scale', typeof(latent_scale(NULL, 2)), typeof(latent_scale('a', NULL));
SELECT 'analogy', typeof(latent_analogy(NULL, 'b', 'c')), typeof(latent_analogy('a', NULL, 'c')), typeof(latent_analogy('a', 'b', NULL));
SELECT 'move', typeof(latent_move(NULL, latent_sub('a', 'b'), 1)), typeof(latent_move('a', NULL, 1)), typeof(latent_move('a', latent_sub('a', 'b'), NULL));
SELECT 'vary', typeof(latent_vary(NULL, 0.5, 1)), typeof(latent_vary('a', NULL, 1)), typeof(latent_vary('a', 0.5, NULL));
SELECT 'sample', typeof(latent_sample(NULL));
SELECT 'distance', typeof(latent_distance(NULL, 'b')), typeof(latent_distance('a', NULL));
SELECT 'fidelity', typeof(latent_fidelity(NULL));
SELECT 'score', typeof(latent_score(NULL, 'b')), typeof(latent_score('a', NULL));
SELECT 'json', typeof(latent_json(NULL)), typeof(latent_from_json(NULL));
SELECT 'vector', typeof(latent_vector(NULL)), typeof(latent_from_vector(NULL));
-- NULL wins over any other mistake in a call, so a query over rows does not stop at a row without a
-- body.
SELECT 'with others wrong', typeof(latent_interp(NULL, 'b', 0.5, NULL)), typeof(latent_distance(NULL, NULL));
-- In a table.
CREATE TABLE t(body TEXT, z BLOB AS (latent_encode(body)) STORED);
INSERT INTO t(body) VALUES (NULL), ('one'), (NULL);
SELECT 'generated', typeof(z) FROM t;
