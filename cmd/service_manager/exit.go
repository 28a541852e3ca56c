package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"syscall"

	"service_manager/hosts"
	"service_manager/inventory"
	"service_manager/publish"
)

// The exit codes, part of the contract with scripts. Where several apply, the highest counts.
const (
	exitUnit   = 1 // a unit is failed, not-found, bad-setting or error
	exitHost   = 2 // a host could not be read
	exitUsage  = 3 // usage or inventory error
	exitBroker = 4 // broker error
	exitOwn    = 5 // trouble of its own

	exitPipe = 128 + int(syscall.SIGPIPE) // the reader of stdout went away, as a shell reports it of any program
)

// An exitError is an error with the exit code that it asks for. Its err is nil where the data on stdout said it all.
type exitError struct {
	code int
	err  error
}

func failed(code int, err error) error { return &exitError{code: code, err: err} }

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// report prints err for a person and returns the exit code.
func (a *app) report(err error) int {
	if err == nil {
		return 0
	}
	code := exitOf(err)
	if e, ok := errors.AsType[*exitError](err); ok && e.err == nil {
		return code
	}
	if code == exitOwn && errors.Is(err, syscall.EPIPE) {
		return exitPipe // Whoever went away, as head does, wants no complaint.
	}
	if mistakes, ok := errors.AsType[*inventory.Error](err); ok {
		// FILE:LINE at the start of each line, as editors want it.
		_, _ = io.WriteString(a.stderr, a.complaint(mistakes.Error()+"\nservice_manager: "+why(mistakes)))
		return code
	}
	if bad, ok := errors.AsType[*fs.PathError](err); ok && bad.Path == os.Stdout.Name() {
		err = fmt.Errorf("%w; what was printed is not whole: send it elsewhere", err)
	}
	_, _ = io.WriteString(a.stderr, a.complaint("service_manager: "+err.Error()))
	return code
}

// why sums up what is wrong with an inventory.
func why(mistakes *inventory.Error) string {
	switch cause := mistakes.Mistakes[0].Cause; {
	case cause == nil:
		return "nothing was done: the inventory has mistakes"
	case errors.Is(cause, fs.ErrNotExist):
		return "nothing was done: there is no inventory; without one there is: service_manager demo"
	}
	return "nothing was done: the inventory cannot be read"
}

// exitOf returns the exit code that err asks for.
func exitOf(err error) int {
	if err == nil {
		return 0
	}
	if e, ok := errors.AsType[*exitError](err); ok {
		return e.code
	}
	if _, ok := errors.AsType[*publish.BrokerError](err); ok {
		return exitBroker
	}
	if _, ok := errors.AsType[*fs.PathError](err); ok { // Such as a write to stdout.
		return exitOwn
	}
	return exitUsage // What cobra returns itself: an unknown command, wrong arguments.
}

// exitCode is the one that a status asks for.
func exitCode(s publish.Status) int {
	if s.Outcome != string(hosts.OK) {
		return exitHost
	}
	if slices.ContainsFunc(s.Units, inTrouble) {
		return exitUnit
	}
	return 0
}

// exitOfStatuses is the error with the highest exit code that a status asks for, nil for none.
func exitOfStatuses(statuses []publish.Status) error {
	code := 0
	for _, s := range statuses {
		code = max(code, exitCode(s))
	}
	if code == 0 {
		return nil
	}
	return failed(code, nil)
}

// inTrouble reports whether a person should look at the unit.
func inTrouble(u publish.Unit) bool {
	switch u.LoadState {
	case "not-found", "bad-setting", "error":
		return true
	}
	return u.ActiveState == "failed"
}
