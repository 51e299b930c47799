-- What the scalar functions refuse, and in what words. A statement that failed does not change the
-- next.
-- Wrong type.
SELECT latent_encode(5);
SELECT latent_decode(5.5);
SELECT latent_decode(x'');
SELECT latent_decode(x'0102030405060708090a');
SELECT latent_distance('a', 7);
SELECT latent_score(x'00', 'a');
SELECT latent_score('a', 5);
SELECT latent_from_json(5);
SELECT latent_from_vector('text');
SELECT latent_load(5);
-- Wrong count.
SELECT latent_encode();
SELECT latent_decode('a', '{}', 1);
SELECT latent_interp('a', 'b');
SELECT latent_info(1);
-- Broken latents.
SELECT latent_decode(zeroblob(20));
SELECT latent_decode(x'4C544E54');
SELECT latent_decode(x'4C544E54020101000100800100000000');
SELECT latent_decode(x'4C544E54010901000100800100000000');
SELECT latent_decode(x'4C544E54010109000100800100000000');
SELECT latent_decode(x'4C544E54010101000000800100000000');
SELECT latent_decode(x'4C544E54010100000100010001000000' || x'0000C07F');
SELECT latent_decode(CAST(x'4C544E54010100000100010001000000' || x'0000C07F' AS BLOB));
SELECT latent_decode(latent_encode('a') || '');
-- Directions where a point is wanted.
SELECT latent_decode(latent_sub('a', 'b'));
SELECT latent_interp('a', latent_sub('a', 'b'), 0.5);
SELECT latent_vary(latent_sub('a', 'b'), 0.5, 1);
SELECT latent_fidelity(latent_sub('a', 'b'));
SELECT latent_move(latent_sub('a', 'b'), 'c', 1);
-- Numbers out of range, or none.
SELECT latent_interp('a', 'b', 1.5);
SELECT latent_interp('a', 'b', -0.1);
SELECT latent_interp('a', 'b', 9e999);
SELECT latent_interp('a', 'b', 'half');
SELECT latent_interp('a', 'b', x'00');
SELECT latent_slerp('a', 'b', 2);
SELECT latent_vary('a', 2, 1);
SELECT latent_vary('a', 0.5, 1.5);
SELECT latent_sample('seed');
SELECT latent_scale('a', 1e7);
SELECT latent_move('a', 'b', -1e7);
SELECT latent_vector('a', 'q');
SELECT latent_scale(latent_scale(latent_scale(latent_scale(latent_scale(latent_scale(latent_scale('a', 1e6), 1e6), 1e6), 1e6), 1e6), 1e6), 1e6);
-- Options.
SELECT latent_decode('a', 5);
SELECT latent_decode('a', '');
SELECT latent_decode('a', '{');
SELECT latent_decode('a', '{"beams":4} x');
SELECT latent_decode('a', '{"beams":4}' || char(0));
SELECT latent_decode('a', '[1]');
SELECT latent_decode('a', 'null');
SELECT latent_decode('a', '{"beam":4}');
SELECT latent_decode('a', '{"Beams":4}');
SELECT latent_decode('a', '{"beams":0}');
SELECT latent_decode('a', '{"beams":33}');
SELECT latent_encode('a', '{"refine":65}');
SELECT latent_decode('a', '{"beams":4.5}');
SELECT latent_decode('a', '{"beams":"4"}');
SELECT latent_decode('a', '{"beams":null}');
SELECT latent_decode('a', '{"beams":{"n":["a long value",1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20]}}');
SELECT latent_decode('a', '{"beams":4,"beams":4}');
SELECT latent_decode('a', '{"best_of":65}');
SELECT latent_decode('a', '{"temperature":-1}');
SELECT latent_decode('a', '{"temperature":11}');
SELECT latent_decode('a', '{"seed":1.5}');
SELECT latent_decode('a', '{"seed":1e300}');
SELECT latent_decode('a', '{"fluency":1.1}');
SELECT latent_decode('a', '{"fluency":1e999}');
SELECT latent_decode('a', '{"detail":-0.1}');
SELECT latent_decode('a', '{"kind":"picture"}');
SELECT latent_decode('a', '{"kind":1}');
SELECT latent_decode('a', '{"steps":"even"}');
SELECT latent_encode('a', '{"distinct":true}');
SELECT latent_sample(1, '{"fluency":2}');
-- JSON that is no latent.
SELECT latent_from_json('');
SELECT latent_from_json('[]');
SELECT latent_from_json('{}');
SELECT latent_from_json('{"kind":"music"}');
SELECT latent_from_json('{"kind":"text","colour":"blue"}');
SELECT latent_from_json('{"kind":"text","kind":"text"}');
SELECT latent_from_json(json_remove(latent_json('a'), '$.segments'));
SELECT latent_from_json(json_set(latent_json('a'), '$.segments', json('[]')));
SELECT latent_from_json(json_set(latent_json('a'), '$.segments[0]', 1));
SELECT latent_from_json(json_remove(latent_json('a'), '$.segments[0].r'));
SELECT latent_from_json(json_set(latent_json('a'), '$.segments[0].s[1]', 'x'));
SELECT latent_from_json(json_set(latent_json('a'), '$.segments[0].s[1]', 1e39));
SELECT latent_from_json(json_set(latent_json('a'), '$.segments[0].t', 1));
-- Weights that are not there; what was in use before stays.
SELECT latent_load('');
SELECT latent_load('/nowhere/at/all');
SELECT latent_load('/nowhere/text.safetensors');
SELECT 'still there', latent_decode(latent_encode('a')) = latent_decode('a');
-- A schema may not call it.
CREATE VIEW loads AS SELECT latent_load('/nowhere');
SELECT * FROM loads;
CREATE VIEW informs AS SELECT latent_info() IS NOT NULL;
SELECT * FROM informs;
PRAGMA trusted_schema = OFF;
SELECT * FROM informs;
-- Messages are UTF-8, whatever came.
SELECT latent_decode('x', CAST(x'7b22ff223a317d' AS TEXT));
