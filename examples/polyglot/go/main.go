// Pricing, in Go's standard library alone. It knows nothing of a mesh: net/http heeds HTTP_PROXY.
//
// Every eighth /flaky fails on purpose; its callers' proxies try again.
package main

import (
	"encoding/json"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"time"
)

var flaky, failed atomic.Int64

type result struct {
	Statuses map[string]int `json:"statuses"`
	Versions map[string]int `json:"versions"`
	Peers    []string       `json:"peers"`
}

func call(to, path string, count int) result {
	client := &http.Client{Timeout: 10 * time.Second}
	out := result{map[string]int{}, map[string]int{}, []string{}}
	peers := map[string]bool{}
	for i := 0; i < count; i++ {
		status := 0
		if answer, err := client.Get("http://" + to + ".weft" + path); err == nil {
			status = answer.StatusCode
			var body struct{ Version, Peer string }
			if json.NewDecoder(answer.Body).Decode(&body) == nil && status == 200 {
				out.Versions[body.Version]++
				peers[body.Peer] = true
			}
			io.Copy(io.Discard, answer.Body)
			answer.Body.Close()
		}
		out.Statuses[strconv.Itoa(status)]++
	}
	for peer := range peers {
		out.Peers = append(out.Peers, peer)
	}
	return out
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("content-type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body)
}

func main() {
	self := func(r *http.Request) map[string]any {
		return map[string]any{
			"service": os.Getenv("WEFT_SERVICE"), "version": os.Getenv("WEFT_VERSION"), "language": "Go",
			"instance": os.Getenv("WEFT_INSTANCE"), "peer": r.Header.Get("x-weft-peer"), "flaky": flaky.Load(), "failed": failed.Load(),
		}
	}
	http.HandleFunc("/hello", func(w http.ResponseWriter, r *http.Request) { answer(w, 200, self(r)) })
	http.HandleFunc("/flaky", func(w http.ResponseWriter, r *http.Request) {
		if flaky.Add(1)%8 == 0 {
			failed.Add(1)
			answer(w, 503, map[string]any{"error": "on purpose"})
			return
		}
		answer(w, 200, self(r))
	})
	http.HandleFunc("/call", func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		path, count := "/hello", 1
		if query.Has("path") {
			path = query.Get("path")
		}
		if n, err := strconv.Atoi(query.Get("count")); err == nil {
			count = n
		}
		answer(w, 200, call(query.Get("to"), path, count))
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}
