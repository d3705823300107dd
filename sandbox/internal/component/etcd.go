package component

import (
	"context"
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/embed"
)

// etcd serves one member on loopback, to clients and peers with a certificate of the sandbox's authority only.
func etcd() int {
	flags := flag.NewFlagSet("etcd", flag.ContinueOnError)
	folder := flags.String("data-dir", "", "folder of the data")
	client := flags.Int("client-port", 0, "loopback port for clients")
	peer := flags.Int("peer-port", 0, "loopback port for peers")
	certificate := flags.String("cert-file", "", "certificate of the server, also valid for clients")
	key := flags.String("key-file", "", "key of that certificate")
	authority := flags.String("trusted-ca-file", "", "certificate of the authority of clients")
	if err := flags.Parse(os.Args[1:]); err != nil {
		return 2
	}
	tls := transport.TLSInfo{
		CertFile: *certificate, KeyFile: *key, TrustedCAFile: *authority, ClientCertAuth: true,
	}
	config := embed.NewConfig()
	config.Dir = *folder
	config.ListenClientUrls = loopback(*client)
	config.AdvertiseClientUrls = config.ListenClientUrls
	config.ListenPeerUrls = loopback(*peer)
	config.AdvertisePeerUrls = config.ListenPeerUrls
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	config.ClientTLSInfo = tls
	config.PeerTLSInfo = tls
	// The data survives the death of every process, and a sandbox need not survive the loss of power.
	config.UnsafeNoFsync = true
	config.LogLevel = "error"
	config.LogOutputs = []string{embed.StdErrLogOutput}

	server, err := embed.StartEtcd(config)
	if err != nil {
		return status(fmt.Errorf("starting etcd on port %d: %w", *client, err))
	}
	defer server.Close()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	select {
	case <-ctx.Done():
		return 0
	case err := <-server.Err():
		return status(fmt.Errorf("serving etcd: %w", err))
	}
}

func loopback(port int) []url.URL {
	return []url.URL{{Scheme: "https", Host: fmt.Sprintf("127.0.0.1:%d", port)}}
}
