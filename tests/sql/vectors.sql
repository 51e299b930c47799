-- tiny: messages name widths. Bare vectors: a BLOB of f32, or a JSON array. Long JSON.
CREATE VIRTUAL TABLE v USING latent(width=3);
INSERT INTO v(rowid, latent) VALUES (1, '[1, 0, 0]'), (2, ' [ 0,1.0e0 , -0 ] '), (3, x'00000000000000000000803f');
SELECT rowid, round(distance, 4) FROM v('[0.6,0.8,0]') ORDER BY distance;
SELECT rowid FROM v WHERE v MATCH '[0,0,5e-1]' LIMIT 1;
SELECT hex(latent) FROM v WHERE rowid=2;
UPDATE v SET latent = '[0.5,-0.5,12.25]' WHERE rowid=1;
SELECT hex(latent) FROM v WHERE rowid=1;
SELECT 'the same point', latent_from_vector(j) = latent_from_vector(b) AND latent_from_vector(b) = latent_encode('It is warm.')
  FROM (SELECT latent_vector(z) AS b, '[' || group_concat(substr(part, 6, length(part) - 6)) || ']' AS j
    FROM (SELECT latent_encode('It is warm.') AS z), (SELECT '"s":' || json_extract(latent_json(latent_encode('It is warm.')), '$.segments[0].s') AS part
      UNION ALL SELECT '"r":' || json_extract(latent_json(latent_encode('It is warm.')), '$.segments[0].r')));
-- What is refused.
INSERT INTO v(latent) VALUES ('[1,2]');
INSERT INTO v(latent) VALUES ('[]');
INSERT INTO v(latent) VALUES ('[1,2,3,4]');
INSERT INTO v(latent) VALUES ('[0,0,0]');
INSERT INTO v(latent) VALUES ('[1,2,"3"]');
INSERT INTO v(latent) VALUES ('[1,2,null]');
INSERT INTO v(latent) VALUES ('[1,2,[3]]');
INSERT INTO v(latent) VALUES ('[1,2,NaN]');
INSERT INTO v(latent) VALUES ('[1,2,1e39]');
INSERT INTO v(latent) VALUES ('[1,2,-1e999]');
INSERT INTO v(latent) VALUES ('[1,2,3');
INSERT INTO v(latent) VALUES ('[1,2,3] x');
INSERT INTO v(latent) VALUES ('[1,,3]');
INSERT INTO v(latent) VALUES ('[1,2,3,]');
INSERT INTO v(latent) VALUES ('[1,2,01]');
INSERT INTO v(latent) VALUES ('{"a":1}');
SELECT rowid FROM v('[1,2]');
SELECT rowid FROM v('one, two');
SELECT rowid FROM v(5);
SELECT latent_from_vector('[1,2]');
SELECT latent_from_vector('[]');
SELECT latent_from_vector('[1,true]');
SELECT latent_from_vector(x'000000');
SELECT latent_from_vector(x'0000807f');
SELECT latent_from_vector(7);
SELECT count(*) FROM v;
-- The members of a latent's JSON come in any order, and with white space.
SELECT 'any order', latent_from_json('{ "segments" : ' || (j->'$.segments') || ' ,
  "model":"' || (j->>'$.model') || '","kind":"text"}') = latent_from_json(j)
  FROM (SELECT latent_json(latent_encode('It is warm. It rains.')) AS j);
SELECT latent_from_json(replace(latent_json('a'), '"s":[', '"s":[1,'));
SELECT latent_from_json(replace(latent_json('a'), '"s":[', '"s":[],"r":['));
SELECT latent_from_json(replace(latent_json('a'), '}]}', '}'));
SELECT latent_from_json(replace(latent_json('a'), '}]}', '},]}'));
SELECT latent_from_json(latent_json('a') || '}');
SELECT latent_from_json(replace(latent_json('a'), '"segments":[', '"segments":[[],'));
-- A tree of JSON would take fifty times the memory of its text.
SELECT latent_decode('a', '{"beams":[' || replace(hex(zeroblob(60000)), '00', '1,') || '1]}');
SELECT latent_from_json('{"kind":' || replace(hex(zeroblob(1000000)), '00', '[') || replace(hex(zeroblob(1000000)), '00', ']') || '}');
