package forge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
)

// repositoryView is a repository as GitHub shows it.
type repositoryView struct {
	ID            uint64          `json:"id"`
	NodeID        string          `json:"node_id"`
	Name          string          `json:"name"`
	FullName      string          `json:"full_name"`
	Owner         accountView     `json:"owner"`
	Private       bool            `json:"private"`
	Visibility    string          `json:"visibility"`
	Description   *string         `json:"description"`
	Fork          bool            `json:"fork"`
	Archived      bool            `json:"archived"`
	Disabled      bool            `json:"disabled"`
	URL           string          `json:"url"`
	HTMLURL       string          `json:"html_url"`
	SSHURL        string          `json:"ssh_url"`
	CloneURL      string          `json:"clone_url"`
	KeysURL       string          `json:"keys_url"`
	HooksURL      string          `json:"hooks_url"`
	BranchesURL   string          `json:"branches_url"`
	PullsURL      string          `json:"pulls_url"`
	DefaultBranch string          `json:"default_branch"`
	CreatedAt     string          `json:"created_at"`
	UpdatedAt     string          `json:"updated_at"`
	PushedAt      *string         `json:"pushed_at"`
	Permissions   permissionsView `json:"permissions"`
}

// permissionsView is what the token that asks may do.
type permissionsView struct {
	Admin    bool `json:"admin"`
	Maintain bool `json:"maintain"`
	Push     bool `json:"push"`
	Triage   bool `json:"triage"`
	Pull     bool `json:"pull"`
}

func (s *server) repositoryView(request *call, r *repository) (repositoryView, error) {
	standard, err := s.defaultBranch(request.Context(), r)
	if err != nil {
		return repositoryView{}, err
	}
	url := request.base + "/repos/" + r.fullName()
	html := request.address + "/" + r.fullName()
	view := repositoryView{
		ID: r.ID, NodeID: "R_" + decimal(r.ID), Name: r.Name, FullName: r.fullName(), Owner: request.account(r.Owner),
		Private: r.Private, Visibility: "public", URL: url, HTMLURL: html,
		SSHURL:        s.sshAddress(r),
		CloneURL:      html + ".git",
		KeysURL:       url + "/keys{/key_id}",
		HooksURL:      url + "/hooks",
		BranchesURL:   url + "/branches{/branch}",
		PullsURL:      url + "/pulls{/number}",
		DefaultBranch: standard,
		CreatedAt:     timestamp(r.CreatedAt),
		UpdatedAt:     timestamp(r.CreatedAt),
		Permissions: permissionsView{
			Admin: request.token.right >= rightAdmin, Maintain: request.token.right >= rightAdmin,
			Push: request.token.right >= rightWrite, Triage: request.token.right >= rightWrite, Pull: true,
		},
	}
	if r.Private {
		view.Visibility = "private"
	}
	if r.Description != "" {
		view.Description = &r.Description
	}
	return view, nil
}

// sshAddress is the URL for Git over SSH; the short form has no place for a port.
func (s *server) sshAddress(r *repository) string {
	address := s.options.SSH.Addr().String()
	if host, port, err := net.SplitHostPort(address); err == nil && port == "22" {
		return "git@" + host + ":" + r.fullName() + ".git"
	}
	return "ssh://git@" + address + "/" + r.fullName() + ".git"
}

func (s *server) getRepository(request *call) (reply, error) {
	view, err := s.repositoryView(request, request.repository)
	return found(view), err
}

func (s *server) createUserRepository(request *call) (reply, error) {
	return s.createRepository(request, request.known.User.Login)
}

func (s *server) createOrganizationRepository(request *call) (reply, error) {
	owner, organization, exists := request.known.account(request.PathValue("org"))
	if !exists || !organization {
		return notFound(""), nil
	}
	return s.createRepository(request, owner.Login)
}

// unnamable are the characters that GitHub replaces by a hyphen in a new repository's name.
var unnamable = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

