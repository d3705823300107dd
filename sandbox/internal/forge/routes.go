package forge

import (
	"net/http"
	"strings"
)

// endpoint carries out a request whose rights are checked. An error is a failure of the forge itself.
type endpoint func(*call) (reply, error)

// route is one operation of the REST API.
type route struct {
	pattern string
	// needs is the right that the operation asks for; permission is its name in X-Accepted-GitHub-Permissions.
	needs      right
	permission string
	// documentation is the page below https://docs.github.com/rest.
	documentation string
	endpoint      endpoint
}

// newRoutes lists every operation that the forge has.
func (s *server) newRoutes() *http.ServeMux {
	const repository = "/repos/{owner}/{repo}"
	routes := http.NewServeMux()
	for _, operation := range []route{
		{"GET /user", rightRead, "", "users/users#get-the-authenticated-user", s.getUser},
		{"GET /meta", rightNone, "", "meta/meta#get-github-meta-information", s.getMeta},
		{"GET /rate_limit", rightNone, "", "rate-limit/rate-limit#get-rate-limit-status-for-the-authenticated-user", s.getRateLimit},
		{"GET /orgs/{org}", rightRead, "", "orgs/orgs#get-an-organization", s.getOrganization},
		{"POST /admin/organizations", rightAdmin, "", "enterprise-admin/orgs#create-an-organization", s.createOrganization},

		{"GET /app", rightApp, "", "apps/apps#get-the-authenticated-app", s.getApp},
		{"POST /app/installations/{id}/access_tokens", rightApp, "", "apps/apps#create-an-installation-access-token-for-an-app", s.createInstallationToken},
		{"GET " + repository + "/installation", rightApp, "", "apps/apps#get-a-repository-installation-for-the-authenticated-app", s.getRepositoryInstallation},

		{"POST /user/repos", rightAdmin, "administration=write", "repos/repos#create-a-repository-for-the-authenticated-user", s.createUserRepository},
		{"POST /orgs/{org}/repos", rightAdmin, "administration=write", "repos/repos#create-an-organization-repository", s.createOrganizationRepository},
		{"GET " + repository, rightRead, "metadata=read", "repos/repos#get-a-repository", s.getRepository},
		{"PATCH " + repository, rightAdmin, "administration=write", "repos/repos#update-a-repository", s.updateRepository},
		{"DELETE " + repository, rightAdmin, "administration=write", "repos/repos#delete-a-repository", s.deleteRepository},

		{"GET " + repository + "/branches", rightRead, "contents=read", "branches/branches#list-branches", s.listBranches},
		{"GET " + repository + "/branches/{branch...}", rightRead, "contents=read", "branches/branches#get-a-branch", s.getBranch},
		{"GET " + repository + "/commits/{ref...}", rightRead, "contents=read", "commits/commits#get-a-commit", s.getCommit},
		{"GET " + repository + "/git/ref/{ref...}", rightRead, "contents=read", "git/refs#get-a-reference", s.getReference},

		{"GET " + repository + "/keys", rightAdmin, "administration=read", "deploy-keys/deploy-keys#list-deploy-keys", s.listKeys},
		{"POST " + repository + "/keys", rightAdmin, "administration=write", "deploy-keys/deploy-keys#create-a-deploy-key", s.createKey},
		{"GET " + repository + "/keys/{id}", rightAdmin, "administration=read", "deploy-keys/deploy-keys#get-a-deploy-key", s.getKey},
		{"DELETE " + repository + "/keys/{id}", rightAdmin, "administration=write", "deploy-keys/deploy-keys#delete-a-deploy-key", s.deleteKey},

		{"GET " + repository + "/hooks", rightAdmin, "repository_hooks=read", "repos/webhooks#list-repository-webhooks", s.listHooks},
		{"POST " + repository + "/hooks", rightAdmin, "repository_hooks=write", "repos/webhooks#create-a-repository-webhook", s.createHook},
		{"GET " + repository + "/hooks/{id}", rightAdmin, "repository_hooks=read", "repos/webhooks#get-a-repository-webhook", s.getHook},
		{"PATCH " + repository + "/hooks/{id}", rightAdmin, "repository_hooks=write", "repos/webhooks#update-a-repository-webhook", s.updateHook},
		{"DELETE " + repository + "/hooks/{id}", rightAdmin, "repository_hooks=write", "repos/webhooks#delete-a-repository-webhook", s.deleteHook},
		{"POST " + repository + "/hooks/{id}/pings", rightAdmin, "repository_hooks=write", "repos/webhooks#ping-a-repository-webhook", s.pingHook},

		{"GET " + repository + "/pulls", rightRead, "pull_requests=read", "pulls/pulls#list-pull-requests", s.listPulls},
		{"POST " + repository + "/pulls", rightWrite, "pull_requests=write", "pulls/pulls#create-a-pull-request", s.createPull},
		{"GET " + repository + "/pulls/{number}", rightRead, "pull_requests=read", "pulls/pulls#get-a-pull-request", s.getPull},

		{"GET " + controlPrefix + "switches", rightAdmin, "", "", s.getSwitches},
		{"POST " + controlPrefix + "switches", rightAdmin, "", "", s.changeSwitches},
		{"POST " + controlPrefix + "apps", rightAdmin, "", "", s.registerApp},
	} {
		routes.HandleFunc(operation.pattern, func(w http.ResponseWriter, r *http.Request) { s.carryOut(w, r, operation) })
	}
	routes.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		request, _ := r.Context().Value(callKey{}).(*call)
		s.send(w, request, notFound(""))
	})
	return routes
}

