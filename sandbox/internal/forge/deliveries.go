package forge

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"
)

// deliveries sends webhook events. They go to loopback addresses only: nothing that happens in a sandbox may reach
// another machine.
type deliveries struct {
	context context.Context
	client  http.Client
	running sync.WaitGroup
}

func newDeliveries(ctx context.Context) *deliveries {
	dialer := net.Dialer{Timeout: 5 * time.Second, Control: onlyLoopback}
	return &deliveries{
		context: ctx,
		client:  http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DialContext: dialer.DialContext}},
	}
}

func onlyLoopback(_, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil || !target.Addr().Unmap().IsLoopback() {
		return fmt.Errorf("%s is not on this machine", address)
	}
	return nil
}

// send delivers one event in the background.
func (d *deliveries) send(to *hook, event string, payload any) {
	d.running.Go(func() {
		if err := d.deliver(to, event, payload); err != nil {
			slog.Warn("deliver a webhook of the forge", "event", event, "hook", to.ID, "error", err)
		}
	})
}

func (d *deliveries) deliver(to *hook, event string, payload any) error {
	body, err := json.Marshal(payload)
	if err != nil {
		return fmt.Errorf("encode the event: %w", err)
	}
	kind := "application/json"
	if to.Config.ContentType != "json" {
		kind = "application/x-www-form-urlencoded"
		body = []byte(url.Values{"payload": {string(body)}}.Encode())
	}
	request, err := http.NewRequestWithContext(d.context, http.MethodPost, to.Config.URL, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("make the request: %w", err)
	}
	request.Header.Set("Content-Type", kind)
	request.Header.Set("User-Agent", "GitHub-Hookshot/sandbox")
	request.Header.Set("X-GitHub-Event", event)
	request.Header.Set("X-GitHub-Delivery", strings.ToLower(rand.Text()))
	request.Header.Set("X-GitHub-Hook-ID", decimal(to.ID))
	if to.Config.Secret != "" {
		mac := hmac.New(sha256.New, []byte(to.Config.Secret))
		mac.Write(body)
		request.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	}
	answer, err := d.client.Do(request)
	if err != nil {
		return fmt.Errorf("send the event: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode >= 300 {
		return fmt.Errorf("the receiver answered %s", answer.Status)
	}
	return nil
}
