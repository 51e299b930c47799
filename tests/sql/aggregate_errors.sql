-- What latent_mean and latent_direction refuse. A statement that failed does not change the next
-- one.
CREATE TABLE t(id INTEGER PRIMARY KEY, body, weight, label);
INSERT INTO t VALUES (1, 'A man rides a horse.', -1, 1), (2, 'The soup is cold.', 'heavy', 1), (3, 42, 9e999, 1), (4, x'001122', 1, 1);
SELECT latent_mean(body, weight) FROM t WHERE id = 1;
SELECT latent_mean(body, weight) FROM t WHERE id = 2;
SELECT latent_mean('text', weight) FROM t WHERE id = 3;
SELECT latent_mean(body) FROM t WHERE id = 3;
SELECT latent_mean(body) FROM t;
SELECT latent_mean(body) FROM t WHERE id = 4;
SELECT latent_mean(x) FROM (SELECT latent_sub('a', 'b') AS x UNION ALL SELECT 'text');
SELECT latent_mean(x) FROM (SELECT 'text' AS x UNION ALL SELECT latent_sub('a', 'b'));
SELECT latent_mean('text', 1e101);
SELECT 'large', typeof(latent_mean(x, 1e100)) FROM (SELECT 'a' AS x UNION ALL SELECT 'b');
SELECT latent_mean() FROM t;
SELECT latent_mean(body, 1, 2) FROM t;
SELECT latent_direction(body, label) FROM t WHERE id < 3;
SELECT latent_direction(body, 0) FROM t WHERE id < 3;
SELECT latent_direction(body, label) FROM t;
SELECT id, typeof(latent_mean(body) OVER (ORDER BY id)) FROM t;
SELECT 'still there', typeof(latent_mean(body)) FROM t WHERE id < 3;
