package inventory

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func selectable(tb testing.TB) *Inventory {
	tb.Helper()
	inv, err := Parse("x.toml", []byte(`
[groups.linux]
[groups.web]
parent = "linux"
labels = { env = "prod", zone = "eu-1" }
[groups.db]
parent = "linux"
labels = { env = "test" }
[groups.empty]
[[hosts]]
name = "web-[01-12]"
group = "web"
[[hosts]]
name = "db-[a,b]"
group = "db"
[[hosts]]
name = "lone"
labels = { br = "[x]", url = "http://a/b" }
[[hosts]]
name = "off"
enabled = false
[[hosts]]
name = "old-[1-20]"
enabled = false
`), testConfig(nil))
	if err != nil {
		tb.Fatal(err)
	}
	return inv
}

const allHosts = "; hosts are db-a, db-b, lone, web-01, web-02, web-03, web-04, web-05, web-06, web-07, web-08, web-09, web-10, web-11, web-12"

func TestSelectNothing(t *testing.T) {
	inv := selectable(t)
	for selector, want := range map[string]string{
		"":              `selector "" is empty; write a host, a glob, @group or label=value, or none for all hosts`,
		"wbe-01":        `selector "wbe-01" matches no host; did you mean "web-01"?`,
		"off":           `selector "off" names a host that is disabled in the inventory (enabled = false)`,
		"wbe":           `selector "wbe" matches no host; did you mean "@web"?`,
		"@db-a":         `selector "@db-a" matches no group; write "db-a" for the host`,
		"db-a,db-b":     `selector "db-a,db-b" matches no host; write a space between hosts, or brackets around a list, as in [a,b]`,
		"web":           `selector "web" matches no host; write "@web" for the group`,
		"zzzzzzz*":      `selector "zzzzzzz*" matches no host` + allHosts,
		"web-[":         `selector "web-[" is not a glob; close each [ with ]`,
		"web-[20-30]":   `selector "web-[20-30]" matches no host` + allHosts,
		"w[1-999999]":   `selector "w[1-999999]" stands for more hosts than fit; an inventory holds up to 100000`,
		"web-[20-01]":   `selector "web-[20-01]" counts down in [20-01]; write [01-20]`,
		"web-0[3-1]":    `selector "web-0[3-1]" counts down in [3-1]; write [1-3]`,
		"w[!a]b-[20-1]": `selector "w[!a]b-[20-1]" counts down in [20-1]; write [1-20]`,
		"web-[01,02":    `selector "web-[01,02" has a [ without a ] after it; write a range as [01-20]`,
		"web-[01,2..3]": `selector "web-[01,2..3]" has [2..3], which is no range; write a range as [1-3] or a list as [a,b]`,
		"web-0[1..3]":   `selector "web-0[1..3]" has [1..3], which is no range; write a range as [1-3] or a list as [a,b]`,
		"web-0[1-3-5]":  `selector "web-0[1-3-5]" has [1-3-5], which is no range; write a range as [1-3] or a list as [a,b]`,
		"web-[a1-a3]":   `selector "web-[a1-a3]" has [a1-a3], which is no range; write a range as [1-3] or a list as [a,b]`,
		"db-[ab-ad]":    `selector "db-[ab-ad]" has [ab-ad], which is no range; write a range as [1-3] or a list as [a,b]`,
		"[d-b]b-a":      `selector "[d-b]b-a" goes backwards in [d-b]; write [b-d]`,
		"[db-a,lnoe]":   `selector "[db-a,lnoe]": "lnoe" matches no host; did you mean "lone"?`,
		"web-[01,1-2]":  `selector "web-[01,1-2]": "web-[1-2]" matches no host; did you mean "web-12"?`,
		"[lone,off]":    `selector "[lone,off]": "off" names a host that is disabled in the inventory (enabled = false)`,
		"[lnoe,x,y*]":   `selector "[lnoe,x,y*]": "lnoe" (and 2 more of the list) matches no host; did you mean "lone"?`,
		"o*":            `selector "o*" matches only hosts that are disabled in the inventory (enabled = false)`,
		"old-[01-09]":   `selector "old-[01-09]" matches no host` + allHosts,
		"old-[9-11]":    `selector "old-[9-11]" matches only hosts that are disabled in the inventory (enabled = false)`,
		"@wbe":          `selector "@wbe" matches no group; did you mean "web"?`,
		"@storage":      `selector "@storage" matches no group; groups are db, default, empty, linux, web`,
		"@":             `selector "@" matches no group; groups are db, default, empty, linux, web`,
		"@empty":        `selector "@empty" names a group without enabled hosts`,
		"@em*":          `selector "@em*" names a group without enabled hosts`,
		"env=pord":      `selector "env=pord" matches no host: none has that value of "env"; did you mean "prod"?`,
		"evn=prod":      `selector "evn=prod" matches no host: none has the label "evn"; did you mean "env"?`,
		"env=":          `selector "env=" matches no host: none has that value of "env"; values are prod, test`,
	} {
		hosts, err := inv.Select([]string{"lone", selector})
		if err == nil || err.Error() != want || hosts != nil {
			t.Errorf("%d hosts, error %v\nwant %s", len(hosts), err, want)
		}
	}
	if _, err := inv.Select([]string{"x1", "y1"}); err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("not every selector is named: %v", err)
	}
	empty := &Inventory{}
	if _, err := empty.Select([]string{"a"}); err == nil {
		t.Error("an empty inventory has a host")
	}
}

