//go:build integration

package integration

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

// stack is the compose stack that all tests share.
var stack *composeStack //nolint:gochecknoglobals // TestMain can hand it to the tests in no other way.

func TestMain(m *testing.M) {
	os.Exit(runTests(m))
}

func runTests(m *testing.M) (code int) {
	defer removeOnSignal()()
	// Where it is ignored, as under nohup(1), the program would not reload on it.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	before := goleak.IgnoreCurrent()
	var err error
	stack, err = startStack()
	defer func() {
		if stack == nil {
			return
		}
		if err := stack.stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stopping the stack:", err)
			code = 1
		}
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, "starting the stack:", err)
		if stack != nil {
			stack.dump()
		}
		return 1
	}
	if code := m.Run(); code != 0 {
		stack.dump()
		return code
	}
	if err := goleak.Find(before); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// removeOnSignal removes the stack when the tests are interrupted, until the function that it returns is called.
func removeOnSignal() (stop func()) {
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	go func() {
		if _, ok := <-interrupted; !ok {
			return
		}
		if stack != nil {
			_ = stack.stop() // There is no one left to tell.
		}
		os.Exit(1)
	}()
	return func() {
		signal.Stop(interrupted)
		close(interrupted)
	}
}
