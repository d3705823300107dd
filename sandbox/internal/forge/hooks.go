package forge

import (
	"errors"
	"net/url"
	"slices"
	"strconv"
)

// hookView is a webhook as GitHub shows it: never with its secret.
type hookView struct {
	Type          string       `json:"type"`
	ID            uint64       `json:"id"`
	Name          string       `json:"name"`
	Active        bool         `json:"active"`
	Events        []string     `json:"events"`
	Config        hookConfig   `json:"config"`
	CreatedAt     string       `json:"created_at"`
	UpdatedAt     string       `json:"updated_at"`
	URL           string       `json:"url"`
	TestURL       string       `json:"test_url"`
	PingURL       string       `json:"ping_url"`
	DeliveriesURL string       `json:"deliveries_url"`
	LastResponse  lastResponse `json:"last_response"`
}

// lastResponse is what a webhook's receiver answered last; the forge does not keep it.
type lastResponse struct {
	Code    *int    `json:"code"`
	Status  string  `json:"status"`
	Message *string `json:"message"`
}

func (c *call) hookView(of *hook) hookView {
	address := c.base + "/repos/" + c.repository.fullName() + "/hooks/" + decimal(of.ID)
	config := of.Config
	if config.Secret != "" {
		config.Secret = "********"
	}
	return hookView{
		Type: "Repository", ID: of.ID, Name: "web", Active: of.Active, Events: of.Events, Config: config,
		CreatedAt: timestamp(of.CreatedAt), UpdatedAt: timestamp(of.UpdatedAt),
		URL: address, TestURL: address + "/test", PingURL: address + "/pings", DeliveriesURL: address + "/deliveries",
		LastResponse: lastResponse{Status: "unused"},
	}
}

func (s *server) listHooks(request *call) (reply, error) {
	views := []hookView{}
	for _, each := range request.repository.Hooks {
		views = append(views, request.hookView(each))
	}
	return listed(request, views), nil
}

// hook finds the webhook that the path names, or nil.
func (c *call) hook() *hook {
	id, err := strconv.ParseUint(c.PathValue("id"), 10, 64)
	at := slices.IndexFunc(c.repository.Hooks, func(each *hook) bool { return each.ID == id })
	if err != nil || at < 0 {
		return nil
	}
	return c.repository.Hooks[at]
}

func (s *server) getHook(request *call) (reply, error) {
	if known := request.hook(); known != nil {
		return found(request.hookView(known)), nil
	}
	return notFound(""), nil
}

func (s *server) createHook(request *call) (reply, error) {
	input := struct {
		Active *bool      `json:"active"`
		Events []string   `json:"events"`
		Config hookConfig `json:"config"`
	}{Events: []string{"push"}, Config: hookConfig{ContentType: "form", InsecureSSL: "0"}}
	if request.input(&input) != nil {
		return badJSON(), nil
	}
	if !isWebAddress(input.Config.URL) {
		return badHookAddress(), nil
	}
	made := &hook{Active: input.Active == nil || *input.Active, Events: input.Events, Config: input.Config,
		CreatedAt: now(), UpdatedAt: now()}
	err := s.store.update(func(next *state) error {
		repository := next.repositoryByID(request.repository.ID)
		if repository == nil {
			return errAbsent
		}
		if slices.ContainsFunc(repository.Hooks, func(each *hook) bool {
			return each.Config.URL == made.Config.URL && slices.Equal(each.Events, made.Events)
		}) {
			return errTaken
		}
		made.ID = next.takeID()
		repository.Hooks = append(repository.Hooks, made)
		return nil
	})
	if errors.Is(err, errTaken) {
		return invalid(detail{Resource: "Hook", Code: "custom", Message: "Hook already exists on this repository"}), nil
	}
	view := request.hookView(made)
	return settle(err, created(view, view.URL))
}

// updateHook changes what the request names; a config replaces the one that is there as a whole.
func (s *server) updateHook(request *call) (reply, error) {
	known := request.hook()
	if known == nil {
		return notFound(""), nil
	}
	changed := *known
	input := struct {
		Active *bool       `json:"active"`
		Events []string    `json:"events"`
		Config *hookConfig `json:"config"`
	}{}
	if request.input(&input) != nil {
		return badJSON(), nil
	}
	if input.Active != nil {
		changed.Active = *input.Active
	}
	if input.Events != nil {
		changed.Events = input.Events
	}
	if input.Config != nil {
		if !isWebAddress(input.Config.URL) {
			return badHookAddress(), nil
		}
		changed.Config = *input.Config
	}
	changed.UpdatedAt = now()
	err := s.store.update(func(next *state) error {
		repository := next.repositoryByID(request.repository.ID)
		if repository == nil {
			return errAbsent
		}
		at := slices.IndexFunc(repository.Hooks, func(each *hook) bool { return each.ID == known.ID })
		if at < 0 {
			return errAbsent
		}
		repository.Hooks[at] = &changed
		return nil
	})
	return settle(err, found(request.hookView(&changed)))
}

func isWebAddress(text string) bool {
	target, err := url.Parse(text)
	return err == nil && target.Host != "" && (target.Scheme == "http" || target.Scheme == "https")
}

func badHookAddress() reply {
	return invalid(detail{Resource: "Hook", Code: "custom", Field: "url", Message: "url is missing a scheme or invalid"})
}

func (s *server) deleteHook(request *call) (reply, error) {
	known := request.hook()
	if known == nil {
		return notFound(""), nil
	}
	err := s.store.update(func(next *state) error {
		repository := next.repositoryByID(request.repository.ID)
		if repository == nil {
			return errAbsent
		}
		repository.Hooks = slices.DeleteFunc(repository.Hooks, func(each *hook) bool { return each.ID == known.ID })
		return nil
	})
	return settle(err, gone())
}

// pingHook sends the ping event; as on GitHub the answer does not wait for the receiver's.
func (s *server) pingHook(request *call) (reply, error) {
	known := request.hook()
	if known == nil {
		return notFound(""), nil
	}
	repository, err := s.repositoryView(request, request.repository)
	if err != nil {
		return reply{}, err
	}
	s.deliveries.send(known, "ping", map[string]any{
		"zen":        "Keep it logically awesome.",
		"hook_id":    known.ID,
		"hook":       request.hookView(known),
		"repository": repository,
		"sender":     request.account(s.options.Login),
	})
	return gone(), nil
}
