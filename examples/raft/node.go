package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// report is what a node says of itself.
type report struct {
	Leader  bool
	Latent  string // version and fingerprint: nodes that differ in them must not share a log
	Applied uint64
	Hashes  map[string]string
}

// runNode serves one node until it is killed: raft on one port, and HTTP on another.
//
//	POST /execute   a statement; the leader puts it into the log and answers once it has run it
//	GET  /report    report as JSON
//	POST /snapshot  writes a snapshot, and forgets the log before it
//	POST /replace   REMOVED NAME ADDRESS: the first leaves the cluster, the other enters
func runNode(name, raftAddress, httpAddress, path, extension string, peers []raft.Server) error {
	replica, err := openReplica(path, extension)
	if err != nil {
		return err
	}
	node, err := joinRaft(name, raftAddress, path, replica, peers)
	if err != nil {
		return err
	}
	handle := func(pattern string, answer func(body string) (any, error)) {
		http.HandleFunc(pattern, func(w http.ResponseWriter, q *http.Request) {
			body, _ := io.ReadAll(q.Body)
			value, err := answer(string(body))
			if errors.Is(err, raft.ErrNotLeader) {
				w.WriteHeader(http.StatusMisdirectedRequest)
			} else if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
			} else {
				json.NewEncoder(w).Encode(value)
			}
		})
	}
	handle("POST /execute", func(statement string) (any, error) {
		future := node.Apply([]byte(statement), 30*time.Second)
		if future.Error() != nil {
			return nil, future.Error()
		}
		err, _ := future.Response().(error)
		return nil, err
	})
	handle("POST /snapshot", func(string) (any, error) { return nil, node.Snapshot().Error() })
	handle("POST /replace", func(body string) (any, error) {
		var removed, added, address string
		fmt.Sscan(body, &removed, &added, &address)
		if err := node.RemoveServer(raft.ServerID(removed), 0, 0).Error(); err != nil {
			return nil, err
		}
		return nil, node.AddVoter(raft.ServerID(added), raft.ServerAddress(address), 0, 0).Error()
	})
	handle("GET /report", func(string) (any, error) {
		latent, err := replica.strings(`SELECT (latent_info() ->> '$.version') || ' '
			|| (latent_info() ->> '$.model.fingerprint')`)
		if err != nil {
			return nil, err
		}
		hashes, applied, err := replica.hashes()
		return report{node.State() == raft.Leader, latent[0], applied, hashes}, err
	})
	return http.ListenAndServe(httpAddress, nil)
}

// joinRaft starts the node's part of raft. peers: the first nodes of the cluster, none for one that
// comes later. The log is in memory, which is right for a node that, once dead, comes back under
// another name. One that comes back as itself must keep it on disk (hashicorp/raft-boltdb).
func joinRaft(name, address, path string, replica *replica,
	peers []raft.Server) (*raft.Raft, error) {
	config := raft.DefaultConfig()
	config.LocalID = raft.ServerID(name)
	config.TrailingLogs = 1 // so that a new node needs the snapshot
	// A node that encodes on a busy machine may be silent for a while, and is not dead.
	config.HeartbeatTimeout = 2 * time.Second
	config.ElectionTimeout = 2 * time.Second
	config.LeaderLeaseTimeout = 2 * time.Second
	config.Logger = hclog.New(&hclog.LoggerOptions{Level: hclog.Error, Output: os.Stderr})
	tcp, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil, err
	}
	transport, err := raft.NewTCPTransport(address, tcp, 3, 10*time.Second, io.Discard)
	if err != nil {
		return nil, err
	}
	snapshots, err := raft.NewFileSnapshotStore(path+".raft", 1, io.Discard)
	if err != nil {
		return nil, err
	}
	log := raft.NewInmemStore()
	if peers != nil {
		cluster := raft.Configuration{Servers: peers}
		if err := raft.BootstrapCluster(config, log, log, snapshots, transport, cluster); err != nil {
			return nil, err
		}
	}
	return raft.NewRaft(config, replica, log, log, snapshots, transport)
}
