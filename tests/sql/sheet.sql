-- tiny: Contact sheets and strips: latent_sheet, latent_strip. Bytes 17 to 24 of a PNG are its
-- size. A cell has 64 pixels, with 12 between and around the cells.
CREATE TABLE p(id INTEGER PRIMARY KEY, name TEXT, png BLOB);
INSERT INTO p VALUES(1, 'a red disc', x'89504E470D0A1A0A0000000D4948445200000008000000080806000000C40FBE8B000000234944415478DA63B823A7C18084FF43315C0C5D021D13A7E03F3E4C9402CADD80D79B000F5E7455569F28120000000049454E44AE426082'),
  (2, 'blue and yellow squares', x'89504E470D0A1A0A0000000D49484452000000080000000808020000004B6D29DC000000204944415478DA63F875C70688446C4E0011329B01A704A610848D5B820E760000915165412EE6880F0000000049454E44AE426082'),
  (3, 'a smooth ground', x'89504E470D0A1A0A0000000D4948445200000008000000080806000000C40FBE8B0000005C4944415478DA15CA310103410800B093F252908214A42005293869C3902DEFBDFA7D0449D10CCB7B9F409014CDB0DF85100892A219362EA4409014CDB079A10482A46886AD0B2D102445336C5F188120299A61E7C20A0449D10CCB1FFA9197C14D43D8850000000049454E44AE426082');
CREATE TABLE z AS SELECT id, name, latent_encode(png) AS z, latent_encode(name) AS text, latent_sub(png, png) AS direction FROM p;

SELECT '-- sheets: of 1, 3 and 12 pictures; without and with labels of one line and of two';
SELECT typeof(x), hex(substr(x, 1, 8)), hex(substr(x, 17, 8)) FROM (SELECT latent_sheet(png) AS x FROM p WHERE id=1);
SELECT hex(substr(latent_sheet(png), 17, 8)) FROM p;
SELECT hex(substr(latent_sheet(a.png), 17, 8)) FROM p a, p b, (VALUES(1),(2)) WHERE a.id<3;
SELECT hex(substr(latent_sheet(png, name), 17, 8)), hex(substr(latent_sheet(png, id), 17, 8)), hex(substr(latent_sheet(png, ''), 17, 8)) FROM p;
SELECT hex(substr(latent_sheet(png, name), 17, 8)) FROM p WHERE id<>2;
SELECT hex(substr(latent_sheet(png, 'Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch'), 17, 8)) FROM p WHERE id=1;
SELECT '-- what is there is drawn: pictures, labels, in their order; the same each time';
SELECT latent_sheet(png)=latent_sheet(png) FROM p;
SELECT count(DISTINCT x) FROM (SELECT latent_sheet(png) AS x FROM p UNION ALL SELECT latent_sheet(png) FROM (SELECT png FROM p ORDER BY id DESC)
  UNION ALL SELECT latent_sheet(png, 'a') FROM p UNION ALL SELECT latent_sheet(png, 'b') FROM p UNION ALL SELECT latent_sheet(png, name) FROM p);
SELECT latent_sheet(png, NULL)=latent_sheet(png), latent_sheet(png, '')=latent_sheet(png) FROM p;
SELECT latent_sheet(png, 'Grüße – 7')=latent_sheet(png, 'Grusse - 7'), latent_sheet(png, 7)=latent_sheet(png, '7') FROM p;
SELECT '-- NULL is no picture, and no pictures are no sheet';
SELECT latent_sheet(NULL) IS NULL, latent_sheet(NULL, 'a') IS NULL, (SELECT latent_sheet(png) IS NULL FROM p WHERE id=9);
SELECT latent_sheet(CASE WHEN id=2 THEN NULL ELSE png END)=(SELECT latent_sheet(png) FROM p WHERE id<>2) FROM p;
SELECT '-- latents are decoded; pictures and latents on one sheet; a sheet of sheets';
SELECT latent_sheet(z, name)=latent_sheet(latent_decode(z), name) FROM z;
SELECT latent_sheet(CASE WHEN z.id=2 THEN z ELSE png END)=latent_sheet(CASE WHEN z.id=2 THEN latent_decode(z) ELSE png END) FROM z JOIN p ON p.id=z.id;
SELECT hex(substr(latent_sheet(x), 17, 8)) FROM (SELECT latent_sheet(png) AS x FROM p);
SELECT name, hex(substr(latent_sheet(png, name), 17, 8)) FROM p GROUP BY name;
SELECT name, hex(substr(latent_sheet(png, name), 17, 8)) FROM p GROUP BY name LIMIT 1;
SELECT '-- what is none';
SELECT latent_sheet('a.png') FROM p;
SELECT latent_sheet(7) FROM p;
SELECT latent_sheet(x'') FROM p;
SELECT latent_sheet(substr(png, 1, 40)) FROM p;
SELECT latent_sheet(text) FROM z;
SELECT latent_sheet(direction) FROM z;
SELECT latent_sheet(substr(z, 1, 40)) FROM z;
SELECT latent_sheet(CASE WHEN id<3 THEN png ELSE 'gone' END) FROM p;
SELECT latent_sheet() FROM p;
SELECT latent_sheet(png, 'a', 'b') FROM p;

SELECT '-- strips';
SELECT hex(substr(x, 1, 8)), hex(substr(x, 17, 8)), x=latent_strip(a, b, 5) FROM (SELECT latent_strip(a.png, b.png, 5) AS x, a.png AS a, b.png AS b FROM p a, p b WHERE a.id=1 AND b.id=2);
SELECT hex(substr(latent_strip(a.png, b.z, 2), 17, 8)), hex(substr(latent_strip(a.png, b.z, 64), 17, 8)) FROM p a, z b WHERE a.id=1 AND b.id=2;
SELECT '-- each of its pictures is what latent_interp() gives: a strip is the sheet of those, in one row';
SELECT latent_strip(a.png, b.png, 2)=(SELECT latent_sheet(x) FROM (SELECT latent_interp(a.png, b.png, 0) AS x UNION ALL SELECT latent_interp(a.png, b.png, 1))) FROM p a, p b WHERE a.id=1 AND b.id=2;
SELECT latent_strip(z, z, 2, '{"detail":0.5}')=(SELECT latent_sheet(x) FROM (SELECT latent_decode(z, '{"detail":0.5}') AS x UNION ALL SELECT latent_decode(z, '{"detail":0.5}'))) FROM z WHERE id=3;
SELECT latent_strip(NULL, png, 3) IS NULL, latent_strip(png, NULL, 3) IS NULL, latent_strip(png, png, NULL) IS NULL, latent_strip(png, png, 3, NULL)=latent_strip(png, png, 3) FROM p WHERE id=1;
SELECT '-- what is refused';
SELECT latent_strip('a', 'b', 3);
SELECT latent_strip(png, 'b', 3) FROM p WHERE id=1;
SELECT latent_strip(text, text, 3) FROM z WHERE id=1;
SELECT latent_strip(z, text, 3) FROM z WHERE id=1;
SELECT latent_strip(z, direction, 3) FROM z WHERE id=1;
SELECT latent_strip(z, z, 1) FROM z WHERE id=1;
SELECT latent_strip(z, z, 65) FROM z WHERE id=1;
SELECT latent_strip(z, z, 'many') FROM z WHERE id=1;
SELECT latent_strip(z, z, 3, '{"colour":"red"}') FROM z WHERE id=1;
SELECT latent_strip(z, z) FROM z WHERE id=1;
