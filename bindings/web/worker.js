// worker.js -- the engine in a worker of its own, so that a page stays awake while it computes.
// latent.js is its other end.
//
// It takes {id, method, args} and answers {id, value} or {id, error}; on the way {id, progress}.
// Weights go from the network, or from the browser's cache, straight into the module's memory.
import { Engine, moduleName } from './engine.js';

const CACHE = 'latent-weights';
let engine, db;
const lists = new Map();                        // url of a folder: its weights.json
const loaded = new Map();                       // name of a part: the promise of its files

function url(path, folder) {
  return new URL(path, folder).href;
}

// The response, if it is one of success.
async function get(address) {
  const response = await fetch(address);
  if (!response.ok) throw new Error(`${address}: ${response.status} ${response.statusText}`);
  return response;
}

async function compile() {
  const response = await get(url(moduleName(), import.meta.url));
  try {
    return await WebAssembly.compileStreaming(response.clone());
  } catch (e) {                                 // a server that does not say application/wasm
    if (!(e instanceof TypeError)) throw e;
    return WebAssembly.compile(await response.arrayBuffer());
  }
}

// ---- Weights ----
async function listOf(folder) {
  if (!lists.has(folder)) lists.set(folder, (await get(url('weights.json', folder))).json());
  return lists.get(folder);
}

// A page without HTTPS has neither a cache nor hashes; then files are fetched anew each time.
async function cacheOrNot() {
  return globalThis.caches ? caches.open(CACHE).catch(() => null) : null;
}

function hex(buffer) {
  return Array.from(new Uint8Array(buffer), b => b.toString(16).padStart(2, '0')).join('');
}

// Fills the room for a file from a response, piece by piece.
async function fill(at, file, response, tell) {
  const reader = response.body.getReader();
  let n = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    if (n + value.length > file.bytes) {
      throw new Error(`${file.path}: more came than the ${file.bytes} bytes that were expected`);
    }
    engine.bytes(at + n, value.length).set(value);
    n += value.length;
    tell(value.length);
  }
  if (n !== file.bytes) throw new Error(`${file.path}: ${n} bytes came, expected ${file.bytes}`);
}

// A file under its hash: what the cache holds is what the list asks for, or it is not found.
async function loadFile(folder, file, room, tell) {
  const cache = await cacheOrNot();
  const key = `${url(file.path, folder)}?sha256=${file.sha256}`;
  const cached = cache && await cache.match(key);
  if (cached) {
    await fill(room, file, cached, tell);
    return;
  }
  await fill(room, file, await get(url(file.path, folder)), tell);
  if (!globalThis.crypto?.subtle) return;
  const bytes = engine.bytes(room, file.bytes).slice();
  const came = hex(await crypto.subtle.digest('SHA-256', bytes));
  if (came !== file.sha256) {
    throw new Error(`${file.path}: its SHA-256 is ${came}, expected ${file.sha256}`);
  }
  if (cache) await keep(cache, key, bytes);
}

// Older files of the same address go. Where there is no room (a quota), nothing is kept.
async function keep(cache, key, bytes) {
  try {
    await cache.delete(key, { ignoreSearch: true });
    await cache.put(key, new Response(bytes));
  } catch (e) {
    console.warn(`latent: ${key} is not cached: ${e.message}`);
  }
}

async function loadPart(name, folder, tell) {
  const files = (await listOf(folder))[name];
  if (!files) throw new Error(`${folder}weights.json has no part '${name}'`);
  const total = files.reduce((sum, f) => sum + f.bytes, 0);
  let n = 0;
  const rooms = files.map(f => engine.space(f.bytes));
  await Promise.all(files.map((f, i) => loadFile(folder, f, rooms[i], more => {
    n += more;
    tell({ part: name, loaded: n, total });
  })));
  files.forEach((f, i) => engine.place(`/model/${f.path}`, rooms[i], f.bytes));
}

// ---- Interrupts ----
// No message comes in while a statement runs. But the browser can be asked whether an address that
// the page made still leads to its (empty) blob: interrupt() takes it away. This needs no shared
// memory, and so no special headers. Chromium takes 3 ms to answer.
const ASK_MS = 250;
let sign, gone, asked = 0;                      // addresses; when the browser was asked last

function isThere(address) {
  const request = new XMLHttpRequest();
  try {
    request.open('GET', address, false);
    request.send();
    return true;
  } catch (e) {
    return false;
  }
}

function isInterrupted() {
  if (sign !== gone && performance.now() - asked >= ASK_MS) {
    if (!isThere(sign)) gone = sign;            // for the calls that wait, too
    asked = performance.now();
  }
  return sign === gone;
}

// ---- What the page asks for ----
const METHODS = {
  async start(tell, address) {
    engine = await Engine.create(await compile());
    db = engine.open();
    const interruptible = isThere(address);     // else a policy of the page is against it
    if (interruptible) engine.stop = isInterrupted;
    return { kernel: engine.kernel(), interruptible };
  },

  load(tell, name, folder) {
    if (!loaded.has(name)) {
      const part = loadPart(name, folder, tell);
      loaded.set(name, part);
      part.catch(() => loaded.delete(name));    // may be asked for again
    }
    return loaded.get(name);
  },

  exec(tell, sql, params, address) {
    sign = address;
    return db.exec(sql, params);
  },

  bytes() {
    return db.bytes();
  },

  read(tell, bytes) {
    const other = engine.open(bytes);
    db.close();
    db = other;
  },

  info() {
    return { kernel: engine.kernel(), memory: engine.memoryBytes() };
  },
};

let last = Promise.resolve();
onmessage = ({ data: { id, method, args } }) => {
  const tell = progress => postMessage({ id, progress });
  // One after the other, but for loading, which may go on beside statements.
  const work = () => METHODS[method](tell, ...args);
  const done = method === 'load' ? last.then(work, work) : last = last.then(work, work);
  done.then(value => postMessage({ id, value }),
    e => postMessage({ id, error: { message: e.message, code: e.code } }));
};
