-- Conditions on hidden columns without a query, and a content table whose schema changes.
CREATE TABLE notes(id INTEGER PRIMARY KEY, body TEXT, year INTEGER);
INSERT INTO notes VALUES (1, 'It is warm.', 2001), (2, 'A dog runs.', 2002);
CREATE VIRTUAL TABLE l USING latent(body, year INTEGER filter, content='notes', content_rowid='id');
-- A scan has no distance and no options: they are NULL, as FTS5's rank is.
SELECT 'no query', (SELECT count(*) FROM l WHERE distance IS NOT NULL), (SELECT count(*) FROM l WHERE distance<1), (SELECT count(*) FROM l WHERE options='{}');
SELECT 'no query', (SELECT count(*) FROM l WHERE distance IS NULL), (SELECT count(*) FROM l WHERE latent IS NOT NULL AND distance IS NULL);
SELECT rowid, body FROM l ORDER BY distance, rowid DESC;
SELECT rowid, body FROM l WHERE rowid=2 AND distance IS NULL;
-- A name that the content table has not is an error, never the name itself as a string.
CREATE VIRTUAL TABLE a USING latent(bdy, content='notes', content_rowid='id');
CREATE VIRTUAL TABLE a USING latent(bdy, content='notes', content_rowid='id', triggers=0);
CREATE VIRTUAL TABLE a USING latent(body, yaer INTEGER filter, content='notes', content_rowid='id', triggers=0);
CREATE VIRTUAL TABLE a USING latent(body, content='notes', content_rowid='ident');
ALTER TABLE notes RENAME COLUMN body TO text;
SELECT body FROM l;
INSERT INTO l(l) VALUES ('rebuild');
INSERT INTO l(l) VALUES ('integrity-check');
ALTER TABLE notes RENAME COLUMN text TO body;
SELECT body FROM l;
ALTER TABLE notes RENAME COLUMN year TO y;
INSERT INTO l(l) VALUES ('rebuild');
ALTER TABLE notes RENAME COLUMN y TO year;
INSERT INTO l(l) VALUES ('rebuild');
SELECT count(*) FROM l WHERE year=2001;
-- The column for queries is called like the table.
CREATE VIRTUAL TABLE latent USING latent(body);
CREATE VIRTUAL TABLE Distance USING latent(body);
