-- A UTF-16 database gives the same latents as a UTF-8 one, and text comes back whole. Each
-- statement gives a name and ones.
PRAGMA encoding = 'UTF-16';
CREATE TABLE t(body TEXT, z BLOB AS (latent_encode(body)) STORED);
INSERT INTO t(body) VALUES ('It is warm.'), ('Здравствуй 你好 😀'), ('');
SELECT 'encoding', encoding = 'UTF-16le' OR encoding = 'UTF-16be' FROM pragma_encoding;
SELECT 'same latent', z = latent_encode(CAST(CAST(body AS BLOB) AS TEXT)), z = latent_encode(body) FROM t;
-- The point of the UTF-8 text, byte for byte: hashes of the two databases' columns would be equal.
SELECT 'header', hex(substr(z, 1, 10)) = '4C544E54010101000100' FROM t WHERE body = 'It is warm.';
SELECT 'decoded', typeof(latent_decode(z)) = 'text', latent_decode(z) = latent_decode(body) FROM t;
SELECT 'options', latent_decode(body, '{"max_tokens":2}') = latent_decode(z, '{"max_tokens":2}') FROM t;
SELECT 'path', count(*) = 3 FROM latent_path('It is warm.', 'It is cold.', 3);
SELECT 'json', latent_from_json(latent_json(body)) = z FROM t;
SELECT latent_decode('one', '{"beam":4}');
