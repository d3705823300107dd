package forge

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// Sizes of a page of a list, as GitHub has them.
const (
	defaultPageSize = 30
	maximumPageSize = 100
)

// listed answers with the page of a list that the request asks for, and with the Link header that leads to the others.
func listed[T any](request *call, items []T) reply {
	query := request.URL.Query()
	size := pageNumber(query.Get("per_page"), defaultPageSize)
	if size > maximumPageSize {
		size = maximumPageSize
	}
	number := pageNumber(query.Get("page"), 1)
	last := max(1, (len(items)+size-1)/size)
	content := []T{}
	if number <= last {
		content = append(content, items[(number-1)*size:min(number*size, len(items))]...)
	}
	result := found(content)
	var links []string
	link := func(page int, relation string) {
		links = append(links, fmt.Sprintf(`<%s>; rel="%s"`, pageAddress(request, query, page), relation))
	}
	if number > 1 {
		link(min(number-1, last), "prev")
	}
	if number < last {
		link(number+1, "next")
		link(last, "last")
	}
	if number > 1 {
		link(1, "first")
	}
	if len(links) > 0 {
		result.header = http.Header{}
		result.header.Set("Link", strings.Join(links, ", "))
	}
	return result
}

// pageNumber reads a positive number; GitHub takes anything else as missing.
func pageNumber(text string, standard int) int {
	number, err := strconv.ParseInt(text, 10, 32)
	if err != nil || number < 1 {
		return standard
	}
	return int(number)
}

// pageAddress is another page of the same list. GitHub names the repository by its id here, so that a client which
// builds the addresses by itself is found out.
func pageAddress(request *call, query url.Values, page int) string {
	query.Set("page", strconv.Itoa(page))
	path := request.URL.Path
	if request.repository != nil {
		prefix := "/repos/" + request.PathValue("owner") + "/" + request.PathValue("repo")
		path = "/repositories/" + decimal(request.repository.ID) + strings.TrimPrefix(path, prefix)
	}
	return request.base + path + "?" + query.Encode()
}
