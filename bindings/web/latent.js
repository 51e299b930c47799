// latent.js -- SQLite with latent in a page. The extension runs in a worker with the same
// weights as outside a browser, and gives the same bits.
//
//   import { Latent } from './latent.js';
//   const db = await Latent.open({ text: true });
//   const rows = await db.exec('SELECT latent_interp(?, ?, 0.5) AS text', [a, b]);
//   console.log(rows[0].text);

const PARTS = ['text', 'pictures', 'code', 'writer'];

// An address by which the worker sees that nobody has called interrupt() (worker.js, Interrupts).
const newSign = () => URL.createObjectURL(new Blob());

export class Latent {
  // text, pictures, code, writer: weights to load before it is ready. true: from the folder model/
  // beside this file; else the address of a folder that has a weights.json.
  // database: the bytes of a database file to begin with.
  // onprogress({part, loaded, total}): bytes of weights.
  static async open({ database, onprogress, ...parts } = {}) {
    const unknown = Object.keys(parts).filter(name => !PARTS.includes(name));
    if (unknown.length) {
      throw new TypeError(`Latent.open: '${unknown[0]}' is no option; expected ` +
        `${PARTS.join(', ')}, database or onprogress`);
    }
    const db = new Latent();
    try {
      Object.assign(db, await db.ask('start', [db.sign]));
      if (database) await db.read(database);
      await Promise.all(PARTS.filter(name => parts[name])
        .map(name => db.load(name, parts[name], onprogress)));
    } catch (e) {
      db.close();
      throw e;
    }
    return db;
  }

  constructor() {
    this.worker = new Worker(new URL('./worker.js', import.meta.url), { type: 'module' });
    this.asked = new Map();                         // id: {resolve, reject, onprogress}
    this.ids = 0;
    this.sign = newSign();
    this.worker.onmessage = ({ data }) => this.answered(data);
    this.worker.onerror = e => this.failed(e.message || 'the worker did not start');
  }

  ask(method, args = [], onprogress) {
    if (!this.worker) return Promise.reject(new Error('latent: the database is closed'));
    return new Promise((resolve, reject) => {
      const id = ++this.ids;
      this.asked.set(id, { resolve, reject, onprogress });
      this.worker.postMessage({ id, method, args });
    });
  }

  answered({ id, value, error, progress }) {
    const asked = this.asked.get(id);
    if (progress) {
      asked.onprogress?.(progress);
      return;
    }
    this.asked.delete(id);
    if (error) asked.reject(Object.assign(new Error(error.message), { code: error.code }));
    else asked.resolve(value);
  }

  failed(message) {
    for (const { reject } of this.asked.values()) reject(new Error(`latent: ${message}`));
    this.asked.clear();
  }

  // Runs all statements of sql; gives the rows of the last one that has columns, as objects.
  // params: an array for ?, an object for :name. A BLOB is a Uint8Array.
  exec(sql, params = []) {
    return this.ask('exec', [sql, params, this.sign]);
  }

  // All calls of exec() that have no answer yet end within 0.3 s with SQLite's error 'interrupted',
  // code 9, unless they are done before. What such a statement had changed is undone.
  interrupt() {
    if (!this.interruptible) {
      throw new Error("latent: this page's Content-Security-Policy has no blob: in connect-src, " +
        'so the worker cannot learn of an interrupt; close() ends it');
    }
    URL.revokeObjectURL(this.sign);
    this.sign = newSign();
  }

  // Loads weights later: 'pictures', 'code', 'writer', 'text'. Once is enough.
  load(part, folder = true, onprogress) {
    const address = new URL(folder === true ? './model/' : folder, import.meta.url).href;
    return this.ask('load', [part, address.replace(/\/?$/, '/')], onprogress);
  }

  bytes() {                                         // the database as a file's bytes
    return this.ask('bytes');
  }

  read(bytes) {                                     // another database in its place
    return this.ask('read', [bytes]);
  }

  info() {                                          // {kernel, memory: bytes of the module}
    return this.ask('info');
  }

  // Ends the worker at once, also in the middle of a statement.
  close() {
    this.worker?.terminate();
    this.worker = null;
    URL.revokeObjectURL(this.sign);
    this.failed('closed');
  }
}
