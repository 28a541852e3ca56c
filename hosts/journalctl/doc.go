// Package journalctl asks a host for the log of its units: it is the remote command, and the parser of what that prints. Nothing is
// taken from the host that systemd's journal does not print there for the account itself.
//
// The output is the journal export format (journalctl(1), --output=export; systemd.io/JOURNAL_EXPORT_FORMATS): it keeps every byte of a
// message, has no bound for it, and needs no guessing where an entry ends.
package journalctl
