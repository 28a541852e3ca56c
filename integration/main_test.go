//go:build integration

package integration

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// stack is the compose stack that all tests share.
var stack *composeStack //nolint:gochecknoglobals // TestMain can hand it to the tests in no other way.

func TestMain(m *testing.M) {
	os.Exit(runTests(m))
}

func runTests(m *testing.M) (code int) {
	var err error
	if stack, err = startStack(); err != nil {
		fmt.Fprintln(os.Stderr, "starting the stack:", err)
		if stack != nil {
			stack.dump()
			stack.stop()
		}
		return 1
	}
	defer stack.stop()
	code = m.Run()
	if code != 0 {
		stack.dump()
		return code
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
