-- Pictures: what latent does with them, one statement after the other, on 222 emoji in two styles
-- (examples/pictures).
--
--   make demo
--   .read sql/pictures.sql          in the sqlite3 shell, from the root of the repository
--
-- A PNG or JPEG in a column is content like any text, and their points can be compared. What is
-- made is left in build/demo; index.html shows it all. The pictures are 64 pixels wide, and the
-- model is small (31 MB): what was put in comes back a little soft.

.load build/latent
.mode box --wrap 100
.echo on

-- 1. Files become rows. A generated column keeps each picture's latent, of 1,296 bytes.
CREATE TABLE pictures(id INTEGER PRIMARY KEY, name TEXT, style TEXT, png BLOB,
                      z BLOB AS (latent_encode(png)) STORED);
INSERT INTO pictures(name, style, png)
  SELECT replace(substr(name, 1 + length(rtrim(name, replace(name, '/', ''))), length(name)),
                 '.png', ''),
         iif(name LIKE '%/noto/%', 'noto', 'fluent'), data
  FROM fsdir('examples/pictures') WHERE name LIKE '%.png' ORDER BY name;
UPDATE pictures SET name = replace(name, '-', ' ');
SELECT style, count(*) AS pictures, min(length(png)) AS smallest, max(length(png)) AS largest,
       min(length(z)) AS latent
  FROM pictures GROUP BY style;

-- 2. Above what was put in, below what comes back from the 1,296 bytes.
CREATE TABLE eight AS SELECT * FROM pictures WHERE style = 'noto' AND name IN
  ('dog', 'rocket', 'sunflower', 'castle', 'pizza', 'guitar', 'robot', 'red heart');
SELECT writefile('build/demo/back.png', latent_sheet(x)) AS bytes
  FROM (SELECT png AS x FROM eight UNION ALL SELECT z FROM eight);

-- 3. Found by a sentence: the question is text, the rows are pictures. A sheet of the nearest ones
-- is something to look at.
CREATE VIRTUAL TABLE pictures_latent USING latent(png, content='pictures', content_rowid='id');
SELECT p.name, p.style, round(l.distance, 2) AS distance
  FROM pictures_latent('an angry person') l JOIN pictures p ON p.id = l.rowid LIMIT 5;
SELECT writefile('build/demo/found.png', latent_sheet(png, name)) AS bytes FROM (
  SELECT p.png, p.name
    FROM pictures_latent('a car on the road') l JOIN pictures p ON p.id = l.rowid LIMIT 8);

-- 4. Between two pictures: nine steps on one strip, and strips below each other.
SELECT writefile('build/demo/strips.png', latent_sheet(x)) AS bytes FROM (
  SELECT latent_interp(a.z, b.z, t.value/8.0) AS x
    FROM (VALUES ('red apple', 'lemon'), ('grinning face', 'enraged face'),
                 ('full moon', 'soccer ball'), ('cat face', 'tiger face'), ('fish', 'airplane'),
                 ('cookie', 'pizza'), ('sun', 'snowflake'), ('dog', 'cat'),
                 ('tulip', 'rose')) AS pair,
         json_each('[0, 1, 2, 3, 4, 5, 6, 7, 8]') AS t
    JOIN pictures a ON (a.name, a.style) = (pair.column1, 'noto')
    JOIN pictures b ON (b.name, b.style) = (pair.column2, 'noto'));
SELECT writefile('build/demo/strip.png', latent_strip(a.png, b.png, 9)) AS bytes
  FROM pictures a, pictures b
  WHERE (a.name, a.style) = ('red apple', 'noto') AND (b.name, b.style) = ('lemon', 'noto');

-- 5. Rows can be averaged: the face of all faces.
SELECT writefile('build/demo/face.png', latent_decode(latent_mean(z))) AS bytes
  FROM pictures WHERE name LIKE '%face' AND name NOT LIKE '%cat%';

