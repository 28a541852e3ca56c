package web

import (
	"slices"

	"service_manager/hosts"
	"service_manager/publish"
)

// pending is the outcome of a host that has not been polled yet, as in the collector's own messages.
const pending = "pending"

// other stands for a word that no one has heard of yet, so that labels have a known set of values.
const other = "other"

// outcomes are those that a poll can have.
func outcomes() []string {
	all := []hosts.Outcome{
		hosts.OK, hosts.Unreachable, hosts.Timeout, hosts.Throttled, hosts.HostKeyUnknown, hosts.HostKeyChanged, hosts.AuthFailed,
		hosts.Denied, hosts.NoSystemd, hosts.CommandFailed, hosts.ProtocolError,
	}
	words := make([]string, len(all))
	for i, o := range all {
		words[i] = string(o)
	}
	return words
}

func outcomeLabel(outcome string) string {
	if slices.Contains(outcomes(), outcome) {
		return outcome
	}
	return other
}

// unitStates are the states of units that are loaded, and after them what units are that are not.
func unitStates() []string {
	return []string{
		"active", "reloading", "inactive", "failed", "activating", "deactivating", "maintenance", "refreshing",
		"not-found", "bad-setting", "error", "masked", "merged", "stub",
	}
}

// unitState is the state that matters most of a unit.
func unitState(u *publish.Unit) string {
	state := u.ActiveState
	if u.LoadState != "loaded" {
		state = u.LoadState
	}
	switch state {
	case "active", "inactive", "failed": // Nearly all.
		return state
	}
	if slices.Contains(unitStates(), state) {
		return state
	}
	return other
}
