package forge

import (
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Requests per hour that GitHub allows with and without a token.
const (
	tokenLimit     = 5000
	anonymousLimit = 60
)

// rateLimits counts requests and reports them as GitHub does. It never refuses one by itself: an open sandbox must not
// stop working after 5000 requests; the fail_next switch refuses when a test wants it.
type rateLimits struct {
	mutex sync.Mutex
	used  map[*token]int
	reset time.Time
}

// rateLimit is one token's share of the present hour.
type rateLimit struct {
	Limit     int    `json:"limit"`
	Used      int    `json:"used"`
	Remaining int    `json:"remaining"`
	Reset     int64  `json:"reset"`
	Resource  string `json:"resource"`
}

// count adds one request of a token, nil for none, and returns its share.
func (l *rateLimits) count(of *token) rateLimit {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if now := time.Now(); !now.Before(l.reset) {
		l.used, l.reset = map[*token]int{}, now.Add(time.Hour)
	}
	l.used[of]++
	return l.share(of)
}

// look returns a token's share without adding to it.
func (l *rateLimits) look(of *token) rateLimit {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.reset.IsZero() {
		l.used, l.reset = map[*token]int{}, time.Now().Add(time.Hour)
	}
	return l.share(of)
}

func (l *rateLimits) share(of *token) rateLimit {
	limit := tokenLimit
	if of == nil {
		limit = anonymousLimit
	}
	used := min(l.used[of], limit-1)
	return rateLimit{Limit: limit, Used: used, Remaining: limit - used, Reset: l.reset.Unix(), Resource: "core"}
}

// describe sets GitHub's headers.
func (r rateLimit) describe(header http.Header) {
	header.Set("X-RateLimit-Limit", strconv.Itoa(r.Limit))
	header.Set("X-RateLimit-Used", strconv.Itoa(r.Used))
	header.Set("X-RateLimit-Remaining", strconv.Itoa(r.Remaining))
	header.Set("X-RateLimit-Reset", strconv.FormatInt(r.Reset, 10))
	header.Set("X-RateLimit-Resource", r.Resource)
}
