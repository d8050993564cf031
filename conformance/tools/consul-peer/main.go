// A service and a watcher by Consul's own Go client, for the suite of Consul's API. It knows nothing of weft.
//
//	consul-peer serve ID NAME PORT     registers with a TTL check, keeps it passing, deregisters at the end of stdin
//	consul-peer watch NAME             prints the passing instances whenever they change, by blocking queries
package main

import (
	"fmt"
	"io"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"
)

func main() {
	client, err := api.NewClient(api.DefaultConfig())
	check(err)
	switch os.Args[1] {
	case "serve":
		serve(client, os.Args[2], os.Args[3], os.Args[4])
	case "watch":
		watch(client, os.Args[2])
	}
}

func serve(client *api.Client, id, name, port string) {
	number, err := strconv.Atoi(port)
	check(err)
	agent := client.Agent()
	check(agent.ServiceRegister(&api.AgentServiceRegistration{
		ID: id, Name: name, Port: number, Tags: []string{"go"}, Meta: map[string]string{"version": "v1"},
		Check: &api.AgentServiceCheck{CheckID: "beat:" + id, TTL: "1s", DeregisterCriticalServiceAfter: "10m"},
	}))
	stop := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(stop)
	}()
	fmt.Println("registered")
	for {
		check(agent.UpdateTTL("beat:"+id, "well", api.HealthPassing))
		select {
		case <-stop:
			check(agent.ServiceDeregister(id))
			fmt.Println("deregistered")
			return
		case <-time.After(300 * time.Millisecond):
		}
	}
}

func watch(client *api.Client, name string) {
	var index uint64
	for {
		entries, meta, err := client.Health().Service(name, "", true, &api.QueryOptions{WaitIndex: index, WaitTime: 30 * time.Second})
		check(err)
		if meta.LastIndex < index {
			index = 0
			continue
		}
		if meta.LastIndex == index {
			continue
		}
		index = meta.LastIndex
		ids := []string{}
		for _, entry := range entries {
			ids = append(ids, fmt.Sprintf("%s=%s:%d", entry.Service.ID, entry.Service.Address, entry.Service.Port))
		}
		sort.Strings(ids)
		fmt.Println("[" + strings.Join(ids, " ") + "]")
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
