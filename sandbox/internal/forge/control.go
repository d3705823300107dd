package forge

import (
	"errors"
	"io/fs"
	"net/http"
)

// controlPrefix is where the sandbox's own controls are, apart from GitHub's API.
const controlPrefix = "/_sandbox/"

func (s *server) getSwitches(*call) (reply, error) { return found(s.switches.current()), nil }

// changeSwitches merges the JSON object into the switches and answers with all of them.
func (s *server) changeSwitches(request *call) (reply, error) {
	changed, err := s.switches.merge(request.body)
	var disk *fs.PathError
	if errors.As(err, &disk) {
		return reply{}, err
	}
	if err != nil {
		return failure(http.StatusBadRequest, "The switches are not as documented: "+err.Error(), ""), nil
	}
	return found(changed), nil
}