func TestSelect(t *testing.T) {
	inv := selectable(t)
	all := names(inv.Hosts)
	tests := map[string]struct {
		selectors []string
		want      []string
	}{
		"none":              {nil, all},
		"name":              {[]string{"db-a"}, []string{"db-a"}},
		"sorted and once":   {[]string{"web-02", "lone", "@db", "web-02"}, []string{"db-a", "db-b", "lone", "web-02"}},
		"class and letters": {[]string{"[dx]b-[ab]"}, []string{"db-a", "db-b"}},
		"glob":              {[]string{"web-1?"}, []string{"web-10", "web-11", "web-12"}},
		"class":             {[]string{"web-[!1][1-3]"}, []string{"web-01", "web-02", "web-03"}},
		"range":             {[]string{"web-[09-11]"}, []string{"web-09", "web-10", "web-11"}},
		"list":              {[]string{"[db-a,lone]"}, []string{"db-a", "lone"}},
		"range and glob":    {[]string{"we*-[01-02]"}, []string{"web-01", "web-02"}},
		"beyond a range":    {[]string{"web-[11-99]"}, []string{"web-11", "web-12"}},
		"group":             {[]string{"@db"}, []string{"db-a", "db-b"}},
		"default group":     {[]string{"@default"}, []string{"lone"}},
		"parent group":      {[]string{"@linux"}, slices.DeleteFunc(slices.Clone(all), func(n string) bool { return n == "lone" })},
		"group glob":        {[]string{"@d*"}, []string{"db-a", "db-b", "lone"}},
		"label":             {[]string{"env=test"}, []string{"db-a", "db-b"}},
		"label glob":        {[]string{"zone=us-*", "env=t*"}[1:], []string{"db-a", "db-b"}},
		"label with /":      {[]string{"url=http:*b"}, []string{"lone"}},
		"slash in a class":  {[]string{"url=http:??a[/]b"}, []string{"lone"}},
		"literal label":     {[]string{"br=[x]"}, []string{"lone"}},
		"ranges of a class": {[]string{"[0-9a-z][a-cn-p][!.-9a-k]*"}, []string{"db-a", "db-b", "lone"}},
		"class and range":   {[]string{"[!d]eb-[08-11]"}, []string{"web-08", "web-09", "web-10", "web-11"}},
		"list of ranges":    {[]string{"web-[01-02,12]"}, []string{"web-01", "web-02", "web-12"}},
		"list of globs":     {[]string{"[db-?,lo*]"}, []string{"db-a", "db-b", "lone"}},
		"range of one":      {[]string{"[db-a,lone]", "db-[b-b,a]"}, []string{"db-a", "db-b", "lone"}},
		"all":               {[]string{"*"}, all},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			hosts, err := inv.Select(test.selectors)
			if diff := cmp.Diff(test.want, names(hosts)); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
	hosts, err := inv.Select(nil)
	if err != nil {
		t.Fatal(err)
	}
	hosts[0].Name = "changed"
	if inv.Hosts[0].Name == "changed" {
		t.Error("the selection is the inventory itself")
	}
}

func FuzzSelect(f *testing.F) {
	for _, seed := range []string{"web-01", "web-*", "@web", "@", "env=prod", "=", "web-[01-20]", "[a,b]*", "w[1-999999]", "[db-a,lnoe]", "web-[20-01]", "[@web,lone]", "web-0[1..3]", "br=[x]", "[", `\`, "a=b=c", "[^a]"} {
		f.Add(seed)
	}
	inv := selectable(f)
	f.Fuzz(func(t *testing.T, selector string) {
		hosts, err := inv.Select([]string{selector})
		if (err == nil) != (len(hosts) > 0) {
			t.Errorf("%q: %d hosts, error %v", selector, len(hosts), err)
		}
		if !slices.IsSortedFunc(hosts, func(a, b Host) int { return strings.Compare(a.Name, b.Name) }) {
			t.Errorf("%q: unsorted %v", selector, names(hosts))
		}
	})
}
