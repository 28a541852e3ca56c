package main

import (
	"os"
	"runtime/debug"
)

// garbage is GOGC for run, where the environment sets none: how much garbage there may be before it is collected, in percent of what is in
// use. Nearly all of that are the standing connections. They stay, and what a poll needs beside them is little: to look through them more
// often than Go does by itself (100) costs less than the memory is worth.
const garbage = 60

func limitGarbage() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbage)
	}
}
