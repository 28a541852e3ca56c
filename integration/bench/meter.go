package bench

import (
	"runtime"
	"time"
)

// A pace is how fast something was, and what it cost.
type pace struct {
	perSecond float64
	cpu       float64 // CPU time of this process for each, in microseconds.
}

// A meter measures from when it was begun.
type meter struct {
	began time.Time
	cpu   time.Duration
}

// begin first collects what the measurement before it has left.
func begin() meter {
	runtime.GC()
	return meter{began: time.Now(), cpu: cpuTime()}
}

// read says how fast n of something were done since.
func (m meter) read(n int) pace {
	took, cpu := time.Since(m.began), cpuTime()-m.cpu
	return pace{perSecond: float64(n) / took.Seconds(), cpu: float64(cpu.Microseconds()) / float64(n)}
}
