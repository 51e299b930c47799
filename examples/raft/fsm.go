package main

import (
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/hashicorp/raft"
	"github.com/mattn/go-sqlite3"
)

// replica is the state machine of a node: a SQLite file that changes by the statements of raft's
// log alone, in their order. Every node runs them itself, so they must give the same everywhere.
type replica struct {
	path    string
	mu      sync.Mutex // Apply, Snapshot and the requests for hashes come from several goroutines
	db      *sql.DB
	applied uint64 // the index of the last statement that was run
}

// openReplica begins with an empty file: raft brings the state, from a snapshot and its log.
func openReplica(path, extension string) (*replica, error) {
	sql.Register("latent", &sqlite3.SQLiteDriver{
		ConnectHook: func(c *sqlite3.SQLiteConn) error {
			return c.LoadExtension(extension, "sqlite3_latent_init")
		},
	})
	r := &replica{path: path}
	os.Remove(path)
	return r, r.open()
}

func (r *replica) open() (err error) {
	if r.db, err = sql.Open("latent", r.path); err != nil {
		return err
	}
	r.db.SetMaxOpenConns(1) // one writer, and the weights are loaded once
	return r.db.Ping()
}

// Apply runs one statement. One that fails, fails on every node, and changes nothing on any.
func (r *replica) Apply(entry *raft.Log) any {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, err := r.db.Exec(string(entry.Data))
	r.applied = entry.Index
	return err
}

// snapshot is a copy of the file, and the index of the last statement in it.
type snapshot struct{ path string }

func (r *replica) Snapshot() (raft.FSMSnapshot, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &snapshot{r.path + ".snapshot"}
	os.Remove(s.path)
	_, err := r.db.Exec("VACUUM INTO ?", s.path)
	return s, err
}

func (s *snapshot) Persist(sink raft.SnapshotSink) error {
	file, err := os.Open(s.path)
	if err == nil {
		defer file.Close()
		_, err = io.Copy(sink, file)
	}
	if err != nil {
		sink.Cancel()
		return err
	}
	return sink.Close()
}

func (s *snapshot) Release() { os.Remove(s.path) }

// Restore puts the file of a snapshot in the place of this node's.
func (r *replica) Restore(from io.ReadCloser) error {
	defer from.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.db.Close()
	file, err := os.Create(r.path)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := io.Copy(file, from); err != nil {
		return err
	}
	return r.open()
}

// hashes gives the hash of every table that holds rows, users' and shadow tables, and the index of
// the last statement that is in them.
func (r *replica) hashes() (map[string]string, uint64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	names, err := r.strings(`SELECT name FROM sqlite_schema WHERE type = 'table'
		AND sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY name`)
	found := map[string]string{}
	for _, name := range names {
		if found[name], err = r.hash(name); err != nil {
			return nil, 0, err
		}
	}
	return found, r.applied, err
}

// hash is that of all rows of a table, in the order of their columns.
func (r *replica) hash(table string) (string, error) {
	columns, err := r.strings(`SELECT 'quote("' || name || '")' FROM pragma_table_xinfo(?)
		WHERE hidden <> 1`, table)
	if err != nil {
		return "", err
	}
	row := strings.Join(columns, " || ',' || ")
	rows, err := r.strings(fmt.Sprintf(`SELECT %s FROM "%s" ORDER BY 1`, row, table))
	sum := sha256.New()
	for _, text := range rows {
		fmt.Fprintln(sum, text)
	}
	return hex.EncodeToString(sum.Sum(nil))[:16], err
}

// strings gives the first column of a query.
func (r *replica) strings(query string, parameters ...any) (found []string, err error) {
	rows, err := r.db.Query(query, parameters...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		found = append(found, text)
	}
	return found, rows.Err()
}
