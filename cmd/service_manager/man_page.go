package main

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// A manPage is a manual page in the making, in the language of man(7). It is written from the plain text of the help rather than by
// way of Markdown, to which the text's globs and routing keys (*.web.*) would be emphasis.
type manPage struct {
	text bytes.Buffer
}

// raw adds a line of roff as it is.
func (p *manPage) raw(line string) { fmt.Fprintln(&p.text, line) }

// line adds a line of text.
func (p *manPage) line(words ...string) {
	text := roff(strings.Join(words, ""))
	if strings.HasPrefix(text, ".") {
		text = `\&` + text // Else it would be a request.
	}
	p.raw(text)
}

func (p *manPage) heading(title string) { p.raw(".SH " + title) }

// item adds a paragraph with a tag, which is roff.
func (p *manPage) item(tag, text string) {
	p.raw(".TP")
	p.raw(tag)
	p.line(text)
}

// synopsis adds what a command line may be.
func (p *manPage) synopsis(cmd *cobra.Command) {
	name, rest, _ := strings.Cut(strings.TrimPrefix(cmd.UseLine(), cmd.CommandPath()), " ")
	if cmd.HasAvailableSubCommands() {
		rest = "COMMAND [flags]"
	}
	p.raw(fmt.Sprintf(`\fB%s\fR %s`, roff(cmd.CommandPath()+name), roff(rest)))
}

// prose adds text of a help: paragraphs, which are filled, and what is indented by two spaces as it is.
func (p *manPage) prose(text string) {
	lines := strings.Split(strings.Trim(text, "\n"), "\n")
	for i := 0; i < len(lines); {
		end := i
		for end < len(lines) && strings.HasPrefix(lines[end], "  ") {
			end++
		}
		switch {
		case end > i:
			p.verbatim(lines[i:end])
			i = end
			continue
		case lines[i] == "":
			p.raw(".PP")
		default:
			p.line(lines[i])
		}
		i++
	}
}

// verbatim adds lines as they are, indented.
func (p *manPage) verbatim(lines []string) {
	p.raw(".PP\n.RS 4\n.nf")
	for _, line := range lines {
		p.line(strings.TrimPrefix(line, "  "))
	}
	p.raw(".fi\n.RE")
}

// flags adds a paragraph for each flag of a set.
func (p *manPage) flags(set *pflag.FlagSet) {
	set.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		tag := fmt.Sprintf(`\fB%s\fR`, roff("--"+f.Name))
		if f.Shorthand != "" {
			tag = fmt.Sprintf(`\fB%s\fR, %s`, roff("-"+f.Shorthand), tag)
		}
		if value != "" {
			tag += fmt.Sprintf(` \fI%s\fR`, roff(value))
		}
		switch f.DefValue {
		case "", "false", "0", "[]":
		default:
			usage += fmt.Sprintf(" (default %s)", f.DefValue)
		}
		p.item(tag, usage)
	})
}

// roff writes text so that it comes out as it is, and can be pasted into a shell: typesetters make typographic characters of some.
func roff(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch r {
		case '\\':
			b.WriteString(`\e`)
		case '-':
			b.WriteString(`\-`)
		case '\'':
			b.WriteString(`\(aq`)
		case '`':
			b.WriteString(`\(ga`)
		case '^':
			b.WriteString(`\(ha`)
		case '~':
			b.WriteString(`\(ti`)
		case '"':
			b.WriteString(`\(dq`)
		default:
			if r > 0x7e {
				fmt.Fprintf(&b, `\[u%04X]`, r)
				continue
			}
			b.WriteRune(r)
		}
	}
	return b.String()
}
