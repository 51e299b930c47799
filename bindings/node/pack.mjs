// Makes the npm packages: build/npm/*.tgz, one for the code, one for each platform that was built,
// one for each kind of weights. Nothing is uploaded.
//
//   node bindings/node/pack.mjs           what is newer than its package
//
// The version is that of ext/functions/functions.h, in all of them. A platform's binary is
// build/dist/PLATFORM/latent.* (`make dist`); for this machine build/latent.so does in its place.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import platforms from './platforms.js';

const HERE = path.dirname(fileURLToPath(import.meta.url));
const ROOT = path.join(HERE, '../..');
const OUT = path.join(ROOT, 'build/npm');
const VERSION =
  /LATENT_VERSION "([^"]+)"/.exec(read('ext/functions/functions.h'))[1];

// As the wheels of bindings/python have them. None is larger than 100 MB, so the writer is two.
const WEIGHTS = {
  text: {
    is: 'Weights of text: encoder, small decoder, sentence encoder',
    files: ['text.safetensors', 'text.json', 'meaning'],
    needs: [],
  },
  pictures: {
    is: 'Weights of pictures',
    files: ['picture.safetensors', 'picture.json'],
    needs: ['text'],
  },
  code: { is: 'Weights of Python code', files: ['code.safetensors', 'code.json'], needs: ['text'] },
  writer: {
    is: 'Weights of the writer (of SmolLM2-135M-Instruct): its layers',
    files: ['writer/config.json', 'writer/tokenizer.json', 'writer/layers.safetensors'],
    needs: ['text', 'writer-pieces'],
  },
  'writer-pieces': {
    is: 'Weights of the writer: its pieces of words, and what it has learned',
    files: ['writer/pieces.safetensors', 'writer/trained.safetensors'],
    needs: [],
  },
};

const made = new Set();         // the tarballs

function read(name) {
  return fs.readFileSync(path.join(ROOT, name), 'utf8');
}

function about(name, is, more) {
  const head = { name: `sqlite-latent${name}`, version: VERSION, description: is };
  return { ...head, license: 'MIT', preferUnplugged: true, ...more };
}

function filesIn(file) {
  if (!fs.statSync(file).isDirectory()) return [file];
  return fs.readdirSync(file).flatMap((name) => filesIn(path.join(file, name)));
}

// One package: `files` are pairs of a name in it and the file that is put there.
function pack(json, readme, files) {
  const tarball = path.join(OUT, `${json.name}-${json.version}.tgz`);
  const stage = path.join(OUT, 'stage', json.name);
  const texts = { 'package.json': JSON.stringify(json, null, 2) + '\n', 'README.md': readme };
  const sources = [...files.map(([, from]) => from), fileURLToPath(import.meta.url)];
  const newest = Math.max(...sources.map((from) => fs.statSync(from).mtimeMs));
  const isSame = Object.entries(texts).every(([name, text]) => {
    const file = path.join(stage, name);
    return fs.existsSync(file) && fs.readFileSync(file, 'utf8') === text;
  });
  if (!isSame || !fs.existsSync(tarball) || fs.statSync(tarball).mtimeMs < newest) {
    fs.rmSync(stage, { recursive: true, force: true });
    fs.mkdirSync(stage, { recursive: true });
    for (const [name, from] of files) {
      fs.mkdirSync(path.dirname(path.join(stage, name)), { recursive: true });
      fs.copyFileSync(from, path.join(stage, name));
    }
    for (const [name, text] of Object.entries(texts)) {
      fs.writeFileSync(path.join(stage, name), text);
    }
    execFileSync('npm', ['pack', '--silent', '--pack-destination', OUT], { cwd: stage });
  }
  made.add(path.basename(tarball));
  const mb = (fs.statSync(tarball).size / 1e6).toFixed(1);
  console.log(`${mb.padStart(6)} MB  ${path.relative(ROOT, tarball)}`);
}

