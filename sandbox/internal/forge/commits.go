package forge

import (
	"context"
	"net/http"
	"strings"
)

// pointer names a commit and where to read it.
type pointer struct {
	SHA     string `json:"sha"`
	URL     string `json:"url"`
	HTMLURL string `json:"html_url,omitempty"`
}

// branchView is a branch in a list.
type branchView struct {
	Name      string  `json:"name"`
	Commit    pointer `json:"commit"`
	Protected bool    `json:"protected"`
}

// branchDetails is one branch asked for by name.
type branchDetails struct {
	Name          string            `json:"name"`
	Commit        commitView        `json:"commit"`
	Links         map[string]string `json:"_links"`
	Protected     bool              `json:"protected"`
	Protection    protection        `json:"protection"`
	ProtectionURL string            `json:"protection_url"`
}

type protection struct {
	Enabled              bool         `json:"enabled"`
	RequiredStatusChecks statusChecks `json:"required_status_checks"`
}

type statusChecks struct {
	EnforcementLevel string   `json:"enforcement_level"`
	Contexts         []string `json:"contexts"`
	Checks           []string `json:"checks"`
}

// commitView is a commit with its message and people.
type commitView struct {
	SHA         string       `json:"sha"`
	NodeID      string       `json:"node_id"`
	Commit      commitText   `json:"commit"`
	URL         string       `json:"url"`
	HTMLURL     string       `json:"html_url"`
	CommentsURL string       `json:"comments_url"`
	Author      *accountView `json:"author"`
	Committer   *accountView `json:"committer"`
	Parents     []pointer    `json:"parents"`
}

type commitText struct {
	Author       signature    `json:"author"`
	Committer    signature    `json:"committer"`
	Message      string       `json:"message"`
	Tree         pointer      `json:"tree"`
	URL          string       `json:"url"`
	CommentCount int          `json:"comment_count"`
	Verification verification `json:"verification"`
}

type signature struct {
	Name  string `json:"name"`
	Email string `json:"email"`
	Date  string `json:"date"`
}

type verification struct {
	Verified  bool    `json:"verified"`
	Reason    string  `json:"reason"`
	Signature *string `json:"signature"`
	Payload   *string `json:"payload"`
}

// hasBranch tells whether a branch exists; a name that Git would not allow does not.
func (s *server) hasBranch(ctx context.Context, r *repository, name string) (bool, error) {
	commit, err := s.branchCommit(ctx, r, name)
	return commit != "", err
}

// branchCommit is the commit of a branch, or empty.
func (s *server) branchCommit(ctx context.Context, r *repository, name string) (string, error) {
	branches, err := s.branches(ctx, r)
	if err != nil {
		return "", err
	}
	for _, candidate := range branches {
		if candidate.name == name {
			return candidate.commit, nil
		}
	}
	return "", nil
}

func (s *server) listBranches(request *call) (reply, error) {
	branches, err := s.branches(request.Context(), request.repository)
	if err != nil {
		return reply{}, err
	}
	views := []branchView{}
	for _, each := range branches {
		views = append(views, branchView{Name: each.name, Commit: pointer{SHA: each.commit, URL: request.commitURL(each.commit)}})
	}
	return listed(request, views), nil
}

func (s *server) getBranch(request *call) (reply, error) {
	name := request.PathValue("branch")
	sha, err := s.branchCommit(request.Context(), request.repository, name)
	if err != nil {
		return reply{}, err
	}
	if sha == "" {
		return failure(http.StatusNotFound, "Branch not found", ""), nil
	}
	commit, err := s.commitView(request, sha)
	if err != nil {
		return reply{}, err
	}
	url := request.base + "/repos/" + request.repository.fullName() + "/branches/" + name
	return found(branchDetails{
		Name: name, Commit: commit, ProtectionURL: url + "/protection",
		Links:      map[string]string{"self": url, "html": request.address + "/" + request.repository.fullName() + "/tree/" + name},
		Protection: protection{RequiredStatusChecks: statusChecks{EnforcementLevel: "off", Contexts: []string{}, Checks: []string{}}},
	}), nil
}

func (c *call) commitURL(sha string) string {
	return c.base + "/repos/" + c.repository.fullName() + "/commits/" + sha
}

