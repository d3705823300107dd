package forge

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// pullView is a pull request as GitHub shows it.
type pullView struct {
	ID        uint64      `json:"id"`
	NodeID    string      `json:"node_id"`
	Number    uint64      `json:"number"`
	URL       string      `json:"url"`
	HTMLURL   string      `json:"html_url"`
	DiffURL   string      `json:"diff_url"`
	PatchURL  string      `json:"patch_url"`
	State     string      `json:"state"`
	Locked    bool        `json:"locked"`
	Draft     bool        `json:"draft"`
	Title     string      `json:"title"`
	Body      *string     `json:"body"`
	User      accountView `json:"user"`
	Head      pullEnd     `json:"head"`
	Base      pullEnd     `json:"base"`
	CreatedAt string      `json:"created_at"`
	UpdatedAt string      `json:"updated_at"`
	ClosedAt  *string     `json:"closed_at"`
	MergedAt  *string     `json:"merged_at"`
}

// pullEnd is one of the two branches of a pull request.
type pullEnd struct {
	Label string         `json:"label"`
	Ref   string         `json:"ref"`
	SHA   string         `json:"sha"`
	User  accountView    `json:"user"`
	Repo  repositoryView `json:"repo"`
}

func (s *server) pullView(request *call, of *pull) (pullView, error) {
	repository, err := s.repositoryView(request, request.repository)
	if err != nil {
		return pullView{}, err
	}
	end := func(branch string) (pullEnd, error) {
		sha, err := s.branchCommit(request.Context(), request.repository, branch)
		return pullEnd{Label: request.repository.Owner + ":" + branch, Ref: branch, SHA: sha, User: repository.Owner, Repo: repository}, err
	}
	head, headErr := end(of.Head)
	base, baseErr := end(of.Base)
	number := decimal(of.Number)
	html := request.address + "/" + request.repository.fullName() + "/pull/" + number
	view := pullView{
		ID: of.ID, NodeID: "PR_" + decimal(of.ID), Number: of.Number, State: "open", Draft: of.Draft, Title: of.Title,
		URL:     request.base + "/repos/" + request.repository.fullName() + "/pulls/" + number,
		HTMLURL: html, DiffURL: html + ".diff", PatchURL: html + ".patch",
		User: request.account(s.options.Login), Head: head, Base: base,
		CreatedAt: timestamp(of.CreatedAt), UpdatedAt: timestamp(of.CreatedAt),
	}
	if of.Body != "" {
		view.Body = &of.Body
	}
	return view, errors.Join(headErr, baseErr)
}

// listPulls filters by state, head (OWNER:BRANCH) and base. Every pull request is open: the forge merges none.
func (s *server) listPulls(request *call) (reply, error) {
	query := request.URL.Query()
	head, base := query.Get("head"), query.Get("base")
	views := []pullView{}
	for _, candidate := range slices.Backward(request.repository.Pulls) {
		if query.Get("state") == "closed" || base != "" && base != candidate.Base ||
			head != "" && head != request.repository.Owner+":"+candidate.Head {
			continue
		}
		view, err := s.pullView(request, candidate)
		if err != nil {
			return reply{}, err
		}
		views = append(views, view)
	}
	return listed(request, views), nil
}

func (s *server) getPull(request *call) (reply, error) {
	number, err := strconv.ParseUint(request.PathValue("number"), 10, 64)
	at := slices.IndexFunc(request.repository.Pulls, func(each *pull) bool { return each.Number == number })
	if err != nil || at < 0 {
		return notFound(""), nil
	}
	view, err := s.pullView(request, request.repository.Pulls[at])
	return found(view), err
}

func (s *server) createPull(request *call) (reply, error) {
	var input struct {
		Title string `json:"title"`
		Body  string `json:"body"`
		Head  string `json:"head"`
		Base  string `json:"base"`
		Draft bool   `json:"draft"`
	}
	if request.input(&input) != nil {
		return badJSON(), nil
	}
	input.Head = strings.TrimPrefix(input.Head, request.repository.Owner+":")
	if input.Title == "" {
		return invalid(detail{Resource: "PullRequest", Code: "missing_field", Field: "title"}), nil
	}
	commits := map[string]string{}
	for field, name := range map[string]string{"head": input.Head, "base": input.Base} {
		sha, err := s.branchCommit(request.Context(), request.repository, name)
		if err != nil {
			return reply{}, err
		}
		if sha == "" {
			return invalid(detail{Resource: "PullRequest", Code: "invalid", Field: field}), nil
		}
		commits[field] = sha
	}
	ahead, err := s.git(request.Context(), request.repository, "", "rev-list", "--count", commits["base"]+".."+commits["head"])
	if err != nil {
		return reply{}, err
	}
	if ahead == "0" {
		return invalid(detail{Resource: "PullRequest", Code: "custom",
			Message: fmt.Sprintf("No commits between %s and %s", input.Base, input.Head)}), nil
	}
	made := &pull{Title: input.Title, Body: input.Body, Head: input.Head, Base: input.Base, Draft: input.Draft, CreatedAt: now()}
	err = s.store.update(func(next *state) error {
		target := next.repositoryByID(request.repository.ID)
		if target == nil {
			return errAbsent
		}
		if slices.ContainsFunc(target.Pulls, func(each *pull) bool { return each.Head == made.Head && each.Base == made.Base }) {
			return errTaken
		}
		made.ID, made.Number = next.takeID(), uint64(len(target.Pulls)+1)
		target.Pulls = append(target.Pulls, made)
		return nil
	})
	if errors.Is(err, errTaken) {
		return invalid(detail{Resource: "PullRequest", Code: "custom", Message: fmt.Sprintf(
			"A pull request already exists for %s:%s.", request.repository.Owner, input.Head)}), nil
	}
	if err != nil {
		return settle(err, reply{})
	}
	view, err := s.pullView(request, made)
	return created(view, view.URL), err
}
