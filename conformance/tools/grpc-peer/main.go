// A gRPC server and client by grpc-go, for the suite of sidecars. They know nothing of weft.
//
//	grpc-peer server ADDRESS VERSION
//	grpc-peer client TARGET AUTHORITY COUNT TIMEOUT_MS [fail CODE | sleep MS]
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"
)

type server struct {
	pb.UnimplementedTestServiceServer
	version string
	calls   atomic.Int64
}

// Answers with its version, how many calls it has had, and who called as its sidecar says. The request says how to fail.
func (s *server) UnaryCall(ctx context.Context, in *pb.SimpleRequest) (*pb.SimpleResponse, error) {
	calls := s.calls.Add(1)
	if code := in.GetResponseStatus().GetCode(); code != 0 {
		return nil, status.Error(codes.Code(code), "as asked")
	}
	if ms := in.GetResponseSize(); ms > 0 {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Duration(ms) * time.Millisecond):
		}
	}
	md, _ := metadata.FromIncomingContext(ctx)
	return &pb.SimpleResponse{
		Username:   s.version,
		OauthScope: strings.Join(md.Get("x-weft-peer"), ","),
		ServerId:   strconv.FormatInt(calls, 10),
	}, nil
}

func main() {
	if os.Args[1] == "server" {
		listener, err := net.Listen("tcp", os.Args[2])
		if err != nil {
			panic(err)
		}
		s := grpc.NewServer()
		pb.RegisterTestServiceServer(s, &server{version: os.Args[3]})
		reflection.Register(s)
		if err := s.Serve(listener); err != nil {
			panic(err)
		}
		return
	}
	options := []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
	if os.Args[3] != "" {
		options = append(options, grpc.WithAuthority(os.Args[3]))
	}
	conn, err := grpc.NewClient(os.Args[2], options...)
	if err != nil {
		panic(err)
	}
	client := pb.NewTestServiceClient(conn)
	count, _ := strconv.Atoi(os.Args[4])
	timeout, _ := strconv.Atoi(os.Args[5])
	request := &pb.SimpleRequest{}
	if len(os.Args) > 7 {
		value, _ := strconv.Atoi(os.Args[7])
		if os.Args[6] == "fail" {
			request.ResponseStatus = &pb.EchoStatus{Code: int32(value)}
		} else {
			request.ResponseSize = int32(value)
		}
	}
	seen := map[string]int{}
	for i := 0; i < count; i++ {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(timeout)*time.Millisecond)
		answer, err := client.UnaryCall(ctx, request)
		cancel()
		if err != nil {
			seen[status.Code(err).String()]++
			fmt.Fprintln(os.Stderr, err)
		} else {
			seen[answer.Username+" "+answer.OauthScope]++
		}
	}
	lines := []string{}
	for answer, times := range seen {
		lines = append(lines, fmt.Sprintf("%s: %d", answer, times))
	}
	sort.Strings(lines)
	fmt.Println(strings.Join(lines, "\n"))
}
