// Command simulate is simulated hosts for a benchmark, in a process of their own. See [bench.Simulate].
package main

import (
	"fmt"
	"os"

	"service_manager/integration/bench"
)

func main() {
	if err := bench.Simulate(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "simulate:", err)
		os.Exit(1)
	}
}
