package journalctl

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"service_manager/hosts/systemctl"
)

// Begin is what comes before the entries of an answer, for whoever plays a host.
func (q Query) Begin() string { return systemctl.BeginMarker(q.Nonce, section) }

// Append appends e as journalctl prints it, likewise.
func (e Entry) Append(to []byte) []byte {
	to = appendField(to, "__CURSOR", e.Cursor)
	to = appendField(to, "__REALTIME_TIMESTAMP", strconv.FormatInt(e.Time.UnixMicro(), 10))
	to = appendField(to, "_BOOT_ID", e.BootID)
	if e.Priority >= 0 {
		to = appendField(to, "PRIORITY", strconv.Itoa(e.Priority))
	}
	to = appendField(to, "SYSLOG_IDENTIFIER", e.Identifier)
	to = appendField(to, "_PID", e.PID)
	to = appendField(to, "_SYSTEMD_UNIT", e.Unit)
	to = appendField(to, "MESSAGE", e.Message)
	return append(to, '\n')
}

// appendField appends a field as text or, where that cannot hold it, as binary.
func appendField(to []byte, name, value string) []byte {
	switch {
	case value == "":
		return to
	case utf8.ValidString(value) && !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' }):
		return fmt.Appendf(to, "%s=%s\n", name, value)
	}
	to = append(append(to, name...), '\n')
	to = binary.LittleEndian.AppendUint64(to, uint64(len(value)))
	return append(append(to, value...), '\n')
}
