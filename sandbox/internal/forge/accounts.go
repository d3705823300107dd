package forge

import (
	"errors"
	"strings"

	"golang.org/x/crypto/ssh"
)

// accountView is GitHub's "simple user", with all the fields that typed clients require.
type accountView struct {
	Login             string `json:"login"`
	ID                uint64 `json:"id"`
	NodeID            string `json:"node_id"`
	AvatarURL         string `json:"avatar_url"`
	GravatarID        string `json:"gravatar_id"`
	URL               string `json:"url"`
	HTMLURL           string `json:"html_url"`
	FollowersURL      string `json:"followers_url"`
	FollowingURL      string `json:"following_url"`
	GistsURL          string `json:"gists_url"`
	StarredURL        string `json:"starred_url"`
	SubscriptionsURL  string `json:"subscriptions_url"`
	OrganizationsURL  string `json:"organizations_url"`
	ReposURL          string `json:"repos_url"`
	EventsURL         string `json:"events_url"`
	ReceivedEventsURL string `json:"received_events_url"`
	Type              string `json:"type"`
	SiteAdmin         bool   `json:"site_admin"`
}

// account shows an account by its name.
func (c *call) account(login string) accountView {
	known, organization, _ := c.known.account(login)
	kind, prefix := "User", "U_"
	if organization {
		kind, prefix = "Organization", "O_"
	}
	url := c.base + "/users/" + known.Login
	return accountView{
		Login: known.Login, ID: known.ID, NodeID: prefix + decimal(known.ID), Type: kind,
		AvatarURL:         c.address + "/avatars/u/" + decimal(known.ID),
		URL:               url,
		HTMLURL:           c.address + "/" + known.Login,
		FollowersURL:      url + "/followers",
		FollowingURL:      url + "/following{/other_user}",
		GistsURL:          url + "/gists{/gist_id}",
		StarredURL:        url + "/starred{/owner}{/repo}",
		SubscriptionsURL:  url + "/subscriptions",
		OrganizationsURL:  url + "/orgs",
		ReposURL:          url + "/repos",
		EventsURL:         url + "/events{/privacy}",
		ReceivedEventsURL: url + "/received_events",
	}
}

func (s *server) getUser(request *call) (reply, error) {
	return found(request.account(s.options.Login)), nil
}

// metaView is what the forge tells of itself to anyone; the host keys are in the form of known_hosts without a host.
type metaView struct {
	VerifiablePasswordAuthentication bool              `json:"verifiable_password_authentication"`
	InstalledVersion                 string            `json:"installed_version"`
	SSHKeyFingerprints               map[string]string `json:"ssh_key_fingerprints"`
	SSHKeys                          []string          `json:"ssh_keys"`
}

func (s *server) getMeta(*call) (reply, error) {
	view := metaView{InstalledVersion: "3.17.0", SSHKeyFingerprints: map[string]string{}}
	for index, key := range s.hostKeys {
		public := key.PublicKey()
		name := "SHA256_" + strings.ToUpper(hostKeyKinds[index].name)
		view.SSHKeyFingerprints[name] = strings.TrimPrefix(ssh.FingerprintSHA256(public), "SHA256:")
		view.SSHKeys = append(view.SSHKeys, keyLine(public))
	}
	return found(view), nil
}

func (s *server) getRateLimit(request *call) (reply, error) {
	core := s.limits.look(request.token)
	// The forge has no search, but typed clients require its limit.
	search := rateLimit{Limit: 30, Remaining: 30, Reset: core.Reset, Resource: "search"}
	return found(map[string]any{"resources": map[string]rateLimit{"core": core, "search": search}, "rate": core}), nil
}

// organizationView is an organization as its members see it.
type organizationView struct {
	Login                        string `json:"login"`
	ID                           uint64 `json:"id"`
	NodeID                       string `json:"node_id"`
	URL                          string `json:"url"`
	ReposURL                     string `json:"repos_url"`
	EventsURL                    string `json:"events_url"`
	HooksURL                     string `json:"hooks_url"`
	IssuesURL                    string `json:"issues_url"`
	MembersURL                   string `json:"members_url"`
	PublicMembersURL             string `json:"public_members_url"`
	AvatarURL                    string `json:"avatar_url"`
	HTMLURL                      string `json:"html_url"`
	Type                         string `json:"type"`
	DeployKeysEnabled            bool   `json:"deploy_keys_enabled_for_repositories"`
	MembersCanCreateRepositories bool   `json:"members_can_create_repositories"`
	DefaultRepositoryPermission  string `json:"default_repository_permission"`
}

func (s *server) organization(request *call, login string) organizationView {
	simple := request.account(login)
	url := request.base + "/orgs/" + simple.Login
	return organizationView{
		Login: simple.Login, ID: simple.ID, NodeID: simple.NodeID, AvatarURL: simple.AvatarURL, HTMLURL: simple.HTMLURL,
		URL: url, ReposURL: url + "/repos", EventsURL: url + "/events", HooksURL: url + "/hooks", IssuesURL: url + "/issues",
		MembersURL: url + "/members{/member}", PublicMembersURL: url + "/public_members{/member}", Type: simple.Type,
		DeployKeysEnabled:            !s.switches.current().DeployKeysDisabled,
		MembersCanCreateRepositories: true,
		DefaultRepositoryPermission:  "read",
	}
}

func (s *server) getOrganization(request *call) (reply, error) {
	login := request.PathValue("org")
	if _, organization, exists := request.known.account(login); !exists || !organization {
		return notFound(""), nil
	}
	return found(s.organization(request, login)), nil
}

// createOrganization is GitHub Enterprise Server's way to make an organization.
func (s *server) createOrganization(request *call) (reply, error) {
	var input struct {
		Login string `json:"login"`
	}
	if request.input(&input) != nil {
		return badJSON(), nil
	}
	if !ownerPattern.MatchString(input.Login) {
		return invalid(detail{Resource: "Organization", Code: "invalid", Field: "login"}), nil
	}
	err := s.store.update(func(next *state) error {
		if _, _, exists := next.account(input.Login); exists {
			return errTaken
		}
		next.Organizations = append(next.Organizations, account{ID: next.takeID(), Login: input.Login})
		request.known = next
		return nil
	})
	if errors.Is(err, errTaken) {
		return invalid(detail{Resource: "Organization", Code: "custom", Field: "login", Message: "login is not available"}), nil
	}
	if err != nil {
		return reply{}, err
	}
	view := s.organization(request, input.Login)
	return created(view, view.URL), nil
}
