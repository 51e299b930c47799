-- tiny: latent_breed and latent_explore of pictures: properties that hold for any weights. Genes in
-- words.
CREATE TABLE p(id INTEGER PRIMARY KEY, name TEXT, png BLOB);
INSERT INTO p VALUES(1, 'a red disc', x'89504E470D0A1A0A0000000D4948445200000008000000080806000000C40FBE8B000000234944415478DA63B823A7C18084FF43315C0C5D021D13A7E03F3E4C9402CADD80D79B000F5E7455569F28120000000049454E44AE426082'),
  (2, 'blue and yellow squares', x'89504E470D0A1A0A0000000D49484452000000080000000808020000004B6D29DC000000204944415478DA63F875C70688446C4E0011329B01A704A610848D5B820E760000915165412EE6880F0000000049454E44AE426082'),
  (3, 'a smooth ground', x'89504E470D0A1A0A0000000D4948445200000008000000080806000000C40FBE8B0000005C4944415478DA15CA310103410800B093F252908214A42005293869C3902DEFBDFA7D0449D10CCB7B9F409014CDB0DF85100892A219362EA4409014CDB079A10482A46886AD0B2D102445336C5F188120299A61E7C20A0449D10CCB1FFA9197C14D43D8850000000049454E44AE426082');
CREATE TABLE garden(id INTEGER PRIMARY KEY, content, latent BLOB, parents, weights, generation, novelty, score, recipe);
INSERT INTO garden(id, content, latent, generation) SELECT id, png, latent_encode(png), 0 FROM p;
INSERT INTO garden SELECT * FROM latent_breed('garden', '{"children":3,"generations":2,"mutation":0.6,"wish":"a red disc","genes":[{"from":"blue","to":"red","amount":0.5}]}');
INSERT INTO garden SELECT * FROM latent_breed('SELECT png, id FROM p', '{"children":2,"crossover":"part","archive":"garden","mutation":0.6,"temperature":0.5}');
INSERT INTO garden SELECT * FROM latent_breed('SELECT png, id FROM p', '{"children":2,"crossover":"segments","archive":"garden","mutation":0.6}');
INSERT INTO garden SELECT * FROM latent_breed('SELECT png, id FROM p', '{"children":2,"crossover":"regions","archive":"garden","mutation":0.6}');
SELECT 'the weights say', count(*), count(DISTINCT content) FROM (SELECT content FROM json_each('["[1,0,0]","[5,0,0]","[0,1,0]"]') w, latent_breed('SELECT png, id FROM p', '{"children":1,"crossover":"regions","mutation":0,"weights":'||w.value||'}'));
INSERT INTO garden SELECT * FROM latent_explore('garden', 'yellow', '{"children":4,"archive":"garden","mutation":0.6}');
SELECT 'rows', count(*) BETWEEN 3 AND 20, min(hex(substr(content, 1, 4))), min(hex(substr(latent, 6, 1))) FROM garden;
SELECT 'latent of the content', total(latent <> latent_encode(content)) FROM garden;
SELECT 'grown again', total(content <> again) FROM (SELECT c.content, latent_grow(p.latent, c.recipe, j.key) AS again FROM garden c, json_each(c.parents) j JOIN garden p ON p.id = j.value GROUP BY c.id);
SELECT 'no writer', total(json_type(recipe, '$.writer') IS NOT NULL) FROM garden;
SELECT 'a picture as wish', count(*) <= 2 FROM latent_explore('SELECT png, id FROM p', (SELECT png FROM p WHERE id = 1), '{"children":2,"mutation":0.6}');
SELECT 'tree', latent_tree(id, parents, content, 'picture '||id) LIKE '<svg %data:image/png;base64,%picture 1<%' FROM garden;
SELECT * FROM latent_breed('SELECT png FROM p UNION ALL SELECT name FROM p');
SELECT * FROM latent_breed('["a"]', '{"kind":"picture"}');
