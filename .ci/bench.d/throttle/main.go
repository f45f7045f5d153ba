// Command throttle is an HTTP proxy for benchmarks that is a network of a known speed:
// what all connections together bring in passes at one rate. It prints its address and
// serves until it is killed.
package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"sync"
	"time"
)

// line is what all connections share: a piece may pass when those before it have.
type line struct {
	rate int64 // bytes a second
	mu   sync.Mutex
	free time.Time
}

// piece is about a millisecond at 1 Gbit/s.
const piece = 128 << 10

func (l *line) wait(n int64) {
	l.mu.Lock()
	if now := time.Now(); l.free.Before(now) {
		l.free = now
	}
	l.free = l.free.Add(time.Duration(n) * time.Second / time.Duration(l.rate))
	until := l.free
	l.mu.Unlock()
	time.Sleep(time.Until(until))
}

// slow is a body that passes the line.
type slow struct {
	io.ReadCloser
	line *line
}

func (s slow) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p[:min(len(p), piece)])
	s.line.wait(int64(n))
	return n, err
}

// tunnel serves CONNECT. The kernel moves the bytes from socket to socket (splice), so that
// the proxy takes little of the processor from what is measured.
func (l *line) tunnel(w http.ResponseWriter, r *http.Request) {
	server, err := net.DialTimeout("tcp", r.Host, 30*time.Second)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer server.Close()
	client, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer client.Close()
	if _, err := io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(server, client) // it ends when either side does
		_ = server.(*net.TCPConn).CloseWrite()
	}()
	for {
		n, err := io.CopyN(client, server, piece)
		l.wait(n)
		if err != nil {
			return
		}
	}
}

func main() {
	l := &line{}
	flag.Int64Var(&l.rate, "rate", 125_000_000, "bytes a second, of all connections together")
	flag.Parse()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr())
	plain := &httputil.ReverseProxy{
		Rewrite:        func(*httputil.ProxyRequest) {},
		ModifyResponse: func(r *http.Response) error { r.Body = slow{r.Body, l}; return nil },
	}
	log.Fatal(http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodConnect {
			l.tunnel(w, r)
			return
		}
		plain.ServeHTTP(w, r)
	})))
}
