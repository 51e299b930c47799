-- latent_mean and latent_direction: properties that hold for any weights.
CREATE TABLE t(id INTEGER PRIMARY KEY, body TEXT, weight REAL, label INTEGER);
INSERT INTO t VALUES
  (1, 'A man rides a horse.', 2, 0), (2, 'The soup is cold.', 1, 1), (3, NULL, 1, 1),
  (4, 'It rains. We stay.', 0, 0), (5, 'She sings.', NULL, 1), (6, 'A dog barks at night.', 0.5, NULL);

-- A mean of one row is the row; NULL rows do not count; no rows give NULL.
SELECT 'one row', latent_distance(latent_mean(body), body) < 0.001 FROM t WHERE id = 1;
SELECT 'with nulls', latent_mean(body) = (SELECT latent_mean(body) FROM t WHERE body IS NOT NULL) FROM t;
SELECT 'no rows', typeof(latent_mean(body)), typeof(latent_direction(body, label)) FROM t WHERE id > 100;
SELECT 'only null', typeof(latent_mean(body)), typeof(latent_direction(body, label)) FROM t WHERE id = 3;
-- Text and its latent are the same row. Order makes no difference that f16 would show.
SELECT 'latents', latent_distance((SELECT latent_mean(latent_encode(body)) FROM t), latent_mean(body)) < 0.001 FROM t;

-- Weights: 2 is as good as twice; 0 and NULL are as good as absent.
SELECT 'twice', latent_distance(latent_mean(body, weight),
  (SELECT latent_mean(body) FROM (SELECT body FROM t WHERE id IN (1, 2) UNION ALL SELECT body FROM t WHERE id = 1))) < 0.001
FROM t WHERE id IN (1, 2, 3, 4, 5);
SELECT 'weightless', typeof(latent_mean(body, weight)), typeof(latent_mean(body, 0)) FROM t WHERE id IN (4, 5);
SELECT 'text weight', latent_mean(body, '2') = latent_mean(body, 2) FROM t WHERE id IN (1, 2);

-- Rows that differ leave a weaker detail: the length of r says how far they agree. The length of s
-- is always 1.
SELECT 'length of r', (SELECT sum(value*value) FROM json_each(latent_json(z), '$.segments[0].r')) < 0.9999,
  round((SELECT sum(value*value) FROM json_each(latent_json(z), '$.segments[0].s')), 2)
FROM (SELECT latent_mean(body) AS z FROM t);
SELECT 'segments', json_array_length(latent_json(latent_encode(body)), '$.segments') > 1,
  json_array_length(latent_json(latent_mean(body)), '$.segments')
FROM t WHERE id = 4;

-- Windows: every frame gives what an aggregate over the same rows gives, also when rows leave.
SELECT 'window', id, coalesce(latent_distance(z, (SELECT latent_mean(body) FROM t u WHERE u.id BETWEEN w.id - 1 AND w.id)) < 0.001, 'null')
FROM (SELECT id, latent_mean(body) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS z FROM t) w;
SELECT 'weighted window', id, coalesce(latent_distance(z, (SELECT latent_mean(body, weight) FROM t u WHERE u.id BETWEEN w.id - 1 AND w.id)) < 0.001, 'null')
FROM (SELECT id, latent_mean(body, weight) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS z FROM t) w;
SELECT 'empty frame', id, z IS NULL OR z = (SELECT latent_mean(body) FROM t u WHERE u.id = w.id + 1)
FROM (SELECT id, latent_mean(body) OVER (ORDER BY id ROWS BETWEEN 1 FOLLOWING AND 1 FOLLOWING) AS z FROM t) w;
SELECT 'partition', count(DISTINCT z) FROM (SELECT latent_mean(body) OVER (PARTITION BY label) AS z FROM t);
SELECT 'groups', label, typeof(latent_mean(body)) FROM t GROUP BY label;
SELECT 'filter', latent_mean(body) FILTER (WHERE id < 3) = (SELECT latent_mean(body) FROM t WHERE id < 3) FROM t;

-- latent_direction: from the false rows to the true ones. With one row each it is their difference,
-- not normalised.
CREATE TABLE d AS SELECT latent_direction(body, label) AS forth, latent_direction(body, 1 - label) AS back FROM t WHERE id IN (1, 2);
SELECT 'direction', json_extract(latent_json(forth), '$.kind'), json_array_length(latent_json(forth), '$.segments') FROM d;
SELECT 'difference', max(abs(x.value - y.value)) < 0.01
FROM d, json_each(latent_json(forth), '$.segments[0].r') x,
  json_each(latent_json(latent_sub('The soup is cold.', 'A man rides a horse.')), '$.segments[0].r') y ON x.key = y.key;
SELECT 'and back', max(abs(x.value + y.value)) < 0.0001
FROM d, json_each(latent_json(forth), '$.segments[0].s') x, json_each(latent_json(back), '$.segments[0].s') y ON x.key = y.key;
SELECT 'null labels', latent_direction(body, label) = (SELECT latent_direction(body, label) FROM t WHERE label IS NOT NULL) FROM t;
SELECT 'truth', latent_direction(body, CASE label WHEN 1 THEN '2nd' ELSE 'no' END) = latent_direction(body, label) FROM t WHERE label IS NOT NULL;
-- The mean of directions is a direction. If each of them is twice as long, so is the mean.
SELECT 'mean direction', json_extract(latent_json(latent_mean(forth)), '$.kind'), latent_mean(forth) = forth FROM d;
SELECT 'longer', max(abs(2*x.value - y.value)) < 0.0001
FROM d, json_each(latent_json(forth), '$.segments[0].s') x,
  json_each(latent_json((SELECT latent_mean(latent_scale(forth, 2)) FROM d)), '$.segments[0].s') y ON x.key = y.key;
