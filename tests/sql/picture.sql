-- tiny: Pictures in the same functions as text: properties that hold for any weights.
CREATE TABLE p(id INTEGER PRIMARY KEY, name TEXT, png BLOB);
INSERT INTO p VALUES(1, 'a red disc', x'89504E470D0A1A0A0000000D4948445200000008000000080806000000C40FBE8B000000234944415478DA63B823A7C18084FF43315C0C5D021D13A7E03F3E4C9402CADD80D79B000F5E7455569F28120000000049454E44AE426082'),
  (2, 'blue and yellow squares', x'89504E470D0A1A0A0000000D49484452000000080000000808020000004B6D29DC000000204944415478DA63F875C70688446C4E0011329B01A704A610848D5B820E760000915165412EE6880F0000000049454E44AE426082'),
  (3, 'a smooth ground', x'89504E470D0A1A0A0000000D4948445200000008000000080806000000C40FBE8B0000005C4944415478DA15CA310103410800B093F252908214A42005293869C3902DEFBDFA7D0449D10CCB7B9F409014CDB0DF85100892A219362EA4409014CDB079A10482A46886AD0B2D102445336C5F188120299A61E7C20A0449D10CCB1FFA9197C14D43D8850000000049454E44AE426082');

SELECT '-- a latent of kind picture, of one segment; a PNG of 64x64 comes back, the same one each time';
SELECT hex(substr(latent_encode(png), 1, 6)), json_array_length(latent_json(png) -> '$.segments'), latent_json(png) ->> '$.kind' FROM p;
SELECT typeof(x), hex(substr(x, 1, 8)), hex(substr(x, 17, 8)) FROM (SELECT latent_decode(png) AS x FROM p);
SELECT latent_decode(png)=latent_decode(latent_encode(png)), latent_encode(png)=latent_encode(png), latent_encode(latent_encode(png))=latent_encode(png) FROM p;
SELECT latent_encode(png, '{"kind":"picture"}')=latent_encode(png), latent_decode(png, '{"max_tokens":3}')=latent_decode(png) FROM p WHERE id=1;
SELECT count(DISTINCT latent_encode(png)) FROM p;
SELECT latent_encode(NULL), latent_image(NULL, 1), latent_image('a', NULL), latent_cross(NULL, 'a'), latent_cross('a', NULL), latent_cross('a', 'b', NULL);
SELECT latent_info() ->> '$.picture.kind', latent_info() ->> '$.model.kind', latent_info() ->> '$.picture.shape.size';

SELECT '-- distance: of any two kinds, by s';
SELECT latent_distance(png, png) < 1e-6, latent_distance(png, latent_encode(png)) < 1e-6 FROM p;
SELECT latent_distance(name, png) BETWEEN 0 AND 2, abs(latent_distance(name, png) - latent_distance(png, name)) < 1e-6,
  abs(latent_distance(latent_encode(name), latent_encode(png)) - latent_distance(name, png)) < 1e-6 FROM p;
SELECT count(*) FROM p ORDER BY latent_distance(png, 'something red');
SELECT latent_fidelity(png) BETWEEN -1.001 AND 1.001, latent_score(png, png) <= 0, latent_score(png, latent_encode(png))=latent_score(png, png) FROM p;

SELECT '-- between and beyond: the ends are the ends';
SELECT latent_interp(a.png, b.png, 0)=latent_decode(a.png), latent_interp(a.png, b.png, 1)=latent_decode(b.png), typeof(latent_interp(a.png, b.png, 0.5)) FROM p a, p b WHERE a.id=1 AND b.id=2;
SELECT latent_slerp(a.png, b.png, 0)=latent_encode(a.png), latent_slerp(a.png, b.png, 1)=latent_encode(b.png) FROM p a, p b WHERE a.id=1 AND b.id=3;
SELECT hex(substr(latent_analogy(a.png, b.png, c.png), 1, 4)), hex(substr(latent_move(c.png, latent_sub(b.png, a.png), 1), 1, 4)) FROM p a, p b, p c WHERE a.id=1 AND b.id=2 AND c.id=3;
SELECT latent_move(a.png, latent_sub(b.png, a.png), 0, '{"fluency":0}')=latent_decode(a.png) FROM p a, p b WHERE a.id=1 AND b.id=2;
SELECT latent_vary(png, 0, 1)=latent_decode(png), latent_vary(png, 0.5, 1)=latent_vary(png, 0.5, 1), typeof(latent_vary(png, 0.5, 2)) FROM p WHERE id=2;
SELECT hex(substr(latent_sample(1, '{"kind":"picture"}'), 1, 4)), latent_sample(1, '{"kind":"picture"}')=latent_sample(1, '{"kind":"picture"}'),
  latent_sample(1, '{"kind":"picture"}')=latent_sample(2, '{"kind":"picture"}'), typeof(latent_sample(1));
SELECT latent_decode(latent_add(png, latent_scale(latent_sub(png, png), 2)))=latent_decode(png) FROM p WHERE id=3;