// commitView reads a commit, given by its full hash.
func (s *server) commitView(request *call, sha string) (commitView, error) {
	const format = "--format=%H%x00%T%x00%P%x00%an%x00%ae%x00%ad%x00%cn%x00%ce%x00%cd%x00%B"
	output, err := s.git(request.Context(), request.repository, "", "log", "-1", "--no-show-signature",
		"--date=format-local:%Y-%m-%dT%H:%M:%SZ", format, sha, "--")
	if err != nil {
		return commitView{}, err
	}
	parts := strings.SplitN(output, "\x00", 10)
	for len(parts) < 10 {
		parts = append(parts, "")
	}
	html := request.address + "/" + request.repository.fullName()
	git := request.base + "/repos/" + request.repository.fullName() + "/git"
	view := commitView{
		SHA: parts[0], NodeID: "C_" + parts[0], URL: request.commitURL(parts[0]), HTMLURL: html + "/commit/" + parts[0],
		CommentsURL: request.commitURL(parts[0]) + "/comments", Parents: []pointer{},
		Commit: commitText{
			Author:       signature{parts[3], parts[4], parts[5]},
			Committer:    signature{parts[6], parts[7], parts[8]},
			Message:      strings.TrimRight(parts[9], "\n"),
			Tree:         pointer{SHA: parts[1], URL: git + "/trees/" + parts[1]},
			URL:          git + "/commits/" + parts[0],
			Verification: verification{Reason: "unsigned"},
		},
	}
	for parent := range strings.FieldsSeq(parts[2]) {
		view.Parents = append(view.Parents,
			pointer{SHA: parent, URL: request.commitURL(parent), HTMLURL: html + "/commit/" + parent})
	}
	return view, nil
}

// getCommit finds a commit by hash, branch or tag; "application/vnd.github.sha" asks for the bare hash.
func (s *server) getCommit(request *call) (reply, error) {
	branches, err := s.branches(request.Context(), request.repository)
	if err != nil {
		return reply{}, err
	}
	if len(branches) == 0 {
		return failure(http.StatusConflict, "Git Repository is empty.", ""), nil
	}
	reference := request.PathValue("ref")
	sha, err := s.resolve(request.Context(), request.repository, reference)
	if err != nil {
		return failure(http.StatusUnprocessableEntity, "No commit found for SHA: "+reference, ""), nil
	}
	if strings.HasSuffix(request.Header.Get("Accept"), "sha") {
		result := found(page(sha))
		result.header = http.Header{"Content-Type": {"application/vnd.github.sha; charset=utf-8"}}
		return result, nil
	}
	view, err := s.commitView(request, sha)
	return found(view), err
}

// resolve turns a name into the commit that it means; an error says that it means none.
func (s *server) resolve(ctx context.Context, r *repository, name string) (string, error) {
	return s.git(ctx, r, "", "rev-parse", "--verify", "--quiet", "--end-of-options", name+"^{commit}")
}

// referenceView is a Git reference.
type referenceView struct {
	Ref    string `json:"ref"`
	NodeID string `json:"node_id"`
	URL    string `json:"url"`
	Object object `json:"object"`
}

type object struct {
	Type string `json:"type"`
	SHA  string `json:"sha"`
	URL  string `json:"url"`
}

// getReference finds heads/NAME or tags/NAME.
func (s *server) getReference(request *call) (reply, error) {
	name := request.PathValue("ref")
	output, err := s.git(request.Context(), request.repository, "", "for-each-ref",
		"--format=%(refname) %(objecttype) %(objectname)", "refs/heads/", "refs/tags/")
	if err != nil {
		return reply{}, err
	}
	if output == "" {
		return failure(http.StatusConflict, "Git Repository is empty.", ""), nil
	}
	git := request.base + "/repos/" + request.repository.fullName() + "/git"
	for line := range strings.Lines(output) {
		fields := strings.Fields(line)
		if len(fields) == 3 && fields[0] == "refs/"+name {
			return found(referenceView{
				Ref: fields[0], NodeID: "REF_" + fields[2], URL: git + "/" + fields[0],
				Object: object{Type: fields[1], SHA: fields[2], URL: git + "/" + fields[1] + "s/" + fields[2]},
			}), nil
		}
	}
	return notFound(""), nil
}
