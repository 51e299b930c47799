-- tiny: the messages name the model. Which calls with pictures are refused, and in what words.
CREATE TABLE p(id INTEGER PRIMARY KEY, name TEXT, png BLOB);
INSERT INTO p VALUES(1, 'a red disc', x'89504E470D0A1A0A0000000D4948445200000008000000080806000000C40FBE8B000000234944415478DA63B823A7C18084FF43315C0C5D021D13A7E03F3E4C9402CADD80D79B000F5E7455569F28120000000049454E44AE426082'),
  (2, 'blue and yellow squares', x'89504E470D0A1A0A0000000D49484452000000080000000808020000004B6D29DC000000204944415478DA63F875C70688446C4E0011329B01A704A610848D5B820E760000915165412EE6880F0000000049454E44AE426082'),
  (3, 'a smooth ground', x'89504E470D0A1A0A0000000D4948445200000008000000080806000000C40FBE8B0000005C4944415478DA15CA310103410800B093F252908214A42005293869C3902DEFBDFA7D0449D10CCB7B9F409014CDB0DF85100892A219362EA4409014CDB079A10482A46886AD0B2D102445336C5F188120299A61E7C20A0449D10CCB1FFA9197C14D43D8850000000049454E44AE426082');
CREATE TABLE z AS SELECT latent_encode(png) AS picture, latent_encode(name) AS text, latent_sub(png, png) AS pictures, latent_sub(name, name) AS texts FROM p WHERE id=1;
-- Files that begin like a picture and are none; other files.
SELECT latent_encode(x'89504E470D0A1A0A');
SELECT latent_encode(substr(png, 1, 40)) FROM p WHERE id=1;
SELECT latent_encode(x'FFD8FFE000104A46494600');
SELECT latent_encode(CAST('GIF89a' AS BLOB));
SELECT latent_distance('a', substr(png, 1, length(png) - 30)) FROM p WHERE id=1;
-- Kinds do not mix, except where s alone decides.
SELECT latent_interp('a', png, 0.5) FROM p WHERE id=1;
SELECT latent_interp(png, 'a', 0.5) FROM p WHERE id=1;
SELECT latent_slerp(text, picture, 0.5) FROM z;
SELECT latent_analogy(a.png, b.png, 'a') FROM p a, p b WHERE a.id=1 AND b.id=2;
SELECT latent_move('a', pictures, 1) FROM z;
SELECT latent_move(picture, texts, 1) FROM z;
SELECT latent_add(text, picture) FROM z;
SELECT latent_sub(pictures, texts) FROM z;
SELECT latent_mean(x) FROM (SELECT picture AS x FROM z UNION ALL SELECT text FROM z);
SELECT latent_mean(x) FROM (SELECT picture AS x FROM z UNION ALL SELECT texts FROM z);
SELECT latent_direction(x, 1) FROM (SELECT name AS x FROM p UNION ALL SELECT png FROM p);
SELECT count(*) FROM latent_path('a', (SELECT png FROM p WHERE id=1), 3);
SELECT latent_score('a', picture) FROM z;
SELECT latent_score(png, 'a') FROM p WHERE id=1;
SELECT latent_score(CAST('GIF89a' AS BLOB), 'a');
SELECT latent_distance(text, picture) BETWEEN 0 AND 2, latent_distance(pictures, text) BETWEEN 0 AND 2 FROM z;
-- Options that name a kind.
SELECT latent_decode('a', '{"kind":"picture"}');
SELECT latent_encode('a', '{"kind":"picture"}');
SELECT latent_decode(png, '{"kind":"text"}') FROM p WHERE id=1;
SELECT latent_decode(picture, '{"kind":"text"}') FROM z;
SELECT latent_decode(text, '{"kind":"picture"}') FROM z;
SELECT latent_decode(texts, '{"kind":"picture"}') FROM z;
SELECT latent_decode(pictures) FROM z;
SELECT latent_from_vector(latent_vector(picture, 's'), '{"kind":"picture"}') FROM z;
SELECT latent_from_json(replace(latent_json(text), '"text"', '"picture"')) FROM z;
SELECT latent_from_json('{"kind":"picture"}');
-- Text has tokens that can be read, pictures have none.
SELECT count(*) FROM latent_tokens((SELECT png FROM p WHERE id=1));
SELECT count(*) FROM latent_tokens((SELECT png FROM p WHERE id=1), 'a', 0.5);
SELECT count(*) FROM latent_tokens('a', (SELECT picture FROM z), 0.5);
-- latent_cross, latent_image.
SELECT latent_cross('a');
SELECT latent_cross('a', 5);
SELECT latent_cross(texts, picture) FROM z;
SELECT latent_cross(text, pictures) FROM z;
SELECT latent_cross('a', 'b', 1.5);
SELECT latent_cross('a', 'b', 'much');
SELECT latent_cross('a', 'b', 0.5, '{"seeds":1}');
SELECT latent_image('a');
SELECT latent_image(5, 1);
SELECT latent_image(texts, 1) FROM z;
SELECT latent_image('a', 1.5);
SELECT latent_image('a', 1, '{"best_of":65}');
SELECT latent_image(x'00', 1);
SELECT latent_image('a', 1, '{"guidance":11}');
SELECT latent_cross('a', 'b', 1, '{"guidance":-1}');
SELECT latent_decode('a', '{"guidance":1}');
SELECT count(*) FROM latent_describe(x'00');
SELECT count(*) FROM latent_describe('a', 0);
SELECT count(*) FROM latent_describe('a', 1001);
-- A latent of pictures is one segment.
SELECT latent_decode(latent_from_vector(CAST(latent_vector(picture) || latent_vector(picture) AS BLOB), '{"kind":"picture"}')) FROM z;
SELECT latent_score(png, latent_from_vector(CAST(latent_vector(picture) || latent_vector(picture) AS BLOB), '{"kind":"picture"}')) FROM z, p WHERE id=1;