func (s *server) createRepository(request *call, owner string) (reply, error) {
	var input struct {
		Name        string `json:"name"`
		Description string `json:"description"`
		Private     bool   `json:"private"`
		Visibility  string `json:"visibility"`
		AutoInit    bool   `json:"auto_init"`
	}
	if request.input(&input) != nil {
		return badJSON(), nil
	}
	failed := func(problem detail) reply {
		return failure(http.StatusUnprocessableEntity, "Repository creation failed.", "", problem)
	}
	if input.Name == "" {
		return failed(detail{Resource: "Repository", Code: "missing_field", Field: "name"}), nil
	}
	name := strings.TrimSuffix(unnamable.ReplaceAllString(input.Name, "-"), ".git")
	if !validName(owner, name) {
		return failed(detail{Resource: "Repository", Code: "custom", Field: "name", Message: "name is invalid"}), nil
	}
	made := &repository{Owner: owner, Name: name, Description: input.Description, CreatedAt: now(),
		Private: input.Private || input.Visibility == "private" || input.Visibility == "internal"}
	// A client that dies now must not leave half a repository.
	ctx := context.WithoutCancel(request.Context())
	err := s.store.update(func(next *state) error {
		if next.repository(owner, name) != nil {
			return errTaken
		}
		next.forgetFormer(made.fullName())
		made.ID = next.takeID()
		next.Repositories = append(next.Repositories, made)
		if err := s.initRepository(ctx, made); err != nil || !input.AutoInit {
			return err
		}
		return s.firstCommit(ctx, made)
	})
	if errors.Is(err, errTaken) {
		return failed(detail{Resource: "Repository", Code: "custom", Field: "name",
			Message: "name already exists on this account"}), nil
	}
	if err != nil {
		return reply{}, err
	}
	request.repository = made
	request.entry.Repository = made.fullName()
	view, err := s.repositoryView(request, made)
	return created(view, view.URL), err
}

// firstCommit is what auto_init asks for: a README on the default branch.
func (s *server) firstCommit(ctx context.Context, r *repository) error {
	blob, err := s.git(ctx, r, "# "+r.Name+"\n", "hash-object", "-w", "--stdin")
	if err != nil {
		return err
	}
	tree, err := s.git(ctx, r, "100644 blob "+blob+"\tREADME.md\n", "mktree")
	if err != nil {
		return err
	}
	login := s.options.Login
	commit, err := s.git(ctx, r, "", "-c", "user.name="+login, "-c", "user.email="+login+"@sandbox.invalid",
		"commit-tree", "-m", "Initial commit", tree)
	if err != nil {
		return err
	}
	_, err = s.git(ctx, r, "", "update-ref", "refs/heads/main", commit)
	return err
}

// updateRepository renames a repository, changes its visibility or its default branch.
func (s *server) updateRepository(request *call) (reply, error) {
	var input struct {
		Name          *string `json:"name"`
		Description   *string `json:"description"`
		Private       *bool   `json:"private"`
		DefaultBranch *string `json:"default_branch"`
	}
	if request.input(&input) != nil {
		return badJSON(), nil
	}
	if input.Name != nil && !validName(request.repository.Owner, *input.Name) {
		return invalid(detail{Resource: "Repository", Code: "custom", Field: "name", Message: "name is invalid"}), nil
	}
	if input.DefaultBranch != nil {
		exists, err := s.hasBranch(request.Context(), request.repository, *input.DefaultBranch)
		if err != nil {
			return reply{}, err
		}
		if !exists {
			return invalid(detail{Resource: "Repository", Code: "invalid", Field: "default_branch"}), nil
		}
		if err := s.setDefaultBranch(request.Context(), request.repository, *input.DefaultBranch); err != nil {
			return reply{}, err
		}
	}
	err := s.store.update(func(next *state) error {
		changed := next.repositoryByID(request.repository.ID)
		if changed == nil {
			return errAbsent
		}
		request.repository = changed
		if input.Description != nil {
			changed.Description = *input.Description
		}
		if input.Private != nil {
			changed.Private = *input.Private
		}
		if input.Name == nil || *input.Name == changed.Name {
			return nil
		}
		return next.rename(changed, *input.Name)
	})
	if errors.Is(err, errTaken) {
		return invalid(detail{Resource: "Repository", Code: "custom", Field: "name",
			Message: "name already exists on this account"}), nil
	}
	if err != nil {
		return settle(err, reply{})
	}
	view, err := s.repositoryView(request, request.repository)
	return found(view), err
}

// rename gives a repository another name; its former names keep leading to it.
func (s *state) rename(r *repository, name string) error {
	if other := s.repository(r.Owner, name); other != nil && other != r {
		return errTaken
	}
	former := r.fullName()
	r.Name = name
	s.forgetFormer(r.fullName())
	r.FormerNames = append(r.FormerNames, former)
	return nil
}

// forgetFormer lets go of a former name, because a repository takes it now.
func (s *state) forgetFormer(fullName string) {
	for _, each := range s.Repositories {
		each.FormerNames = slices.DeleteFunc(each.FormerNames, func(former string) bool {
			return strings.EqualFold(former, fullName)
		})
	}
}

func (s *server) deleteRepository(request *call) (reply, error) {
	doomed := request.repository
	err := s.store.update(func(next *state) error {
		before := len(next.Repositories)
		next.Repositories = slices.DeleteFunc(next.Repositories, func(r *repository) bool { return r.ID == doomed.ID })
		if len(next.Repositories) == before {
			return errAbsent
		}
		return nil
	})
	if err != nil {
		return settle(err, reply{})
	}
	if err := os.RemoveAll(s.repositoryFolder(doomed)); err != nil {
		return reply{}, fmt.Errorf("delete %s: %w", doomed.fullName(), err)
	}
	return gone(), nil
}
