// latent in Node, with better-sqlite3.
//
//   npm install --prefix examples/node
//   node examples/node/index.js          after make
//
// The tests keep the installed package in build/node, so it is looked for there too.
const path = require('path');
const places = [__dirname, path.join(__dirname, '../../build/node')];
const Database = require(require.resolve('better-sqlite3', { paths: places }));

const db = new Database(':memory:');
db.loadExtension(path.join(__dirname, '../../build/latent'));

db.exec(`
  CREATE TABLE notes(id INTEGER PRIMARY KEY, body TEXT, z BLOB AS (latent_encode(body)) STORED);
  INSERT INTO notes(body) VALUES
    ('The beach is empty in the early morning.'), ('It is raining in the mountains.'),
    ('Two children build a castle in the sand.'), ('I got the job that I wanted.');
`);

const nearest = db.prepare(`
  SELECT body, latent_distance(z, :query) AS distance FROM notes ORDER BY distance LIMIT 2`);
for (const row of nearest.iterate({ query: 'a quiet place by the sea' })) {
  console.log(row.distance.toFixed(2), row.body);
}

const between = db.prepare('SELECT t, content FROM latent_path(?, ?, 3)');
for (const row of between.iterate('The sun is shining.', 'It is raining in the mountains.')) {
  console.log(row.t.toFixed(2), row.content);
}
db.close();
