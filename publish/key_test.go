package publish

import "testing"

func TestMatches(t *testing.T) {
	const key = "event.web.web-01"
	for pattern, want := range map[string]bool{
		"#": true, "*.*.*": true, key: true, "event.#": true, "#.web-01": true, "*.*.web-01": true, "event.web.*": true, "event.#.web-01": true,
		"event.web.web-01.#": true, "#.event.web.web-01": true, "#.#": true, "#.web.#": true, "*.#.*": true,
		"": false, "*": false, "event": false, "event.*": false, "*.*.*.*": false, "status.#": false, "#.web": false, "event.db.*": false,
		"event.web.web-01.*": false, "*.event.#": false, "#.*.*.*.*": false, "event.web.web-02": false,
	} {
		if got := Matches(pattern, key); got != want {
			t.Errorf("%q matches %s: %v", pattern, key, got)
		}
	}
}
