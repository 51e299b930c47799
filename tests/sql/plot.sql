-- tiny: Maps: latent_plot. tests/checks/maps.py reads larger ones as XML.
CREATE TABLE t(id INTEGER PRIMARY KEY, body TEXT, png BLOB);
INSERT INTO t(body) VALUES ('A dog runs.'), ('The dog is running in the park.'), ('It is warm.'), ('It is very warm today.'), ('The soup is cold.'), ('She sings.');
UPDATE t SET png = x'89504E470D0A1A0A0000000D4948445200000008000000080806000000C40FBE8B000000234944415478DA63B823A7C18084FF43315C0C5D021D13A7E03F3E4C9402CADD80D79B000F5E7455569F28120000000049454E44AE426082' WHERE id IN (2, 5);
CREATE TABLE z AS SELECT id, body, latent_encode(body) AS z, png FROM t;
CREATE VIEW maps AS SELECT latent_plot(z, body) AS svg, latent_plot(z, body, png) AS pictures, latent_plot(z, NULL) AS bare FROM z;

SELECT '-- the whole of a small one, the same on every machine';
SELECT latent_plot(z, body) FROM z WHERE id<3;
SELECT '-- a dot a row, or its picture; a tooltip and a label a row; no labels, none of both';
SELECT typeof(svg), length(svg) - length(replace(svg, ' r="4"', ' r=""')), length(svg) - length(replace(svg, '<title>', '<title')), svg LIKE '%<text%>It is warm.</text>%' FROM maps;
SELECT length(pictures) - length(replace(pictures, ' r="4"', ' r=""')), length(pictures) - length(replace(pictures, '<image ', '<image')) FROM maps;
SELECT bare LIKE '%<title>%', bare LIKE '%<text%' FROM maps;
SELECT '-- content as its latent; pictures as points; of any kind on one map; the same each time';
SELECT latent_plot(body, body)=latent_plot(z, body), latent_plot(z, body)=latent_plot(z, body) FROM z;
SELECT substr(latent_plot(png, id), 1, 4), substr(latent_plot(CASE WHEN id=2 THEN latent_encode(png) ELSE z END, id), 1, 4) FROM z;
SELECT '-- NULL is no point, and none are no map; one; two at one place; documents; labels that are no text';
SELECT latent_plot(NULL, 'a') IS NULL, (SELECT latent_plot(z, body) IS NULL FROM z WHERE id=9), latent_plot(CASE WHEN id<>2 THEN z END, body)=(SELECT latent_plot(z, body) FROM z WHERE id<>2) FROM z;
SELECT length(x) - length(replace(x, ' r="4"', ' r=""')) FROM (SELECT latent_plot('a', 'b') AS x);
SELECT length(x) - length(replace(x, ' r="4"', ' r=""')) FROM (SELECT latent_plot('a', id) AS x FROM z);
SELECT latent_plot('It rains. It is dark.', 7)=latent_plot('It rains. It is dark.', '7') FROM z;
SELECT id, substr(latent_plot(z, body, png), 1, 4) FROM z GROUP BY id%3 LIMIT 2;
SELECT '-- what XML would take for its own; what it cannot have';
SELECT instr(x, '<title>a &lt;b&gt; &amp; "c"</title>')>0, instr(x, '>a &lt;b&gt; &amp; "c"</text>')>0 FROM (SELECT latent_plot('a', 'a <b> & "c"') AS x);
SELECT instr(x, '<title>a' || char(0xfffd, 0xfffd, 0xfffd) || 'b</title>')>0 FROM (SELECT latent_plot('a', 'a' || char(1) || CAST(x'ff' AS TEXT) || char(0xffff) || 'b') AS x);
SELECT '-- long labels are cut, their tooltips are not';
SELECT instr(x, '<title>' || label || '</title>')>0, instr(x, label || '</text>')>0, instr(x, char(0x2026) || '</text>')>0
  FROM (SELECT latent_plot('a', label) AS x, label FROM (SELECT 'A label that is much longer than what two lines beside a dot have room for, however they are broken.' AS label));
SELECT instr(latent_plot('a', replace(hex(zeroblob(500)), '00', 'w')), char(0x2026) || '</text>')>0;
SELECT '-- what is refused';
SELECT latent_plot(7, body) FROM z;
SELECT latent_plot(x'00', body) FROM z;
SELECT latent_plot(latent_sub(z, z), body) FROM z;
SELECT latent_plot(z, body, 'a.png') FROM z;
SELECT latent_plot(z, body, x'00') FROM z;
SELECT latent_plot(z, body, substr(png, 1, 40)) FROM z WHERE id=2;
SELECT latent_plot(CASE WHEN id<4 THEN z ELSE 4 END, body) FROM z;
SELECT latent_plot(z) FROM z;
SELECT latent_plot(z, body, png, 'a') FROM z;
SELECT '-- labels of more than 300 characters are cut, at a whole one';
SELECT length(x)<6000, instr(x, '<title>' || replace(hex(zeroblob(299)), '00', char(233)) || char(0x2026) || '</title>')>0
  FROM (SELECT latent_plot('a', replace(hex(zeroblob(1000000)), '00', char(233))) AS x);
SELECT instr(x, '<title>' || label || '</title>')>0 FROM (SELECT latent_plot('a', label) AS x, label FROM (SELECT replace(hex(zeroblob(300)), '00', char(233)) AS label));
