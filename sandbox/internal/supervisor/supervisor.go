package supervisor

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Component is a process that is kept running.
type Component struct {
	Command
	// Ready returns nil once the process serves. It is asked again and again while the process starts.
	Ready func(context.Context) error
	// Grace is how long the process may take to end when asked to.
	Grace time.Duration
}

// Status is what is known of a component.
type Status struct {
	Name string `json:"name"`
	// Pid is 0 while no process runs.
	Pid int `json:"pid"`
	// Restarts counts the processes that ended unasked.
	Restarts int  `json:"restarts"`
	Ready    bool `json:"ready"`
	// Stopped says that the component was stopped on purpose and stays so until it is started.
	Stopped bool `json:"stopped,omitempty"`
	// Since is when the current process started, or the last one ended.
	Since time.Time `json:"since"`
}

const (
	restartInitial = 200 * time.Millisecond
	restartMaximum = 10 * time.Second
	restartReset   = time.Minute
	probeInterval  = 50 * time.Millisecond
)

// Supervisor keeps components running until it is shut down. Its methods may be called from any goroutine.
type Supervisor struct {
	report func(string)

	mutex      sync.Mutex
	components []*kept
	changed    chan struct{}
}

// New returns a supervisor without components. The report gets one line for each thing that happens.
func New(report func(string)) *Supervisor {
	return &Supervisor{report: report, changed: make(chan struct{})}
}

// kept is a component with the goroutine that keeps it running.
type kept struct {
	component Component
	status    Status
	cancel    context.CancelFunc
	done      chan struct{}
}

// Add starts keeping the component running and returns at once.
func (s *Supervisor) Add(component Component) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	entry := &kept{component: component, status: Status{Name: component.Name, Since: time.Now()}}
	s.components = append(s.components, entry)
	s.run(entry)
}

// run starts the goroutine of the entry. The mutex is held.
func (s *Supervisor) run(entry *kept) {
	ctx, cancel := context.WithCancel(context.Background())
	entry.cancel, entry.done = cancel, make(chan struct{})
	go func(done chan struct{}) {
		defer close(done)
		s.keep(ctx, entry)
	}(entry.done)
}

// keep runs the component, again and again, until the context ends.
func (s *Supervisor) keep(ctx context.Context, entry *kept) {
	name := entry.component.Name
	backoff := Backoff{Initial: restartInitial, Maximum: restartMaximum, Reset: restartReset}
	for ctx.Err() == nil {
		began := time.Now()
		process, err := Start(entry.component.Command)
		if err != nil {
			s.report(err.Error())
		} else {
			s.update(entry, func(status *Status) { status.Pid, status.Since = process.Pid, process.Started })
			if s.watch(ctx, entry, process) {
				process.Stop(context.Background(), entry.component.Grace)
				s.update(entry, func(status *Status) { status.Pid, status.Ready, status.Since = 0, false, time.Now() })
				return
			}
			s.report(fmt.Sprintf("%s ended unasked with status %d, see %s", name, process.Exit().Code, entry.component.Log))
		}
		wait := backoff.Next(time.Since(began))
		s.update(entry, func(status *Status) {
			status.Pid, status.Ready, status.Since = 0, false, time.Now()
			status.Restarts++
		})
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// watch probes the process until it is ready and returns when it has ended (false) or shall end (true).
func (s *Supervisor) watch(ctx context.Context, entry *kept, process *Process) bool {
	probing, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		for probing.Err() == nil {
			if entry.component.Ready(probing) == nil {
				s.update(entry, func(status *Status) { status.Ready = status.Pid == process.Pid })
				s.report(fmt.Sprintf("%s is ready after %.1f s (process %d)",
					entry.component.Name, time.Since(process.Started).Seconds(), process.Pid))
				return
			}
			select {
			case <-probing.Done():
			case <-time.After(probeInterval):
			}
		}
	}()
	select {
	case <-process.Ended():
		return false
	case <-ctx.Done():
		return true
	}
}

func (s *Supervisor) update(entry *kept, change func(*Status)) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	change(&entry.status)
	close(s.changed)
	s.changed = make(chan struct{})
}

// Status returns the state of every component, in the order in which they were added.
func (s *Supervisor) Status() []Status {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	statuses := make([]Status, 0, len(s.components))
	for _, entry := range s.components {
		statuses = append(statuses, entry.status)
	}
	return statuses
}

// WaitReady returns once all named components are ready.
func (s *Supervisor) WaitReady(ctx context.Context, names ...string) error {
	for {
		s.mutex.Lock()
		waiting := ""
		for _, entry := range s.components {
			if slices.Contains(names, entry.status.Name) && !entry.status.Ready {
				waiting = entry.status.Name
			}
		}
		changed := s.changed
		s.mutex.Unlock()
		if waiting == "" {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s to be ready: %w", waiting, ctx.Err())
		}
	}
}

// Stop ends the component and leaves it stopped. It returns when its process has ended.
func (s *Supervisor) Stop(name string) error {
	entry, err := s.find(name)
	if err != nil {
		return err
	}
	s.halt(entry)
	s.report(name + " was stopped on request")
	return nil
}

// Start starts a stopped component; a running one is left alone.
func (s *Supervisor) Start(name string) error {
	entry, err := s.find(name)
	if err != nil {
		return err
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if entry.status.Stopped {
		entry.status.Stopped = false
		s.run(entry)
	}
	return nil
}

// Restart ends the component and starts it again.
func (s *Supervisor) Restart(name string) error {
	if err := s.Stop(name); err != nil {
		return err
	}
	return s.Start(name)
}

// Shutdown ends every component, the last one added first.
func (s *Supervisor) Shutdown() {
	s.mutex.Lock()
	components := slices.Clone(s.components)
	s.mutex.Unlock()
	for _, entry := range slices.Backward(components) {
		s.halt(entry)
	}
}

func (s *Supervisor) halt(entry *kept) {
	s.mutex.Lock()
	entry.status.Stopped = true
	cancel, done := entry.cancel, entry.done
	s.mutex.Unlock()
	cancel()
	<-done
}

func (s *Supervisor) find(name string) (*kept, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	names := []string{}
	for _, entry := range s.components {
		if entry.component.Name == name {
			return entry, nil
		}
		names = append(names, entry.component.Name)
	}
	return nil, fmt.Errorf("there is no component %q; there are %v", name, names)
}
