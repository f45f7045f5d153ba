package judge

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/forge-build/forge/signing/strictjson"
)

// object is a JSON object whose keys are compared exactly. Keys that are not known are left
// alone, as in-toto asks of readers; known ones must have the right type.
type object map[string]json.RawMessage

// open reads a predicate whole: strict JSON, and an object.
func open(raw []byte) (object, error) {
	if err := strictjson.Check(raw); err != nil {
		return nil, err
	}
	return sub(raw)
}

func sub(raw json.RawMessage) (object, error) {
	var o object
	if err := json.Unmarshal(raw, &o); err != nil || o == nil {
		return nil, errors.New("it is no object")
	}
	return o, nil
}

// at is the object below a chain of keys.
func (o object) at(keys ...string) (object, error) {
	for i, k := range keys {
		raw, ok := o[k]
		if !ok {
			return nil, fmt.Errorf("%s is missing", path(keys[:i+1]))
		}
		next, err := sub(raw)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path(keys[:i+1]), err)
		}
		o = next
	}
	return o, nil
}

func path(keys []string) string {
	s := ""
	for i, k := range keys {
		if i > 0 {
			s += "."
		}
		s += k
	}
	return s
}

// text is a string that must be there and not be empty.
func (o object) text(key string) (string, error) {
	var s *string
	raw, ok := o[key]
	if !ok {
		return "", fmt.Errorf("%s is missing", key)
	}
	if err := json.Unmarshal(raw, &s); err != nil || s == nil || *s == "" {
		return "", fmt.Errorf("%s is no text", key)
	}
	return *s, nil
}

// optional is a string that may be absent; anything but a string is an error.
func (o object) optional(key string) (string, error) {
	if raw, ok := o[key]; !ok || string(raw) == "null" || string(raw) == `""` {
		return "", nil
	}
	return o.text(key)
}

// moment is a time of RFC 3339 that must be there.
func (o object) moment(key string) (time.Time, error) {
	s, err := o.text(key)
	if err != nil {
		return time.Time{}, err
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("%s is no time: %s", key, strictjson.Quote(s))
	}
	return t, nil
}

// flag is a yes or no that may be absent, which is no; anything else is an error.
func (o object) flag(key string) (bool, error) {
	switch raw, ok := o[key]; {
	case !ok, string(raw) == "false", string(raw) == "null":
		return false, nil
	case string(raw) == "true":
		return true, nil
	}
	return false, fmt.Errorf("%s is neither true nor false", key)
}

// must is a list that has to be there, though it may be empty: nothing said is not nothing found.
func (o object) must(key string) ([]object, error) {
	raw, ok := o[key]
	if !ok || string(raw) == "null" {
		return nil, fmt.Errorf("%s is missing", key)
	}
	return o.list(key)
}

// list is an array of objects; absent, it is empty.
func (o object) list(key string) ([]object, error) {
	raw, ok := o[key]
	if !ok || string(raw) == "null" {
		return nil, nil
	}
	var items []object
	if err := json.Unmarshal(raw, &items); err != nil {
		return nil, fmt.Errorf("%s is no list of objects", key)
	}
	for i, item := range items {
		if item == nil {
			return nil, fmt.Errorf("%s[%d] is null", key, i)
		}
	}
	return items, nil
}

// texts is an array of strings; absent, it is empty.
func (o object) texts(key string) ([]string, error) {
	raw, ok := o[key]
	if !ok || string(raw) == "null" {
		return nil, nil
	}
	var items []string
	if err := json.Unmarshal(raw, &items); err != nil {
		return nil, fmt.Errorf("%s is no list of texts", key)
	}
	return items, nil
}
