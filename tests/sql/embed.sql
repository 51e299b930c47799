-- latent_embed(): vectors of a sentence encoder. Those of the tiny ones of tests/data are compared
-- with PyTorch's in test_bert.c; here it is how SQL gets them.
SELECT latent_load('tests/data/bert');
SELECT json_extract(latent_info(), '$.encoder.name', '$.encoder.width', '$.encoder.window');
SELECT typeof(latent_embed('the cat')), length(latent_embed('the cat'));
SELECT 'same texts, other bytes', latent_embed('The  CÁT') = latent_embed('the cat'), latent_embed('the cat') = latent_embed('a cat');
SELECT 'nothing, and what no piece has', length(latent_embed('')), length(latent_embed('☃ 42'));
SELECT 'a text of several windows', length(latent_embed(printf('%.*c', 3000, 'a') || ' the cat ' || replace(printf('%.*c', 500, 'x'), 'x', 'b c ')));
SELECT 'no role is known to it', latent_embed('the cat', 'query') = latent_embed('the cat'), latent_embed('the cat', 'passage') = latent_embed('the cat');
SELECT 'NULL', latent_embed(NULL), latent_embed('a', NULL);
SELECT latent_embed(42);
SELECT latent_embed(x'00');
SELECT latent_embed('a', 'question');
SELECT latent_embed('a', 7);
-- A table of such vectors.
CREATE TABLE notes(id INTEGER PRIMARY KEY, body);
INSERT INTO notes(body) VALUES ('the cat'), ('the cats'), ('zzz'), ('a b c');
CREATE VIRTUAL TABLE v USING latent(width=48);
INSERT INTO v(rowid, latent) SELECT id, latent_embed(body) FROM notes;
SELECT body, round(distance, 3) FROM v(latent_embed('The cat')) JOIN notes ON id = v.rowid LIMIT 2;
-- Another encoder takes its place; a folder that is broken does not.
SELECT latent_load('tests/data/mpnet');
SELECT json_extract(latent_info(), '$.encoder.name'), length(latent_embed('the cat'));
SELECT latent_load('tests/data/golden');
SELECT json_extract(latent_info(), '$.encoder.name');
