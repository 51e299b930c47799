// Three replicas of a SQLite database with latent loaded, kept in step by hashicorp/raft.
//
//	cd examples/raft && go run . [-extension FILE] [-folder FOLDER]
//
// It starts three nodes as processes of their own, on loopback, and writes through the leader. Then
// it kills the leader (SIGKILL), writes on through the next one, and puts a fourth node in the
// place of the dead one, which gets a snapshot. Each time the hashes of all tables, shadow tables
// too, must be the same on all nodes. What raft has to say goes to FOLDER/NAME.log.
//
// fsm.go is what a node does with a statement, node.go is the node.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/raft"
)

const patience = 30 * time.Second

var schema = []string{
	`CREATE TABLE notes(id INTEGER PRIMARY KEY, body TEXT, z BLOB AS (latent_encode(body)) STORED)`,
	`CREATE VIRTUAL TABLE notes_latent USING latent(body, content='notes', content_rowid='id')`,
	`CREATE TABLE written(content TEXT, distance REAL)`,
}

var notes = []string{
	"The beach is empty in the early morning.", "It is raining in the mountains.",
	"Two children build a castle in the sand.", "I got the job that I wanted.",
	"My sister is reading a book in the garden.", "The soup is too salty.",
}

// The results of search, decoding and chance (with a seed) become rows themselves.
var derived = []string{
	`INSERT INTO written SELECT latent_interp(a.body, b.body, 0.5), 0 FROM notes a, notes b
	   WHERE b.id = a.id + 1`,
	`INSERT INTO written SELECT n.body, l.distance FROM notes_latent('a place by the sea') l
	   JOIN notes n ON n.id = l.rowid LIMIT 3`,
	`INSERT INTO written SELECT content, distance
	   FROM latent_imagine('notes_latent', 'My sister is in the garden.', 2)`,
	`INSERT INTO written SELECT latent_sample(value), 0 FROM json_each('[1, 2, 3]')`,
	`UPDATE notes SET body = 'The library opens at nine.' WHERE id = 2`,
	`DELETE FROM notes WHERE id = 3`,
}

// process is a node as its parent sees it.
type process struct {
	name, raft, http string
	command          *exec.Cmd
}

var nodes []*process

func freeAddress() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	defer l.Close()
	return l.Addr().String()
}

func newProcess(name string) *process {
	return &process{name: name, raft: freeAddress(), http: freeAddress()}
}

func (p *process) start(folder, extension string, peers []raft.Server) {
	self, err := os.Executable()
	check(err)
	list, _ := json.Marshal(peers)
	p.command = exec.Command(self, "-node", p.name, "-raft", p.raft, "-http", p.http,
		"-folder", folder, "-extension", extension, "-peers", string(list))
	p.command.Stderr, err = os.Create(filepath.Join(folder, p.name+".log"))
	check(err)
	check(p.command.Start())
}

// ask sends a request, and decodes the answer into value. An answer that is no success is an error.
func (p *process) ask(path, body string, value any) error {
	var answer *http.Response
	var err error
	if path == "report" {
		answer, err = http.Get("http://" + p.http + "/" + path)
	} else {
		answer, err = http.Post("http://"+p.http+"/"+path, "text/plain", strings.NewReader(body))
	}
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	if answer.StatusCode == http.StatusMisdirectedRequest {
		return raft.ErrNotLeader
	}
	if answer.StatusCode != http.StatusOK {
		return errors.New(string(bytes.TrimSpace(text)))
	}
	return json.Unmarshal(text, value)
}

func (p *process) report() (r report, err error) {
	err = p.ask("report", "", &r)
	return r, err
}

// until waits for something to come true.
func until(what string, isTrue func() bool) {
	for end := time.Now().Add(patience); !isTrue(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			fail("%s: not within %v", what, patience)
		}
	}
}

func leader() (found *process) {
	until("a leader is elected", func() bool {
		for _, p := range nodes {
			if r, err := p.report(); err == nil && r.Leader {
				found = p
			}
		}
		return found != nil
	})
	return found
}

// execute sends statements to the leader, whoever it is.
func execute(statements ...string) {
	for _, s := range statements {
		var nothing any
		until("the leader takes a statement", func() bool {
			err := leader().ask("execute", s, &nothing)
			if err != nil && !errors.Is(err, raft.ErrNotLeader) {
				fail("%s: %v", s, err)
			}
			return err == nil
		})
	}
}

