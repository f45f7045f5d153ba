// Timestamp is Sigstore's time-stamp authority with a key in memory, as the program
// timestamp-server starts it, but for the server of metrics on a fixed port, which lets no
// two of them run on one machine.
package main

import (
	"flag"
	"log"
	"time"

	"github.com/sigstore/timestamp-authority/v2/pkg/server"
	"github.com/spf13/viper"
)

func main() {
	port := flag.Int("port", 0, "port on 127.0.0.1")
	flag.Parse()
	for key, value := range map[string]any{
		"timestamp-signer": "memory", "timestamp-signer-hash": "sha256", "include-chain-in-response": false,
		"max-request-body-size": 1 << 20, "default-policy-oid": "1.3.6.1.4.1.57264.2", "accepted-policy-oids": []string{"1.3.6.1.4.1.57264.2"},
	} {
		viper.Set(key, value)
	}
	s := server.NewRestAPIServer("127.0.0.1", *port, []string{"http"}, false, 10*time.Second, 10*time.Second)
	log.Fatal(s.Serve())
}