-- A table of texts and pictures when only the model of pictures has changed: texts still work,
-- pictures are refused until 'rebuild'.
CREATE VIRTUAL TABLE t USING latent(body);
INSERT INTO t(rowid, body) SELECT id, name FROM p UNION ALL SELECT 10+id, png FROM p;
SELECT latent_load('build/tests/models/other_picture.safetensors') <> (latent_info() ->> '$.model.fingerprint');
SELECT latent_decode(picture) FROM z;
SELECT rowid FROM t('a red disc') WHERE rowid<10 LIMIT 1;
INSERT INTO t(rowid, body) VALUES(4, 'a text');
SELECT count(*) FROM t((SELECT png FROM p WHERE id=1));
INSERT INTO t(body) SELECT png FROM p WHERE id=1;
INSERT INTO t(latent) SELECT latent_encode(png) FROM p WHERE id=1;
UPDATE t SET body=(SELECT png FROM p WHERE id=2) WHERE rowid=1;
SELECT count(*) FROM latent_imagine('t', 'a red disc', 2, '{"kind":"picture"}');
INSERT INTO t(body) SELECT latent_encode(png) FROM p WHERE id=1;
DELETE FROM t WHERE rowid=13;
INSERT INTO t(t) VALUES('integrity-check');
INSERT INTO t(t) VALUES('rebuild');
SELECT rowid FROM t((SELECT png FROM p WHERE id=1)) WHERE distance<1e-4;
INSERT INTO t(rowid, body) SELECT 14, png FROM p WHERE id=3;
SELECT count(*), count(DISTINCT hex(substr(latent, 13, 4))) FROM t;
-- A directory: the weights of text are loaded at once, those of other kinds at their first use.
SELECT latent_load('build/tests/models/all') = (latent_info() ->> '$.model.fingerprint'), latent_info() ->> '$.picture';
SELECT latent_decode(picture) IS NOT NULL FROM z;
SELECT latent_info() ->> '$.picture.path' LIKE '%build/tests/models/all/picture.safetensors';
