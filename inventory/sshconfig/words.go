package sshconfig

import (
	"errors"
	"fmt"
	"strings"
)

const blanks = " \t\r\f\v"

// splitKeyword cuts a line into its keyword and the rest, which blanks, one equals sign or both separate. It returns no
// keyword for an empty line and a comment.
func splitKeyword(line string) (name, rest string, err error) {
	line = strings.Trim(line, blanks)
	if line == "" || line[0] == '#' {
		return "", "", nil
	}
	if line[0] == '"' {
		var closed bool
		if name, rest, closed = strings.Cut(line[1:], `"`); !closed {
			return "", "", errors.New("a quote is not closed")
		}
	} else {
		end := strings.IndexAny(line, blanks+"=")
		if end < 0 {
			end = len(line)
		}
		name, rest = line[:end], line[end:]
	}
	if strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") != "" || name == "" {
		return "", "", fmt.Errorf("%.40q is not a keyword", name)
	}
	rest = strings.TrimLeft(rest, blanks)
	rest = strings.TrimLeft(strings.TrimPrefix(rest, "="), blanks)
	return name, rest, nil
}

// splitArguments splits at blanks outside quotes, up to a comment. A backslash takes the meaning from quotes, blanks and
// itself (misc.c, argv_split).
func splitArguments(s string) ([]string, error) {
	var args []string
	for {
		s = strings.TrimLeft(s, blanks)
		if s == "" || s[0] == '#' {
			return args, nil
		}
		arg, rest, err := argument(s)
		if err != nil {
			return nil, err
		}
		args, s = append(args, arg), rest
	}
}

// argument takes one argument off the front.
func argument(s string) (arg, rest string, err error) {
	var b strings.Builder
	var quote byte
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s) && (strings.IndexByte(`\"'`, s[i+1]) >= 0 || quote == 0 && s[i+1] == ' '):
			i++
			b.WriteByte(s[i])
		case quote == 0 && strings.IndexByte(blanks, c) >= 0:
			return b.String(), s[i:], nil
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case quote != 0 && c == quote:
			quote = 0
		default:
			b.WriteByte(c)
		}
	}
	if quote != 0 {
		return "", "", errors.New("a quote is not closed")
	}
	return b.String(), "", nil
}

// Expand replaces the %-tokens of ssh_config(5), %% among them. A token that is not given is an error.
func Expand(s string, tokens map[byte]string) (string, error) {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, "%")
		b.WriteString(before)
		if !found {
			return b.String(), nil
		}
		if after == "" {
			return "", errors.New("% at the end; write %% for the character")
		}
		value, ok := tokens[after[0]]
		switch {
		case after[0] == '%':
			value = "%"
		case !ok:
			return "", fmt.Errorf("%%%.1q is not a token that is understood here", after[:1])
		}
		b.WriteString(value)
		s = after[1:]
	}
}
