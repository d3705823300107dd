package forge

import (
	"errors"
	"net/http"
	"strconv"
	"time"
)

// page is an answer that is not JSON, as proxies and GitHub's front end give.
type page string

// problem is GitHub's error body.
type problem struct {
	Message       string   `json:"message"`
	Errors        []detail `json:"errors,omitempty"`
	Documentation string   `json:"documentation_url"`
	Status        string   `json:"status"`
}

// detail says which field of which object is wrong.
type detail struct {
	Resource string `json:"resource"`
	Code     string `json:"code"`
	Field    string `json:"field,omitempty"`
	Message  string `json:"message,omitempty"`
}

// documentation is the address of a page of GitHub's REST documentation.
func documentation(page string) string {
	if page == "" {
		return "https://docs.github.com/rest"
	}
	return "https://docs.github.com/rest/" + page
}

// failure is an error with GitHub's body.
func failure(status int, message, page string, details ...detail) reply {
	return reply{status: status, content: problem{
		Message:       message,
		Errors:        details,
		Documentation: documentation(page),
		Status:        strconv.Itoa(status),
	}}
}

func notFound(page string) reply { return failure(http.StatusNotFound, "Not Found", page) }

func invalid(details ...detail) reply {
	return failure(http.StatusUnprocessableEntity, "Validation Failed", "", details...)
}

func badJSON() reply { return failure(http.StatusBadRequest, "Problems parsing JSON", "") }

func found(content any) reply { return reply{status: http.StatusOK, content: content} }

func created(content any, address string) reply {
	result := reply{status: http.StatusCreated, content: content, header: http.Header{}}
	result.header.Set("Location", address)
	return result
}

func gone() reply { return reply{status: http.StatusNoContent} }

// reply is the answer that stands in for the real one.
func (f *FailNext) reply() reply {
	message := f.Message
	if message == "" {
		message = http.StatusText(f.Status)
	}
	result := failure(f.Status, message, "")
	if f.Body != "" {
		result.content = page(f.Body)
	}
	result.header = http.Header{}
	if f.RetryAfter > 0 {
		result.header.Set("Retry-After", strconv.Itoa(f.RetryAfter))
	}
	for name, value := range f.Headers {
		result.header.Set(name, value)
	}
	return result
}

// errTaken stops an update that would give a name or key to a second object.
var errTaken = errors.New("already taken")

// errAbsent stops an update of an object that was deleted in the meantime.
var errAbsent = errors.New("no longer there")

// settle turns the outcome of an update into an answer: absent objects are 404.
func settle(err error, result reply) (reply, error) {
	if errors.Is(err, errAbsent) {
		return notFound(""), nil
	}
	if err != nil {
		return reply{}, err
	}
	return result, nil
}

// decimal writes an id as addresses have it.
func decimal(id uint64) string { return strconv.FormatUint(id, 10) }

// timestamp writes a time as GitHub does: UTC, whole seconds.
func timestamp(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05Z") }

// optionalTimestamp writes a time that may not have come yet.
func optionalTimestamp(at *time.Time) *string {
	if at == nil {
		return nil
	}
	text := timestamp(*at)
	return &text
}

// now is the time that new objects get.
func now() time.Time { return time.Now().UTC() }
