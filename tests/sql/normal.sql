-- Texts that look alike mean the same: their distance is 0, and they are still different texts.
-- Each statement gives a name and ones.
CREATE TABLE twin(name TEXT, plain TEXT, other TEXT);
INSERT INTO twin VALUES
  ('no-break spaces', 'The train was late.', 'The' || char(0xa0) || 'train' || char(0xa0) || 'was' || char(0x202f) || 'late.'),
  ('tabs', 'The train was late.', 'The' || char(9) || 'train' || char(9, 9) || 'was late.'),
  ('spaces', 'The train was late.', '  The train  was late. '),
  ('a line break before', 'The train was late.', char(10) || 'The train was late.'),
  ('capitals', 'The train was late.', 'THE TRAIN WAS LATE.'),
  ('zero-width space', 'The train was late.', 'The ' || char(0x200b) || 'tr' || char(0x200b) || 'ain was late.' || char(0xfeff)),
  ('soft hyphen', 'The train was late.', 'The train was la' || char(0xad) || 'te.'),
  ('full width', 'Be late', char(0xff22, 0xff45, 0x3000, 0xff4c, 0xff41, 0xff54, 0xff45)),
  ('accents apart', 'At the café.', 'At the cafe' || char(0x301) || '.'),
  ('Hangul apart', char(0xd55c), char(0x1112, 0x1161, 0x11ab)),
  ('ligature', 'We find it.', 'We ' || char(0xfb01) || 'nd it.'),
  ('quotes', '"It isn''t late."', '“It isn’t late.”'),
  ('dashes', 'It was - or was - 90-95.', 'It was — or was—90–95.'),
  ('control characters', 'The train was late.', 'The ' || char(1) || 'train was' || char(27) || ' late.'),
  ('not UTF-8', 'At the café.', CAST(x'41742074686520636166E92E' AS TEXT));
SELECT name, latent_distance(plain, other) = 0, latent_distance(other, plain) = 0, latent_encode(plain) <> latent_encode(other),
       latent_distance(other, 'A dog runs.') = latent_distance(plain, 'A dog runs.') FROM twin;
-- So a row is found by its twin, and a twin by its row, and the row keeps its bytes.
CREATE VIRTUAL TABLE t USING latent(body);
INSERT INTO t(rowid, body) SELECT rowid, other FROM twin WHERE name <> 'not UTF-8';
INSERT INTO t(rowid, body) VALUES (100, 'A dog runs.'), (101, 'NASA'), (102, '');
SELECT 'found by the twin', count(*) = 0 FROM twin WHERE name <> 'not UTF-8'
  AND NOT EXISTS (SELECT 1 FROM t(plain) WHERE t.rowid = twin.rowid AND distance < 1e-6);
SELECT 'bytes stay', count(*) = 14 FROM t JOIN twin ON t.rowid = twin.rowid WHERE t.body = twin.other;
SELECT 'white space is nothing', rowid = 102, distance < 1e-6 FROM t(char(9, 0x3000, 10)) LIMIT 1;
-- Both ends of a path and all that is decoded are read in the same way.
SELECT 'path', latent_slerp(plain, other, 0) = latent_encode(plain), latent_slerp(plain, other, 1) = latent_encode(other) FROM twin WHERE name = 'tabs';
