-- latent_embed_each over JSON arrays and tables: properties that hold for any weights.
CREATE TABLE notes(id INTEGER PRIMARY KEY, body);
INSERT INTO notes VALUES (3, 'A man rides a horse.'), (5, NULL), (7, 'It rains. We stay.'), (11, '');
SELECT 'what latent_embed gives', count(*), count(vector), sum(vector IS NOT latent_embed(content)) FROM latent_embed_each('notes', 'body');
SELECT 'as a query', sum(vector IS NOT latent_embed(content, 'query')) FROM latent_embed_each('notes', 'body', 'query');
SELECT 'an array', rowid, content, vector IS latent_embed(content) FROM latent_embed_each('["A dog.", null, "It is warm."]');
CREATE TABLE many AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<60) SELECT 'Row ' || (i%7) AS body FROM n;
SELECT 'batches', count(*), sum(vector IS NOT latent_embed(content)) FROM latent_embed_each('many', 'body');
SELECT 'null', count(*) FROM latent_embed_each(NULL);
SELECT 'hidden', source, "column", role FROM latent_embed_each('notes', 'body') LIMIT 1;
SELECT * FROM latent_embed_each('notes', 'body', 'poem');
SELECT * FROM latent_embed_each('notes', 'id');
SELECT * FROM latent_embed_each('notes');
SELECT * FROM latent_embed_each('nothing', 'body');
SELECT 'still there', count(*) FROM latent_embed_each('["a"]');