-- 6. A picture of a text: of sixteen candidates each, the nearest is kept. And the way back: words
-- for a picture.
SELECT writefile('build/demo/image.png', latent_sheet(latent_image(value, 7), value)) AS bytes
  FROM json_each('["a red heart", "a rocket", "a happy face", "a sad cat", "a red apple",
                   "a yellow flower", "a house", "the sun", "a sailing boat", "a guitar",
                   "a snowman", "a birthday cake"]');
SELECT d.name, round(d.distance, 2) AS distance
  FROM pictures p, latent_describe(p.png, 4) d WHERE (p.name, p.style) = ('sailboat', 'noto');

-- 7. What one picture shows, in the manner of another: s of the one, and an r that is drawn for it in
-- the style of the other. A row each: content, style, both in one.
SELECT writefile('build/demo/cross.png',
         latent_sheet(CASE k.value WHEN 0 THEN a.png WHEN 1 THEN b.png
                                   ELSE latent_cross(a.z, b.z) END)) AS bytes
  FROM (VALUES ('green apple', 'lemon'), ('sun', 'full moon'), ('dog face', 'tiger face')) AS pair,
       json_each('[0, 1, 2]') AS k
  JOIN pictures a ON (a.name, a.style) = (pair.column1, 'noto')
  JOIN pictures b ON (b.name, b.style) = (pair.column2, 'fluent');

-- 8. Breeding: six pictures, six generations, and nobody chooses. Then the family of the last child.
CREATE TABLE garden(id INTEGER PRIMARY KEY, content, latent BLOB, parents, weights,
                    generation, novelty, score, recipe);
INSERT INTO garden(content, latent, generation)
  SELECT png, z, 0 FROM pictures WHERE style = 'fluent' AND name IN
    ('tulip', 'octopus', 'rocket', 'cat face', 'strawberry', 'butterfly');
INSERT INTO garden SELECT * FROM latent_breed('garden',
  '{"children":6, "generations":6, "keep":6, "crossover":"part", "mutation":0.7}');
SELECT writefile('build/demo/garden.png', latent_sheet(content, coalesce(parents, 'given')))
  AS bytes FROM (SELECT * FROM garden ORDER BY id);
WITH RECURSIVE family(id) AS (SELECT max(id) FROM garden UNION
    SELECT j.value FROM family JOIN garden USING (id), json_each(parents) j)
  SELECT writefile('build/demo/tree.svg', latent_tree(id, parents, content)) AS bytes
  FROM family JOIN garden USING (id);

-- 9. A map of the table: what is alike lies together.
SELECT writefile('build/demo/map.svg', latent_plot(z, name, png)) AS bytes
  FROM pictures WHERE style = 'noto';

-- 10. And a page with all of it. In a desktop's browser it opens by itself.
SELECT writefile('build/demo/index.html',
  '<!DOCTYPE html><meta charset="utf-8"><title>latent: pictures</title>' ||
  '<body style="font-family:sans-serif;margin:2em">' ||
  group_concat('<h2>' || column2 || '</h2>' ||
    '<img style="max-width:100%;image-rendering:pixelated" src="' || column1 || '">', '')) AS bytes
  FROM (VALUES ('back.png', 'What was put in, and what comes back from 1,296 bytes'),
               ('found.png', 'Nearest to “a car on the road”'),
               ('strip.png', 'From an apple to a lemon'),
               ('strips.png', 'Nine such ways, a row each'),
               ('face.png', 'The face of all faces'), ('image.png', 'Pictures of texts'),
               ('cross.png', 'Content, style, both in one'),
               ('garden.png', 'A garden: six pictures, six generations, their parents below'),
               ('tree.svg', 'The family of the last child'), ('map.svg', 'A map'));
.echo off
.print Pictures are in build/demo: open build/demo/index.html
.shell if [ -n "$DISPLAY$WAYLAND_DISPLAY" ] && command -v xdg-open >/dev/null; then xdg-open build/demo/index.html >/dev/null 2>&1; fi
