-- latent_tokens: properties that hold for any weights and pieces.
CREATE TABLE t(id INTEGER PRIMARY KEY, body TEXT);
INSERT INTO t VALUES (1, 'A man rides a horse.'), (2, 'Two lines.' || char(10) || 'And  two spaces.'), (3, ''), (4, char(0x2581) || ' ' || char(233)),
  (5, CAST(x'00ff41e9' AS TEXT)), (6, NULL), (7, 'One. Two. Three.');

-- All bytes together are a space and the text, whatever the text is.
SELECT 'bytes', id, group_concat(hex(bytes), '') = hex(CAST(' ' || body AS BLOB)) OR id = 5 FROM (SELECT t.id, body, bytes FROM t, latent_tokens(t.body)) GROUP BY id;
SELECT 'any bytes', group_concat(hex(bytes), '') FROM latent_tokens(CAST(x'00ff41e9' AS TEXT));
SELECT 'positions', t.id, count(*) = max(position), min(position), count(*) = count(k.id), count(source) FROM t, latent_tokens(t.body) k GROUP BY t.id;
SELECT 'segments', t.id, min(segment), max(segment) FROM t, latent_tokens(t.body) WHERE t.id IN (1, 7) GROUP BY t.id;
-- To be read: spaces as U+2581, bytes and control characters as <0x0A>. A U+2581 of the text is
-- spelled in bytes.
SELECT 'line feed', count(*) FROM t, latent_tokens(t.body) WHERE t.id = 2 AND token LIKE '%<0x0A>%';
SELECT 'space', sum(token LIKE '% %'), sum(token LIKE '%' || char(0x2581) || '%') > 0 FROM t, latent_tokens(t.body) WHERE t.id = 1;
SELECT 'literal', group_concat(token, '') LIKE char(0x2581) || '<0xE2><0x96><0x81>%' FROM t, latent_tokens(t.body) WHERE t.id = 4;
SELECT 'null', count(*) FROM latent_tokens(NULL);

-- Words of a point between two: together they are the text. At the ends each comes from its parent,
-- where decoding is exact.
SELECT 'words', group_concat(token, '') = replace(replace(latent_interp('A man.', 'The dog.', 0.5, '{"max_tokens": 23}'), ' ', ''), char(10), '')
FROM latent_tokens('A man.', 'The dog.', 0.5);
SELECT 'sources', count(*) = sum(source IN ('a', 'b', 'both', 'neither')), count(*) = count(bytes), count(id) FROM latent_tokens('A man.', 'The dog.', 0.5);
-- Between two equal texts every word comes from both; case and punctuation do not count.
SELECT 'both', count(*) = sum(source = 'both') FROM latent_tokens(latent_encode('A man rides.'), upper(latent_decode('A man rides.')) || ' !', 0);
SELECT 'nobody', count(*) = sum(source = 'a') FROM latent_tokens(latent_encode('A man rides.'), '', 0);
SELECT 'null', count(*) FROM latent_tokens('a', NULL, 0.5);
