'use strict';
// Which package has the extension for the machine that this runs on.

const fs = require('node:fs');

// Node's platform and architecture (and "-musl" where libc is musl): the npm package; the folder
// under build/dist that `make dist` fills; what package.json says of the machine; the file.
const PLATFORMS = {
  'linux-x64': { dist: 'linux-x86_64', os: 'linux', cpu: 'x64', libc: 'glibc', file: 'latent.so' },
  'linux-arm64':
    { dist: 'linux-aarch64', os: 'linux', cpu: 'arm64', libc: 'glibc', file: 'latent.so' },
  'linux-x64-musl':
    { dist: 'linux-musl-x86_64', os: 'linux', cpu: 'x64', libc: 'musl', file: 'latent.so' },
  'linux-arm64-musl':
    { dist: 'linux-musl-aarch64', os: 'linux', cpu: 'arm64', libc: 'musl', file: 'latent.so' },
  'darwin-arm64': { dist: 'macos-aarch64', os: 'darwin', cpu: 'arm64', file: 'latent.dylib' },
  'darwin-x64': { dist: 'macos-x86_64', os: 'darwin', cpu: 'x64', file: 'latent.dylib' },
  'windows-x64': { dist: 'windows-x86_64', os: 'win32', cpu: 'x64', file: 'latent.dll' },
  'windows-arm64': { dist: 'windows-aarch64', os: 'win32', cpu: 'arm64', file: 'latent.dll' },
};

// A process that musl has started has musl's loader in its memory.
function isMusl() {
  try {
    return fs.readFileSync('/proc/self/maps', 'latin1').includes('/ld-musl-');
  } catch {
    return false;
  }
}

// The key of PLATFORMS for this machine; it need not be there.
function platform() {
  const os = process.platform === 'win32' ? 'windows' : process.platform;
  return `${os}-${process.arch}` + (os === 'linux' && isMusl() ? '-musl' : '');
}

module.exports = { PLATFORMS, platform };
