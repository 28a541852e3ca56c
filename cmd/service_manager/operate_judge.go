package main

import (
	"fmt"
	"slices"
	"strings"

	"service_manager/hosts/systemctl"
)

// A stage is how far a unit has come to where a verb was to bring it.
type stage int

const (
	there    stage = iota
	underway       // it may come there by itself
	astray         // it will not
)

// judge says how far a unit has come that was before the verb, and if it is astray why.
func judge(verb systemctl.Verb, before, now systemctl.Unit) (stage, string) {
	if now.LoadState != "loaded" {
		return astray, "it is " + now.LoadState
	}
	switch verb {
	case systemctl.Enable:
		return among(now.UnitFileState, "enabled", "enabled-runtime", "alias")
	case systemctl.Disable:
		return among(now.UnitFileState, "disabled", "indirect")
	case systemctl.ResetFailed:
		if now.ActiveState == "failed" {
			return astray, "it is failed" + reason(now)
		}
		return there, ""
	case systemctl.Stop:
		return judgeStop(before, now)
	case systemctl.Start, systemctl.Restart, systemctl.Reload:
	}
	return judgeStart(verb, before, now)
}

// among wants the state of a unit's file.
func among(state string, wanted ...string) (stage, string) {
	if slices.Contains(wanted, state) {
		return there, ""
	}
	if state == "static" {
		return astray, "it is static: its file has no [Install] section"
	}
	return astray, "it is " + state
}

func judgeStop(before, now systemctl.Unit) (stage, string) {
	switch now.ActiveState {
	case "inactive":
		return there, ""
	case "deactivating":
		return underway, ""
	case "failed":
		if before.ActiveState == "failed" && sameInvocation(before, now) {
			return there, "" // It did not run, and does not.
		}
		return astray, "it stopped, but failed at that" + reason(now)
	}
	return astray, fmt.Sprintf("it is %s again: something starts it, such as its socket, timer or Restart=", now.ActiveState)
}

func judgeStart(verb systemctl.Verb, before, now systemctl.Unit) (stage, string) {
	switch now.ActiveState {
	case "active", "refreshing":
		switch {
		case verb == systemctl.Restart && before.InvocationID != "" && sameInvocation(before, now):
			return astray, "it was not started anew: the invocation is the same"
		case verb == systemctl.Reload && !sameInvocation(before, now):
			return astray, "it was started anew instead"
		}
		return there, ""
	case "reloading", "deactivating", "maintenance":
		return underway, ""
	case "activating":
		if strings.Contains(now.SubState, "auto-restart") {
			return astray, "it died at once, and systemd starts it again" + reason(now)
		}
		return underway, ""
	case "failed":
		return astray, "it failed" + reason(now)
	}
	if verb != systemctl.Reload && isDown(before) && now.Result == "success" {
		return there, "" // It did its work and ended, as a oneshot does.
	}
	return astray, fmt.Sprintf("it is %s/%s%s", now.ActiveState, now.SubState, reason(now))
}

// strayed says why a unit that was there did not stay there: it is now, as it was then. It is empty for one that did.
func strayed(verb systemctl.Verb, before, then, now systemctl.Unit) string {
	stage, why := judge(verb, before, now)
	switch {
	case stage != there && why == "":
		why = fmt.Sprintf("it is %s/%s", now.ActiveState, now.SubState)
	case stage == there && isStarting(verb) && !sameInvocation(then, now):
		why = "it died, and systemd started it again"
	}
	if why == "" {
		return ""
	}
	return "it did not stay well: " + why
}

func isStarting(verb systemctl.Verb) bool {
	return verb == systemctl.Start || verb == systemctl.Restart || verb == systemctl.Reload
}

func isDown(u systemctl.Unit) bool { return u.ActiveState == "inactive" || u.ActiveState == "failed" }

// sameInvocation reports whether a unit was not started between two looks, as far as systemd tells: before version 232 it does not. One
// that is not loaded into memory has no invocation.
func sameInvocation(a, b systemctl.Unit) bool {
	return a.InvocationID == b.InvocationID || b.InvocationID == ""
}

// reason is why a unit is in its state, as far as systemd knows.
func reason(u systemctl.Unit) string {
	var words []string
	if u.Result != "" && u.Result != "success" {
		words = append(words, u.Result)
	}
	if u.ExitCode != "" && u.ExitStatus != nil {
		words = append(words, fmt.Sprintf("%s %d", u.ExitCode, *u.ExitStatus))
	}
	if len(words) == 0 {
		return ""
	}
	return " (" + strings.Join(words, ", ") + ")"
}
