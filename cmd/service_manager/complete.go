package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"service_manager/hosts/systemctl"
	"service_manager/inventory"
	"service_manager/publish"
)

// mostOffers is how many words the shell is given to choose from: bash asks before it shows 100, and takes its time with thousands.
const mostOffers = 99

// offers are words that may stand where the cursor is, each with what is said of it.
type offers struct {
	words map[string]string
	open  bool // they go on: no space is put behind them
}

// complete offers words of the inventory. It dials nothing. Without a good inventory there are none, and a remark says why.
func (a *app) complete(begun string, find func(*inventory.Inventory) offers) ([]cobra.Completion, cobra.ShellCompDirective) {
	inv, err := inventory.Load(a.inventory)
	if err != nil {
		return cobra.AppendActiveHelp(nil, noOffers(a.inventory, err)), cobra.ShellCompDirectiveNoFileComp
	}
	found := find(inv).fold(begun)
	var completions []cobra.Completion
	for _, word := range slices.Sorted(maps.Keys(found.words)) {
		completions = append(completions, cobra.CompletionWithDesc(word, found.words[word]))
	}
	if found.open {
		return completions, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
	return completions, cobra.ShellCompDirectiveNoFileComp
}

// noOffers is one line, with the first mistake.
func noOffers(path string, err error) string {
	first, _, more := strings.Cut(err.Error(), "\n")
	text := "no names to complete: " + printable(first)
	if more {
		text += fmt.Sprintf(" …: service_manager check -i %s shows all mistakes", shellWord(path))
	}
	return text
}

// fold cuts words that are too many, as a shell does with paths, to what they begin with. What is cut to is said to be how many.
func (o offers) fold(begun string) offers {
	if len(o.words) <= mostOffers {
		return o
	}
	stems := stemsOf(o.words, len(begun)+1)
	for length := len(begun) + 2; ; length++ {
		longer := stemsOf(o.words, length)
		if len(longer) > mostOffers {
			break
		}
		stems = longer
	}
	folded := offers{words: make(map[string]string, len(stems)), open: true}
	for stem, words := range stems {
		if len(words) == 1 {
			folded.words[words[0]] = o.words[words[0]]
		} else {
			folded.words[stem] = fmt.Sprintf("%d that begin so", len(words))
		}
	}
	return folded
}

// stemsOf groups words by their first bytes, so many and up to the end of a letter.
func stemsOf(words map[string]string, length int) map[string][]string {
	stems := make(map[string][]string)
	for word := range words {
		end := min(length, len(word))
		for end < len(word) && !utf8.RuneStart(word[end]) {
			end++
		}
		stems[word[:end]] = append(stems[word[:end]], word)
	}
	return stems
}

// completeSelectors offers hosts, @groups and label=value, but not what the words before choose already.
func (a *app) completeSelectors(_ *cobra.Command, given []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return a.complete(begun, func(inv *inventory.Inventory) offers { return offerSelectors(inv, inv.Hosts, given, begun) })
}

// completeOperation offers units, and behind one the selectors of hosts that watch it, if there are any.
func (a *app) completeOperation(_ *cobra.Command, given []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return a.complete(begun, func(inv *inventory.Inventory) offers {
		if len(given) == 0 {
			return offerUnits(inv.Hosts, begun, func(h inventory.Host) []string { return h.Units })
		}
		among := slices.DeleteFunc(slices.Clone(inv.Hosts), func(h inventory.Host) bool { return !watches(h, given[0]) })
		if len(among) == 0 {
			among = inv.Hosts
		}
		return offerSelectors(inv, among, given[1:], begun)
	})
}

// completeUnits offers the units and globs of the hosts that are selected.
func (a *app) completeUnits(_ *cobra.Command, selectors []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return a.complete(begun, func(inv *inventory.Inventory) offers {
		selected, err := inv.Select(selectors)
		if err != nil {
			selected = inv.Hosts
		}
		return offerUnits(selected, begun, func(h inventory.Host) []string { return slices.Concat(h.Units, h.Globs) })
	})
}

// completeKeys offers routing keys to bind, as bare as the items of a list and for the same reason.
func (a *app) completeKeys(_ *cobra.Command, given []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return a.complete(begun, func(inv *inventory.Inventory) offers {
		words := map[string]string{"#": "", publish.KindStatus + ".#": "", publish.KindEvent + ".#": "", publish.KindCollector + ".#": ""}
		for i := range inv.Hosts {
			host := &inv.Hosts[i]
			for _, kind := range []string{"*", publish.KindStatus, publish.KindEvent} {
				words[publish.RoutingKey(kind, "*", host.Name)] = ""
				words[publish.RoutingKey(kind, host.Group, "*")] = ""
			}
		}
		maps.DeleteFunc(words, func(word, _ string) bool { return !strings.HasPrefix(word, begun) || slices.Contains(given, word) })
		return offers{words: words}
	})
}

func offerUnits(among []inventory.Host, begun string, of func(inventory.Host) []string) offers {
	counts := make(map[string]int)
	for _, h := range among {
		for _, unit := range of(h) {
			if strings.HasPrefix(unit, begun) {
				counts[unit]++
			}
		}
	}
	return offers{words: counted(counts)}
}

func offerSelectors(inv *inventory.Inventory, among []inventory.Host, given []string, begun string) offers {
	if comma := strings.LastIndexByte(begun, ','); comma >= 0 {
		return offerItems(inv, among, begun[:comma+1], begun[comma+1:])
	}
	chosen := chosenBy(inv, given)
	words, counts := make(map[string]string), make(map[string]int)
	for _, h := range among {
		if chosen[h.Name] {
			continue
		}
		if strings.HasPrefix(h.Name, begun) {
			words[h.Name] = "in " + h.Group
		}
		for group := range inv.GroupsOf(h.Group) {
			counts["@"+group]++
		}
		for label, value := range h.Labels {
			counts[label+"="+value]++
		}
	}
	maps.DeleteFunc(counts, func(word string, _ int) bool { return !strings.HasPrefix(word, begun) || !isOneWord(word) })
	maps.Copy(words, counted(counts))
	return offers{words: words}
}

// offerItems offers hosts for the next place in a list that is open, as in web-[01,02 or [web-01,db-01. Nothing is said of them, because
// the script for bash would not know such a word again with its brackets escaped.
func offerItems(inv *inventory.Inventory, among []inventory.Host, before, item string) offers {
	open := strings.LastIndexByte(before, '[')
	if open < 0 || strings.ContainsRune(before[open:], ']') {
		return offers{}
	}
	stem := before[:open]
	items := before[open+1:]
	chosen := chosenBy(inv, []string{stem + "[" + items + items[:len(items)-1] + "]"}) // Twice, since of one item it would be no list.
	words := make(map[string]string)
	for _, h := range among {
		if strings.HasPrefix(h.Name, stem+item) && !chosen[h.Name] {
			words[before+strings.TrimPrefix(h.Name, stem)] = ""
		}
	}
	return offers{words: words, open: true}
}

// chosenBy are the names of the hosts that good selectors choose.
func chosenBy(inv *inventory.Inventory, selectors []string) map[string]bool {
	chosen := make(map[string]bool)
	for _, selector := range selectors {
		selected, err := inv.Select([]string{selector})
		if err != nil {
			continue
		}
		for _, h := range selected {
			chosen[h.Name] = true
		}
	}
	return chosen
}

// watches reports whether a host watches a unit, by its name or a glob.
func watches(h inventory.Host, unit string) bool {
	full, err := inventory.UnitName(unit)
	return err == nil && (slices.Contains(h.Units, full) ||
		slices.ContainsFunc(h.Globs, func(glob string) bool { return systemctl.MatchGlob(glob, full) }))
}

func counted(counts map[string]int) map[string]string {
	words := make(map[string]string, len(counts))
	for word, n := range counts {
		words[word] = count(n, "host")
	}
	return words
}

// isOneWord reports whether a label's value can be completed: the protocol with the shell has lines and tabs.
func isOneWord(word string) bool {
	return !strings.ContainsFunc(word, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) })
}

// completeFiles leaves a flag's value to the shell, which knows the files.
func completeFiles(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveDefault
}

// offer has the shell complete the value of a flag.
func offer(cmd *cobra.Command, flag string, words cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, words); err != nil {
		panic(err) // There is no such flag.
	}
}

// offerWords has the shell offer a few words for the value of a flag, in their order.
func offerWords(cmd *cobra.Command, flag string, words ...cobra.Completion) {
	offer(cmd, flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveKeepOrder))
}
