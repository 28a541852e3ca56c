package systemctl

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// checkAgreement holds the wrapper and ParseCommand to each other: what that takes, the wrapper runs just so, if it knows the
// properties; and whatever the wrapper runs only reads, of named units, what it knows.
func checkAgreement(tb testing.TB, h wrapperHost, command string) {
	tb.Helper()
	got := h.run(tb, command, false)
	if got.status == 126 && got.calls != "" || got.status != 126 && got.calls == "" {
		tb.Errorf("%q: %+v", command, got)
	}
	request, err := ParseCommand(command)
	if err == nil && wrapperKnows(request) {
		if want := callsOf(request); got.calls != want {
			tb.Errorf("%q: it called\n%s, want\n%s; %+v", command, got.calls, want, got)
		}
	}
	reads := regexp.MustCompile(`^<--no-pager><--no-ask-password><(show><--property=([A-Za-z]+,?)+>(<--><.*>)?|` +
		`--no-legend><--full><--plain><--all><list-unit(s|-files)><--><shutdown\.target><.*>)$`)
	for call := range strings.Lines(got.calls) {
		call = strings.TrimSuffix(call, "\n")
		_, names, _ := strings.Cut(call, "<-->")
		if !reads.MatchString(call) || strings.Trim(names, `<>ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789:_.\@*?[]^-`) != "" {
			tb.Errorf("%q: it called %s", command, call)
		}
		_, list, _ := strings.Cut(call, "--property=")
		list, _, _ = strings.Cut(list, ">")
		for name := range strings.SplitSeq(list, ",") {
			if !strings.Contains(Wrapper(""), " "+name+" ") {
				tb.Errorf("%q: it asked for %s", command, name)
			}
		}
	}
}

func wrapperKnows(request Request) bool {
	known := managerProperties()
	for _, property := range unitProperties() {
		known = append(known, property.name)
	}
	asked := slices.Clone(request.ManagerProperties)
	for _, group := range request.Groups {
		asked = append(asked, group.Properties...)
	}
	return request.Limit >= time.Second && request.Limit < 1000*time.Second && len(request.Groups) <= 11 &&
		!slices.ContainsFunc(asked, func(name string) bool { return !slices.Contains(known, name) })
}

// callsOf says how systemctl is called for request.
func callsOf(request Request) string {
	call := func(words ...string) string {
		return "<--no-pager><--no-ask-password><" + strings.Join(words, "><") + ">\n"
	}
	if request.Globs != nil {
		var calls strings.Builder
		for _, verb := range []string{SectionLoaded, SectionInstalled} {
			calls.WriteString(call(append([]string{"--no-legend", "--full", "--plain", "--all", verb, "--", "shutdown.target"}, request.Globs...)...))
		}
		return calls.String()
	}
	var calls strings.Builder
	calls.WriteString(call("show", "--property="+strings.Join(request.ManagerProperties, ",")))
	for _, group := range request.Groups {
		calls.WriteString(call(append([]string{"show", "--property=" + strings.Join(group.Properties, ","), "--"}, group.Units...)...))
	}
	return calls.String()
}

// agreementSeeds are short commands of each kind.
func agreementSeeds(tb testing.TB) []string {
	tb.Helper()
	var seeds []string
	for _, asked := range []question{
		Query{Nonce: testNonce, Limit: 9 * time.Second},
		Query{Nonce: testNonce, Units: []string{"a.service", `b\x2d.slice`}, Limit: 7200 * time.Millisecond},
		Query{Nonce: testNonce, Units: []string{"a.target", "b.device"}, Version: 219, Limit: 9 * time.Second},
		Listing{Nonce: testNonce, Globs: []string{"a*", `[!b]\x2d?`}, Limit: 9 * time.Second},
	} {
		command, err := asked.Command()
		if err != nil {
			tb.Fatal(err)
		}
		seeds = append(seeds, command)
	}
	return seeds
}

// TestWrapperAgrees tries commands that differ from good ones in a place or two, mostly in the arguments.
func TestWrapperAgrees(t *testing.T) {
	t.Parallel()
	h := newWrapperHost(t, "sh")
	seeds := agreementSeeds(t)
	for _, seed := range seeds {
		checkAgreement(t, h, seed)
	}
	random := rand.New(rand.NewPCG(1, 2))
	const alphabet = "aZ09 \n\t;,/\\.:_@-*?[]^!'\"$`()<>|&{}~#%=\x7fé"
	for range 150 {
		command := []byte(seeds[random.IntN(len(seeds))])
		arguments := strings.Index(string(command), scriptEnd) + len(scriptEnd)
		for range 1 + random.IntN(2) {
			at := random.IntN(len(command))
			if random.IntN(4) > 0 {
				at = arguments + random.IntN(len(command)-arguments)
			}
			char := alphabet[random.IntN(len(alphabet))]
			switch random.IntN(3) {
			case 0:
				command[at] = char
			case 1:
				command = slices.Delete(command, at, at+1)
			default:
				command = slices.Insert(command, at, char)
			}
		}
		checkAgreement(t, h, string(command))
	}
}

// FuzzWrapper is TestWrapperAgrees with whatever the fuzzer comes up with for a time limit and arguments.
func FuzzWrapper(f *testing.F) {
	for _, seed := range agreementSeeds(f) {
		limit, _, _ := strings.Cut(strings.TrimPrefix(seed, commandStart), " ")
		f.Add(limit, strings.Contains(seed, listScript), seed[strings.Index(seed, scriptEnd)+len(scriptEnd):])
	}
	f.Add("0", false, testNonce+" Id --host=evil")
	f.Add("1e3", false, testNonce+" Id Id/a.service,,;id")
	f.Add(" -s 9 1", true, testNonce+` \*,$\(id\)`)
	h := newWrapperHost(f, "sh")
	runs := 0
	f.Fuzz(func(t *testing.T, limit string, list bool, arguments string) {
		const most = 5000                                                                               // Each takes some milliseconds, and `make fuzz` wants a hundred thousand.
		if runs++; runs > most || len(arguments) > 8<<10 || strings.Contains(limit+arguments, "\x00") { // Which no environment holds.
			return
		}
		script := showScript
		if list {
			script = listScript
		}
		checkAgreement(t, h, commandStart+limit+scriptStart+script+scriptEnd+arguments)
	})
}
