// A grpc-go server of counter.v1.Counter/Count, the peer of bench/grpc-server.ts.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"

	"google.golang.org/grpc"

	"bench/grpc-go/counterpb"
)

type server struct {
	counterpb.UnimplementedCounterServer
}

func (server) Count(_ context.Context, request *counterpb.CountRequest) (*counterpb.CountResponse, error) {
	return &counterpb.CountResponse{Count: request.Count + 1}, nil
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
	if err != nil {
		log.Fatal(err)
	}
	s := grpc.NewServer()
	counterpb.RegisterCounterServer(s, server{})
	fmt.Printf("listening %s\n", listener.Addr())
	log.Fatal(s.Serve(listener))
}