// differing waits until all nodes have run what the leader has. It gives the first table in which
// a node differs from the leader, and the number of tables.
func differing() (table string, n int) {
	want, err := leader().report()
	check(err)
	for _, p := range nodes {
		var got report
		until(p.name+" has run the log", func() bool {
			got, err = p.report()
			return err == nil && got.Applied >= want.Applied
		})
		if got.Latent != want.Latent {
			fail("%s has latent %s, the leader %s", p.name, got.Latent, want.Latent)
		}
		if len(got.Hashes) != len(want.Hashes) {
			fail("%s has %d tables, the leader %d", p.name, len(got.Hashes), len(want.Hashes))
		}
		for name, hash := range want.Hashes {
			if got.Hashes[name] != hash {
				return name, len(want.Hashes)
			}
		}
	}
	return "", len(want.Hashes)
}

func expectSame(when string) {
	table, n := differing()
	if table != "" {
		fail("%s: the nodes differ in table %s", when, table)
	}
	fmt.Printf("ok - %s: %d nodes, %d tables, the same hashes\n", when, len(nodes), n)
}

// SQLite's random() is another on each node: it must never reach the log as it stands.
func expectDifferent() {
	execute("INSERT INTO written SELECT random(), 0")
	if table, _ := differing(); table != "written" {
		fail("after random() the nodes should differ in table written, not %q", table)
	}
	fmt.Println("ok - a statement with random() makes the nodes differ, and the hashes show it")
}

func scene(folder, extension string) {
	var peers []raft.Server
	for _, name := range []string{"a", "b", "c"} {
		p := newProcess(name)
		nodes = append(nodes, p)
		peers = append(peers, raft.Server{ID: raft.ServerID(name), Address: raft.ServerAddress(p.raft)})
	}
	for _, p := range nodes {
		p.start(folder, extension, peers)
	}
	execute(schema...)
	for _, note := range notes[:4] {
		execute("INSERT INTO notes(body) VALUES ('" + note + "')")
	}
	expectSame("written through the leader's log")

	dead := leader()
	check(dead.command.Process.Kill())
	dead.command.Wait()
	var left []*process
	for _, p := range nodes {
		if p != dead {
			left = append(left, p)
		}
	}
	nodes = left
	for _, note := range notes[4:] {
		execute("INSERT INTO notes(body) VALUES ('" + note + "')")
	}
	execute(derived...)
	expectSame("after the leader was killed")

	var nothing any
	check(leader().ask("snapshot", "", &nothing))
	fresh := newProcess("d")
	fresh.start(folder, extension, nil)
	until("the new node answers", func() bool { _, err := fresh.report(); return err == nil })
	check(leader().ask("replace", dead.name+" "+fresh.name+" "+fresh.raft, &nothing))
	nodes = append(nodes, fresh)
	execute("INSERT INTO notes(body) VALUES ('The ferry was late.')")
	expectSame("with a new node, from a snapshot")
	expectDifferent()
}

func fail(format string, values ...any) {
	fmt.Printf("not ok - raft: "+format+"\n", values...)
	stop()
	os.Exit(1)
}

func check(err error) {
	if err != nil {
		fail("%v", err)
	}
}

func stop() {
	for _, p := range nodes {
		if p.command != nil {
			p.command.Process.Kill()
			p.command.Wait()
		}
	}
}

func main() {
	name := flag.String("node", "", "be this node; for the harness itself")
	raftAddress := flag.String("raft", "", "")
	httpAddress := flag.String("http", "", "")
	list := flag.String("peers", "null", "")
	extension := flag.String("extension", "../../build/latent.so", "the extension")
	folder := flag.String("folder", "../../build/raft", "where the nodes' databases lie")
	flag.Parse()
	if *name != "" {
		var peers []raft.Server
		check(json.Unmarshal([]byte(*list), &peers))
		path := filepath.Join(*folder, *name+".db")
		check(runNode(*name, *raftAddress, *httpAddress, path, *extension, peers))
	}
	path, err := filepath.Abs(*extension)
	check(err)
	check(os.RemoveAll(*folder))
	check(os.MkdirAll(*folder, 0o755))
	scene(*folder, path)
	stop()
}
