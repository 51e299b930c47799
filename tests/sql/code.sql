-- tiny, and a code model with the same weights (build/tests/models): a latent says its kind, and
-- each kind has a model of its own.
SELECT '-- not there: the file that was looked for';
SELECT latent_encode('return x', '{"kind":"code"}');
SELECT latent_encode('return x', '{"kind":"music"}');
SELECT latent_info() ->> '$.code';
SELECT latent_load('build/tests/models/music.safetensors');
SELECT length(latent_load('build/tests/models/code.safetensors'));
SELECT latent_info() ->> '$.code.kind', latent_info() ->> '$.model.kind';

SELECT '-- a latent''s kind decides what the other arguments are';
CREATE TABLE z AS SELECT latent_encode('return x', '{"kind":"code"}') AS code, latent_encode('return x') AS text;
SELECT hex(substr(code, 5, 2)), hex(substr(text, 5, 2)), substr(code, 13, 4)<>substr(text, 13, 4), length(code)=length(text) FROM z;
SELECT latent_json(code) ->> '$.kind', latent_json(text) ->> '$.kind', latent_from_json(latent_json(code))=code FROM z;
SELECT latent_distance(code, 'return x') < 1e-6, latent_distance('return x', code) < 1e-6 FROM z;
SELECT latent_slerp('if x:', code, 1)=code, latent_slerp(code, 'if x:', 0)=code, latent_mean(code)=latent_mean(latent_slerp(code, code, 0)) FROM z;
SELECT latent_decode(code)=latent_interp('return x', 'return y', 0, '{"kind":"code"}') FROM z;
SELECT latent_interp(code, 'if x:', 1)=latent_decode(latent_encode('if x:', '{"kind":"code","max_tokens":4}')) FROM z;
SELECT latent_from_vector(latent_vector(code), '{"kind":"code"}')=code, latent_from_vector(latent_vector(code))=code FROM z;
SELECT latent_score('return x', code) = latent_score('return x', text) FROM z;   -- the weights are the same
SELECT latent_sample(1, '{"kind":"code"}') = latent_sample(1), latent_fidelity('return x', '{"kind":"code"}') BETWEEN -1 AND 1;
SELECT count(*) FROM latent_path((SELECT code FROM z), 'if x:', 3);
SELECT count(*) FROM latent_path('return x', 'if x:', 3, '{"kind":"code"}');

SELECT '-- a direction is its model''s, by the fingerprint';
CREATE TABLE d AS SELECT latent_sub(code, 'if x:') AS code, latent_sub(text, 'if x:') AS text FROM z;
SELECT hex(substr(d.code, 6, 1)), substr(d.code, 13, 4)=substr(z.code, 13, 4), substr(d.text, 13, 4)=substr(z.text, 13, 4) FROM d, z;
SELECT latent_move('if x:', d.code, 1)=latent_move(latent_encode('if x:', '{"kind":"code"}'), d.code, 1) FROM d;
SELECT latent_from_json(latent_json(d.code))=d.code, latent_from_json(latent_json(d.text))=d.text FROM d;
SELECT latent_decode(d.code, '{"kind":"code"}') IS NOT NULL FROM d;
SELECT substr(latent_direction(x, label), 13, 4)=(SELECT substr(code, 13, 4) FROM z) FROM (SELECT code AS x, 0 AS label FROM z UNION ALL SELECT latent_slerp(code, 'if x:', 0.5), 1 FROM z);
SELECT latent_add(z.code, d.code) IS NOT NULL, latent_mean(d.code) IS NOT NULL FROM d, z;

SELECT '-- kinds do not mix, but in what s alone decides';
SELECT latent_distance(code, text) FROM z;
SELECT latent_interp(text, code, 0.5) FROM z;
SELECT latent_decode(code, '{"kind":"text"}') FROM z;
SELECT latent_move(z.text, d.code, 1) FROM z, d;
SELECT latent_move(z.code, d.text, 1) FROM z, d;
SELECT latent_decode(d.code, '{"kind":"text"}') FROM d;
SELECT latent_mean(x) FROM (SELECT code AS x FROM z UNION ALL SELECT text FROM z);
SELECT latent_from_json(replace(latent_json(text), '"text"', '"code"')) FROM z;
SELECT latent_from_json('{"kind":"code"}');
CREATE VIRTUAL TABLE t USING latent(body);
INSERT INTO t(rowid, body) VALUES(1, 'return x');
SELECT rowid FROM t((SELECT code FROM z));
INSERT INTO t(rowid, body, latent) SELECT 2, 'return x', code FROM z;

SELECT '-- code is cut at line breaks alone, and comes back whole';
SELECT latent_json(latent_encode('a. B! C? d')) ->> '$.segments[2]' IS NOT NULL,
  json_array_length(latent_json(latent_encode('print("a. B! C? d")', '{"kind":"code"}')) -> '$.segments'),
  json_array_length(latent_json(latent_encode('def f(x):' || char(10) || '    # Yes. No.' || char(10, 10) || '    return x', '{"kind":"code"}')) -> '$.segments');

SELECT '-- in code white space and capitals mean something';
SELECT latent_distance(latent_encode('if x:', '{"kind":"code"}'), latent_encode('if' || char(9) || 'x:', '{"kind":"code"}')) > 0,
       latent_distance(latent_encode('MAX_LENGTH', '{"kind":"code"}'), latent_encode('Max_length', '{"kind":"code"}')) > 0;
