package supervisor

import "time"

// Backoff says how long to wait before a process that keeps ending is started again.
type Backoff struct {
	// Initial is the wait before the second start in a row; the first one is at once, as a kubelet does it.
	Initial time.Duration
	// Maximum is never exceeded; each wait doubles until then.
	Maximum time.Duration
	// Reset is how long a process must have run for its end to count as the first one again.
	Reset time.Duration

	failures int
}

// Next returns the wait after a process that ran that long has ended.
func (b *Backoff) Next(ran time.Duration) time.Duration {
	if ran >= b.Reset {
		b.failures = 0
	}
	b.failures++
	if b.failures == 1 {
		return 0
	}
	wait := b.Initial
	for range b.failures - 2 {
		if wait *= 2; wait >= b.Maximum {
			return b.Maximum
		}
	}
	return wait
}
