package component

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// EnvRedisPassword holds the password that clients of the redis program must give; empty means none.
const EnvRedisPassword = "REDIS_PASSWORD"

// redis serves miniredis on loopback, and its health over HTTP for the pods whose probe asks that way.
func redis() int {
	flags := flag.NewFlagSet("redis", flag.ContinueOnError)
	port := flags.Int("port", 0, "loopback port")
	health := flags.Int("health-port", 0, "loopback port of the health endpoint, 0 for none")
	if err := flags.Parse(os.Args[1:]); err != nil {
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	server := miniredis.NewMiniRedis()
	if password := os.Getenv(EnvRedisPassword); password != "" {
		server.RequireAuth(password)
	}
	if err := server.StartAddr(fmt.Sprintf("127.0.0.1:%d", *port)); err != nil {
		return status(fmt.Errorf("starting redis on port %d: %w", *port, err))
	}
	defer server.Close()
	failed := make(chan error, 1)
	if *health != 0 {
		go func() {
			failed <- http.ListenAndServe(fmt.Sprintf("127.0.0.1:%d", *health), http.HandlerFunc(
				func(writer http.ResponseWriter, _ *http.Request) { writer.WriteHeader(http.StatusOK) }))
		}()
	}
	// miniredis has no clock of its own: keys expire only as time is moved forward for it.
	clock := time.NewTicker(time.Second)
	defer clock.Stop()
	for {
		select {
		case <-clock.C:
			server.FastForward(time.Second)
		case err := <-failed:
			return status(fmt.Errorf("serving the health of redis: %w", err))
		case <-ctx.Done():
			return 0
		}
	}
}
