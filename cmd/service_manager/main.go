// Service_manager reads the state of systemd units on many hosts over SSH and publishes it to RabbitMQ.
//
// This package is the command line: flags, wiring, exit codes and what a person reads. Data goes to stdout, everything else to
// stderr; messages begin in lower case, have no full stop, and end with what to do next.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	os.Exit(withSignals())
}

// withSignals runs the command line under a context that the first SIGINT or SIGTERM ends; a second one kills the process.
func withSignals() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	signal.Ignore(syscall.SIGPIPE) // A reader that went away is an error of the write, after which things are still cleaned up.
	return execute(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
}
