-- latent_encode_each over texts, pictures and latents in one column, and over code, for any weights.
CREATE TABLE mixed(body);
INSERT INTO mixed VALUES ('A cat.'), (latent_image('a cat', 1)), (NULL), (latent_encode('A dog.')), ('It rains. We stay.'), (latent_image('a star', 2));
SELECT 'what latent_encode gives', count(*), count(latent) FROM latent_encode_each('mixed', 'body') WHERE latent IS NOT latent_encode(content);
SELECT 'kinds', rowid, typeof(content), json_extract(latent_json(latent), '$.kind') FROM latent_encode_each('mixed', 'body') WHERE latent IS NOT NULL;
SELECT * FROM latent_encode_each('mixed', 'body', '{"kind": "picture"}');
SELECT * FROM latent_encode_each('mixed', 'body', '{"kind": "text"}');
UPDATE mixed SET body = substr(body, 1, 100) WHERE rowid = 6;
SELECT count(latent) FROM latent_encode_each('mixed', 'body');
