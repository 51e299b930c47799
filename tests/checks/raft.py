#!/usr/bin/python3
"""examples/raft: three nodes with the extension loaded, a leader that is killed, a new node.

What Go compiles and downloads is kept in build/go: the first time takes a minute.
"""
import os
import re
import shutil

from common import ROOT, WORK, last_line, main, ok, program, run, skip

GO = f'{ROOT}/build/go'
PLACES = {'GOCACHE': f'{GO}/cache', 'GOMODCACHE': f'{GO}/mod', 'GOTOOLCHAIN': 'local',
          'GOFLAGS': '-modcacherw -buildvcs=false'}
# No network, or a Go that is too old: Debian 12's.
UNABLE = 'dial tcp|no such host|i/o timeout|requires go|invalid go version'


def raft():
    name = 'three nodes of raft'
    if not shutil.which('go'):
        skip(name, 'no go on this machine')
        return
    status, out = run(['env', '-C', 'examples/raft', 'go', 'build', '-o', f'{GO}/raft', '.'],
                      **PLACES)
    if status != 0 and re.search(UNABLE, out):
        skip(name, last_line(out))
        return
    ok(status == 0, 'examples/raft is built', out)
    if status == 0:
        program([f'{GO}/raft', '-extension', os.path.abspath('build/latent.so'), '-folder',
                 f'{WORK}/raft'])


if __name__ == '__main__':
    main(raft)