// The licences of what is a part of a binary: what Debian's packages state of their sources, which
// `make dist` fetches, and that of the grammar.
function licences() {
  const sources = path.join(ROOT, 'build/dist/src');
  const names = fs.existsSync(sources) ? fs.readdirSync(sources) : [];
  const stated = names.map((name) => [name, path.join(sources, name, 'debian/copyright')])
    .filter(([, file]) => fs.existsSync(file));
  return [['LICENSE', path.join(ROOT, 'LICENSE')],
    ['licenses/tree-sitter-python.txt', path.join(ROOT, 'ext/grammar/python/LICENSE')],
    ...stated.map(([name, file]) => [`licenses/${name}.txt`, file])];
}

// The path of a platform's binary, or null. build/latent.so needs this machine's libraries, so a
// package with it is for trying things out alone.
function binaryOf(name, platform) {
  const built = path.join(ROOT, 'build/dist', platform.dist, platform.file);
  if (fs.existsSync(built)) return built;
  const own = path.join(ROOT, 'build/latent.so');
  return name === platforms.platform() && fs.existsSync(own) ? own : null;
}

function packPlatforms() {
  const packed = [];
  for (const [name, p] of Object.entries(platforms.PLATFORMS)) {
    const binary = binaryOf(name, p);
    if (!binary) {
      console.log(`  missing  sqlite-latent-${name}: no build/dist/${p.dist}/${p.file}`);
      continue;
    }
    const machine = { os: [p.os], cpu: [p.cpu], ...(p.libc && { libc: [p.libc] }) };
    const is = `The extension of sqlite-latent for ${name}`;
    pack(about(`-${name}`, is, machine), `${is}. It is installed with sqlite-latent.\n`,
      [...licences(), [p.file, binary]]);
    packed.push(`sqlite-latent-${name}`);
  }
  return packed;
}

function packWeights() {
  const texts = [['LICENSE', path.join(ROOT, 'LICENSE')],
    ['APACHE-2.0.txt', path.join(ROOT, 'model/APACHE-2.0.txt')]];
  for (const [kind, { is, files, needs }] of Object.entries(WEIGHTS)) {
    const pairs = files.flatMap((name) => filesIn(path.join(ROOT, 'model', name)))
      .map((from) => [path.join('weights', path.relative(path.join(ROOT, 'model'), from)), from]);
    const dependencies =
      Object.fromEntries(needs.map((needed) => [`sqlite-latent-${needed}`, `^${VERSION}`]));
    const main = path.join(HERE, 'weights_main.js');
    const more = { main: 'index.js', dependencies, license: 'MIT AND Apache-2.0' };
    pack(about(`-${kind}`, `${is}, for sqlite-latent`, more),
      `${is}. The package sqlite-latent finds them here, and its README has their licences.\n`,
      [['index.js', main], ...texts, ...pairs]);
  }
}

function packCode(packed) {
  const json = JSON.parse(read('bindings/node/package.json'));
  const names = Object.keys(WEIGHTS).map((kind) => `sqlite-latent-${kind}`);
  json.version = VERSION;
  json.optionalDependencies = Object.fromEntries(packed.map((name) => [name, VERSION]));
  json.peerDependencies = Object.fromEntries(names.map((name) => [name, `^${VERSION}`]));
  json.peerDependenciesMeta = Object.fromEntries(names.map((name) => [name, { optional: true }]));
  // Its links lead into the repository, which is not where the package is read.
  const readme = read('bindings/node/README.md').replace(/\[([^\]]+)\]\(\.\.[^)]*\)/g, '$1');
  pack(json, readme, [['LICENSE', path.join(ROOT, 'LICENSE')],
    ...json.files.map((name) => [name, path.join(HERE, name)])]);
}

fs.mkdirSync(OUT, { recursive: true });
const packed = packPlatforms();
packWeights();
packCode(packed);
for (const file of fs.readdirSync(OUT)) {       // of an older version, or of a package that is gone
  if (file.endsWith('.tgz') && !made.has(file)) fs.rmSync(path.join(OUT, file));
}
