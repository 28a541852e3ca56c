package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"
)

// errNoTerminal says that there is no one to ask.
var errNoTerminal = errors.New("stdin is no terminal to ask on")

// ask puts a question on the terminal and reports whether the answer was yes. The error is [errNoTerminal], or the end of ctx.
func (a *app) ask(ctx context.Context, question string) (bool, error) {
	if !isTerminal(a.stdin) {
		return false, errNoTerminal
	}
	fmt.Fprintf(a.stderr, "%s [y/N] ", question)
	answers := make(chan string, 1)
	go func() { // A terminal's read cannot be interrupted: after the end of ctx the process ends, and this with it.
		line, _ := bufio.NewReader(a.stdin).ReadString('\n') // The end of the input is no answer, so it is no.
		answers <- line
	}()
	select {
	case line := <-answers:
		answer := strings.ToLower(strings.TrimSpace(line))
		return answer == "y" || answer == "yes", nil
	case <-ctx.Done():
		fmt.Fprintln(a.stderr)
		return false, context.Cause(ctx)
	}
}

// isTerminal reports whether a stream is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
