package change

import "testing"

func TestRestarts(t *testing.T) {
	t.Parallel()
	// is a unit in that substate, with that NRestarts and the nth invocation; 0 is none.
	is := func(sub string, restarts, nth int) Unit {
		u := Unit{Name: "a.service", Load: "loaded", Sub: sub, Restarts: numberOf(&restarts)}
		if nth > 0 {
			u.Invocation = invocation(nth)
		}
		return u
	}
	uncounted := func(nth int) Unit { // As systemd before 235 shows it, or one that is no service.
		u := is("running", 0, nth)
		u.Restarts = 0
		return u
	}
	const waits, queued = "auto-restart", "auto-restart-queued"
	for name, tc := range map[string]struct {
		before, after Unit
		systemd, want int
	}{
		"none":                             {is("running", 2, 1), is("running", 2, 1), 252, 0},
		"never started":                    {is("dead", 0, 0), is("dead", 0, 0), 252, 0},
		"the first start":                  {is("dead", 0, 0), is("running", 0, 1), 252, 1},
		"by hand":                          {is("running", 0, 1), is("running", 0, 2), 252, 1},
		"by hand, the count reset":         {is("running", 5, 1), is("running", 0, 2), 252, 1},
		"by hand, then automatically":      {is("running", 5, 1), is("running", 2, 2), 252, 3},
		"automatically":                    {is("running", 1, 1), is("running", 4, 2), 252, 3},
		"the count as before":              {is("running", 4, 1), is("running", 4, 2), 252, 1},
		"a reboot":                         {is("running", 4, 1), is("dead", 0, 0), 252, 0},
		"queued":                           {is(waits, 4, 1), is(queued, 5, 1), 257, 0},
		"queued, then begun":               {is(queued, 5, 1), is("running", 5, 2), 257, 1},
		"queued, then given up":            {is(queued, 5, 1), is("dead", 5, 1), 257, 0},
		"automatically, and queued":        {is("running", 4, 1), is(queued, 6, 2), 257, 1},
		"by hand, and queued":              {is("running", 4, 1), is(queued, 1, 2), 257, 1},
		"waited, and begun":                {is(waits, 4, 1), is("running", 5, 2), 252, 1},
		"waited, and started by hand":      {is(waits, 4, 1), is("running", 4, 2), 257, 1},
		"waited or was queued":             {is(waits, 4, 1), is("running", 4, 2), 252, 0},
		"waited, on an unknown systemd":    {is(waits, 4, 1), is("running", 4, 2), 0, 1},
		"not counted":                      {uncounted(1), uncounted(2), 219, 1},
		"not counted any more":             {is("running", 7, 1), uncounted(2), 252, 1},
		"counted now, in the same one":     {uncounted(1), is("running", 7, 1), 252, 0},
		"counted now, in another one":      {uncounted(1), is("running", 7, 2), 252, 1},
		"was not listed":                   {Unit{Alias: "a.service"}, is("running", 1, 1), 252, 0},
		"an invocation that is not told":   {is("running", 1, 0), is("running", 3, 0), 252, 2},
		"an invocation not told any more":  {is("running", 1, 1), is("running", 3, 0), 252, 2},
		"neither invocation nor a restart": {is("running", 3, 0), is("running", 1, 0), 252, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := restarts(&tc.before, &tc.after, tc.systemd); got != tc.want {
				t.Errorf("%d, want %d", got, tc.want)
			}
		})
	}
}