// carryOut checks who asks, finds the repository, lets the endpoint answer and adds what all its answers have.
func (s *server) carryOut(w http.ResponseWriter, r *http.Request, operation route) {
	request, _ := r.Context().Value(callKey{}).(*call)
	request.Request = r
	result, refused := s.check(request, operation)
	if !refused {
		var err error
		if result, err = operation.endpoint(request); err != nil {
			result = s.broken(request, err)
		}
	}
	if result.header == nil {
		result.header = http.Header{}
	}
	if operation.permission != "" {
		result.header.Set("X-Accepted-GitHub-Permissions", operation.permission)
	}
	if content, ok := result.content.(problem); ok && operation.documentation != "" && result.status != http.StatusUnauthorized {
		content.Documentation = documentation(operation.documentation)
		result.content = content
	}
	reading := r.Method == http.MethodGet || r.Method == http.MethodHead
	if reading || result.status >= 300 || strings.HasPrefix(r.URL.Path, controlPrefix) {
		s.send(w, request, result)
		return
	}
	switch drop, err := s.switches.takeDrop(); {
	case err != nil:
		s.send(w, request, s.broken(request, err))
	case drop:
		s.drop(w, request, result)
	default:
		s.send(w, request, result)
	}
}

// check finds the reason not to carry a request out. Who has too little right learns no more than GitHub tells: that
// there is no such thing, except for a token that may read but not write.
func (s *server) check(request *call, operation route) (reply, bool) {
	owner, name := request.PathValue("owner"), request.PathValue("repo")
	known := request.token
	switch {
	case known != nil && known.expired(), known == nil && operation.needs != rightApp && request.Header.Get("Authorization") != "":
		return failure(http.StatusUnauthorized, "Bad credentials", ""), true
	case operation.needs == rightNone:
		return reply{}, false
	case operation.needs == rightApp:
		return s.checkApp(request)
	case known == nil:
		return failure(http.StatusUnauthorized, "Requires authentication", ""), true
	case known.sso() && request.URL.Path != "/user":
		result := failure(http.StatusForbidden, "Resource protected by organization SAML enforcement. You must grant your "+
			"Personal Access token access to this organization.", "")
		result.header = http.Header{}
		result.header.Set("X-GitHub-SSO", "required; url="+request.address+"/orgs/"+
			request.PathValue("owner")+request.PathValue("org")+"/sso?authorization_request="+requestID())
		return result, true
	}
	if owner != "" {
		if redirect := s.switches.current().moved(owner + "/" + name); redirect != nil {
			return s.redirect(request, redirect.Location, redirect.Status), true
		}
		request.repository = request.known.repository(owner, name)
		if request.repository != nil && !known.sees(request.repository) {
			return notFound(""), true
		}
		if request.repository == nil {
			if renamed := request.known.renamed(owner, name); renamed != nil {
				return s.redirect(request, request.base+"/repositories/"+decimal(renamed.ID), 0), true
			}
			return notFound(""), true
		}
		request.entry.Repository = request.repository.fullName()
	}
	switch {
	case known.right >= operation.needs:
		return reply{}, false
	case known.installation != "":
		return failure(http.StatusForbidden, "Resource not accessible by integration", ""), true
	case operation.needs == rightAdmin && owner != "":
		return notFound(""), true
	default:
		return failure(http.StatusForbidden, "Resource not accessible by personal access token", ""), true
	}
}

// checkApp finds the App whose request this is, and the repository that it is about.
func (s *server) checkApp(request *call) (reply, bool) {
	known, complaint := request.assertedApp()
	if known == nil {
		return failure(http.StatusUnauthorized, complaint, ""), true
	}
	request.app, request.entry.Actor = known, known.Slug
	if owner := request.PathValue("owner"); owner != "" {
		request.repository = request.known.repository(owner, request.PathValue("repo"))
		if request.repository == nil {
			return notFound(""), true
		}
		request.entry.Repository = request.repository.fullName()
	}
	return reply{}, false
}

// redirect sends a request to where its repository went: target stands for all up to the repository's name.
func (s *server) redirect(request *call, target string, status int) reply {
	if status == 0 {
		status = http.StatusMovedPermanently
	}
	below := strings.TrimPrefix(request.URL.Path, "/repos/"+request.PathValue("owner")+"/"+request.PathValue("repo"))
	if request.URL.RawQuery != "" {
		below += "?" + request.URL.RawQuery
	}
	result := reply{status: status, header: http.Header{}, content: map[string]string{
		"message":           http.StatusText(status),
		"url":               target + below,
		"documentation_url": documentation("guides/best-practices-for-using-the-rest-api#follow-redirects"),
	}}
	result.header.Set("Location", target+below)
	return result
}