SELECT '-- exchange';
SELECT latent_from_json(latent_json(png))=latent_encode(png), latent_from_vector(latent_vector(png), '{"kind":"picture"}')=latent_encode(png),
  length(latent_vector(png, 's'))<=length(latent_vector(name, 's')) FROM p;
SELECT latent_from_json(latent_json(d))=d, latent_decode(d, '{"kind":"picture"}') IS NOT NULL FROM (SELECT latent_sub(a.png, b.png) AS d FROM p a, p b WHERE a.id=1 AND b.id=2);

SELECT '-- many rows';
SELECT hex(substr(latent_mean(png), 1, 6)), typeof(latent_decode(latent_mean(png))) FROM p;
SELECT latent_mean(png)=latent_mean(latent_encode(png)), latent_mean(png, id=1)=latent_mean(latent_slerp(png, png, 0), id=1) FROM p;
SELECT typeof(latent_move(png, (SELECT latent_direction(png, id=2) FROM p), 0.5)) FROM p WHERE id=1;
SELECT id, latent_mean(png) OVER (ORDER BY id ROWS 1 PRECEDING) IS NOT NULL FROM p;

SELECT '-- a path: PNGs, the ends are what the ends decode to';
SELECT count(*), count(DISTINCT typeof(content)), min(typeof(content)), min(hex(substr(content, 1, 4))) FROM latent_path((SELECT png FROM p WHERE id=1), (SELECT png FROM p WHERE id=2), 5);
SELECT t, content=(SELECT latent_decode(png) FROM p WHERE id=1+t), distance_a BETWEEN -1e-6 AND 2 FROM latent_path((SELECT png FROM p WHERE id=1), (SELECT png FROM p WHERE id=2), 2);
SELECT count(*) BETWEEN 1 AND 4 FROM latent_path((SELECT png FROM p WHERE id=1), (SELECT latent_encode(png) FROM p WHERE id=3), 4, '{"steps":"even","distinct":true}');

SELECT '-- two kinds together: s of one, r of the other, decoded as the other';
SELECT latent_cross(name, png, 0)=latent_decode(png), latent_cross(png, png)=latent_decode(png), typeof(latent_cross(name, png)), typeof(latent_cross(png, name)) FROM p WHERE id=1;
SELECT latent_cross(png, name, 0)=latent_decode(name), latent_cross(name, name)=latent_decode(name) FROM p;
SELECT latent_cross(a.png, b.png)=latent_cross(latent_encode(a.png), latent_encode(b.png), 1.0, '{"kind":"picture"}') FROM p a, p b WHERE a.id=1 AND b.id=2;
SELECT typeof(latent_cross('One. Two. Three.', png, 0.5)), typeof(latent_cross(png, 'One. Two. Three.')) FROM p WHERE id=2;

SELECT '-- a picture of a text';
SELECT typeof(x), hex(substr(x, 1, 8)), hex(substr(x, 17, 8)), x=latent_image('a rocket', 7, '{"best_of":3}') FROM (SELECT latent_image('a rocket', 7, '{"best_of":3}') AS x);
SELECT latent_image('a rocket', 7, '{"best_of":2}')=latent_image(latent_encode('a rocket'), 7, '{"best_of":2}');
SELECT latent_image('a rocket', 1, '{"best_of":1}')=latent_image('a rocket', 2, '{"best_of":1}'), typeof(latent_image('a rocket', -1, '{"best_of":1,"temperature":0,"detail":0,"fluency":0.5,"seed":3}'));
SELECT typeof(latent_image('One. Two. Three.', 1, '{"best_of":2}')), typeof(latent_image(png, 1, '{"best_of":2,"kind":"picture"}')), typeof(latent_image('a rocket', 1, '{"best_of":1,"kind":"picture"}')) FROM p WHERE id=1;
SELECT latent_image('a rocket', 1, '{"best_of":1,"guidance":1}')=latent_image('a rocket', 1, '{"best_of":1,"guidance":3}'),
  latent_image('a rocket', 1, '{"best_of":1,"guidance":0}')=latent_image('a rocket', 1, '{"best_of":1,"guidance":3}'),
  typeof(latent_cross('a rocket', png, 1, '{"guidance":2.5,"seed":4,"best_of":2}')) FROM p WHERE id=1;
SELECT '-- more candidates are never further from what is asked for';
SELECT latent_distance('a rocket', latent_image('a rocket', 5, '{"best_of":4}')) <= latent_distance('a rocket', latent_image('a rocket', 5, '{"best_of":1}')) + 1e-3;

SELECT '-- the names nearest to a picture, a text, a latent: nearest first, as many as are asked for';
SELECT count(*), count(DISTINCT name), min(distance)>=-1e-6, max(distance)<=2 FROM latent_describe((SELECT png FROM p WHERE id=1), 2);
SELECT (SELECT group_concat(name) FROM latent_describe(png, 3))=(SELECT group_concat(name) FROM latent_describe(latent_encode(png), 3)) FROM p WHERE id=2;
SELECT count(*)=sum(distance>=before) FROM (SELECT distance, lag(distance, 1, -1) OVER () AS before FROM latent_describe('a red house'));
SELECT count(*) FROM latent_describe(NULL);
