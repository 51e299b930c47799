'use strict';
// Where the weights lie. Each kind is a package of its own, with a folder "weights" laid out as the
// repository's model/. The extension takes one directory. So where several packages are installed,
// their files are joined in a directory of links, which is made once and then found again.

const crypto = require('node:crypto');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { createRequire } = require('node:module');

const KINDS = ['pictures', 'code', 'writer', 'writer-pieces', 'text'];  // each before what it needs

// The folder of weights of a kind, or null. A strict node_modules (pnpm's) shows a package only to
// those who name it: to sqlite-latent, to the program, or to another package of weights.
function folderOf(kind, from) {
  for (const base of from) {
    try {
      const main = createRequire(base).resolve(`sqlite-latent-${kind}`);
      return path.join(path.dirname(main), 'weights');
    } catch {}
  }
  return null;
}

function installedFolders() {
  const from = [__filename, path.join(process.cwd(), 'package.json')];
  if (process.argv[1]) from.push(path.resolve(process.argv[1]));
  const found = {};
  for (const kind of KINDS) {
    found[kind] = folderOf(kind, from);
    if (found[kind]) from.push(path.join(found[kind], '..', 'package.json'));
  }
  return found;
}

// The files in a folder, as paths within it, in one order on every runtime.
function filesIn(folder, within = '') {
  const entries = fs.readdirSync(path.join(folder, within), { withFileTypes: true });
  return entries.flatMap((entry) => {
    const name = path.join(within, entry.name);
    return entry.isDirectory() ? filesIn(folder, name) : [name];
  }).sort();
}

// Windows lets few users make links; a second name for the file, or a copy, does as well.
function link(from, to) {
  fs.mkdirSync(path.dirname(to), { recursive: true });
  for (const make of [fs.symlinkSync, fs.linkSync]) {
    try {
      return make(from, to);
    } catch {}
  }
  fs.copyFileSync(from, to);
}

// Nobody else's: who could write into it could give us other weights.
function privateFolder(folder) {
  fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
  const is = fs.lstatSync(folder);
  const isOwn = !process.getuid || (is.uid === process.getuid() && (is.mode & 0o022) === 0);
  if (!is.isDirectory() || !isOwn) throw new Error(`${folder} can be written by others`);
  return folder;
}

// Moved into place whole, so that a folder that exists is complete, whoever made it.
function makeJoined(folder, files) {
  if (fs.existsSync(folder)) return folder;
  const begun = fs.mkdtempSync(`${folder}-`);
  try {
    for (const [name, from] of files) link(from, path.join(begun, name));
    fs.renameSync(begun, folder);
  } catch (error) {
    fs.rmSync(begun, { recursive: true, force: true });
    if (!fs.existsSync(folder)) throw error;    // another process was faster
  }
  return folder;
}

// In this package, where it goes with it; if that may not be written, in the system's folder for
// temporary files.
function join(folders) {
  const files = folders.flatMap((f) => filesIn(f).map((name) => [name, path.join(f, name)]));
  const facts = files.map(([name, from]) => {
    const { size, mtimeMs } = fs.statSync(from);
    return [name, from, size, Math.trunc(mtimeMs)];     // not all of them give fractions
  });
  const key = crypto.createHash('sha256').update(JSON.stringify(facts)).digest('hex').slice(0, 16);
  const own = path.join(__dirname, '.joined');
  if (fs.existsSync(path.join(own, key))) return path.join(own, key);
  try {
    fs.mkdirSync(own, { recursive: true });
    return makeJoined(path.join(own, key), files);
  } catch {
    const user = process.getuid ? process.getuid() : '';
    const shared = privateFolder(path.join(os.tmpdir(), `sqlite-latent${user}`));
    return makeJoined(path.join(shared, key), files);
  }
}

// The directory for latent_load(), or null where no weights of text are installed.
function weightsFolder() {
  const found = installedFolders();
  if (!found.text) return null;
  const folders = KINDS.map((kind) => found[kind]).filter(Boolean);
  return folders.length === 1 ? folders[0] : join(folders);
}

module.exports = { weightsFolder };
