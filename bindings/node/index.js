'use strict';
// sqlite-latent: loads the SQLite extension `latent` into a database of better-sqlite3,
// node:sqlite, bun:sqlite or Deno, and gives it the weights that are installed. index.d.ts
// describes every function.

const { createRequire } = require('node:module');
const path = require('node:path');
const { PLATFORMS, platform } = require('./platforms.js');
const { weightsFolder } = require('./weights.js');

function failure(code, message, cause) {
  return Object.assign(new Error(`sqlite-latent: ${message}`, { cause }), { code });
}

function getLoadablePath() {
  const name = platform();
  const known = PLATFORMS[name];
  if (!known) {
    throw failure('ERR_LATENT_PLATFORM', `there is no extension for ${name}; there is one for `
      + Object.keys(PLATFORMS).join(', '));
  }
  try {
    const about = createRequire(__filename).resolve(`sqlite-latent-${name}/package.json`);
    return path.join(path.dirname(about), known.file);
  } catch (error) {
    throw failure('ERR_LATENT_PLATFORM', `the package sqlite-latent-${name}, which has the `
      + 'extension for this machine, is not installed. It is an optional dependency: npm leaves it '
      + 'out with --omit=optional, and where node_modules was made on a machine of another kind. '
      + `npm install sqlite-latent-${name}`, error);
  }
}

function getWeightsPath() {
  const folder = weightsFolder();
  if (folder) return folder;
  throw failure('ERR_LATENT_WEIGHTS', 'no weights are installed: npm install sqlite-latent-text. '
    + "Or load(db, { weights: '/a/folder' }) with a folder that has text.safetensors, or "
    + 'load(db, { weights: false }) where tables of vectors are all that is used');
}

function hintFor(message) {
  if (/not allowed|not authorized|disabled/.test(message)) {
    return ': open it with new DatabaseSync(path, { allowExtension: true })';
  }
  return /dynamic extension loading/.test(message)
    ? ': call Database.setCustomSQLite(path) first, with a SQLite that loads extensions' : '';
}

function load(db, options = {}) {
  const { weights = process.env.LATENT_MODEL ? false : undefined } = options;
  if (typeof db?.loadExtension !== 'function' || typeof db.prepare !== 'function') {
    throw failure('ERR_LATENT_DATABASE', `load() got ${db === null ? 'null' : typeof db} without `
      + 'loadExtension() and prepare(), expected an open database of better-sqlite3, node:sqlite '
      + 'or bun:sqlite');
  }
  if (weights !== undefined && weights !== false && typeof weights !== 'string') {
    throw failure('ERR_LATENT_WEIGHTS', `weights is ${JSON.stringify(weights)}, expected the path `
      + 'of a folder, or false');
  }
  const folder = weights ?? getWeightsPath();
  const file = getLoadablePath();
  try {
    db.loadExtension(file);
  } catch (error) {
    throw failure('ERR_LATENT_DATABASE',
      `this database did not load ${file} (${error.message})${hintFor(error.message)}`, error);
  }
  if (folder === false) return;
  try {
    db.prepare('SELECT latent_load(?)').get(folder);
  } catch (error) {
    throw failure('ERR_LATENT_WEIGHTS', error.message, error);
  }
}

function toBlob(vector) {
  if (!(vector instanceof Float32Array) && !Array.isArray(vector)) {
    throw new TypeError(`toBlob: got ${vector?.constructor?.name ?? vector}, expected a `
      + 'Float32Array or an array of numbers');
  }
  const floats = Float32Array.from(vector);
  return Buffer.from(floats.buffer);
}

function toVector(blob) {
  if (!(blob instanceof Uint8Array)) {
    throw new TypeError(`toVector: got ${blob?.constructor?.name ?? blob}, expected a Uint8Array`);
  }
  if (blob.byteLength % 4 !== 0) {
    throw new RangeError(`toVector: got ${blob.byteLength} bytes, expected a multiple of 4`);
  }
  // A copy: the bytes of a Buffer need not begin at a multiple of 4.
  return new Float32Array(Uint8Array.from(blob).buffer);
}

module.exports = { load, getLoadablePath, getWeightsPath, toBlob, toVector };
