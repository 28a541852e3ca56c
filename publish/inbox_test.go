package publish

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// contents takes all that b holds: bodies, and markers for what is no message. Before what follows dropped messages, it says how many.
func contents(b *inbox) []string {
	var all []string
	for {
		a, dropped, ok := b.take()
		if !ok {
			return all
		}
		if dropped > 0 {
			all = append(all, strings.Repeat("-", dropped))
		}
		switch {
		case a.bound != nil:
			all = append(all, "bound")
		case a.lost != nil:
			all = append(all, "lost")
		default:
			all = append(all, string(a.delivery.Body))
		}
	}
}

func TestInbox(t *testing.T) {
	const bound, lost = "bound", "lost"
	for name, test := range map[string]struct {
		put  []string
		want []string
	}{
		"nothing":              {nil, nil},
		"in order":             {[]string{bound, "a", lost, bound, "b"}, []string{bound, "a", lost, bound, "b"}},
		"too many":             {[]string{"a", "b", "c", "d", "e", "f", "g"}, []string{"--", "c", "d", "e", "f", "g"}},
		"news is not counted":  {[]string{bound, "a", lost, bound, "b", "c", "d"}, []string{"-", lost, bound, "b", "c", "d"}},
		"too long":             {[]string{"a", "bb", "cccc", "dddd", "ee"}, []string{"--", "cccc", "dddd", "ee"}},
		"one longer than that": {[]string{"a", "bbbbbbbbbbbbb"}, []string{"-", "bbbbbbbbbbbbb"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newInbox(5, 10)
			for _, p := range test.put {
				switch p {
				case bound:
					b.put(arrival{bound: &binding{}})
				case lost:
					b.put(arrival{lost: &loss{}})
				default:
					b.put(arrival{delivery: &Delivery{Body: []byte(p)}})
				}
			}
			if len(test.put) > 0 {
				<-b.ready
			}
			if diff := cmp.Diff(test.want, contents(b)); diff != "" {
				t.Error("-want +got:\n" + diff)
			}
			if b.bytes != 0 || b.dropped != 0 {
				t.Errorf("an empty inbox counts %d bytes, %d dropped", b.bytes, b.dropped)
			}
		})
	}
}
